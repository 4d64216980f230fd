"""``segment_anything.modeling.sam``: :class:`Sam` with the methods that official code calls on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from everymask.compat.parts import CalledOfficially, PromptEncoder, knows_our_parts
from everymask.models.base import PromptableModel
from everymask.models.sam import PIXEL_MEAN, PIXEL_STD
from everymask.models.sam import Sam as OurSam
from everymask.models.specs import ModelSpec
from everymask.nn.encoders.tiny_vit import TinyViT, TinyViTSpec
from everymask.nn.encoders.tokens import StreamNorm
from everymask.nn.encoders.vit import ViTSpec
from everymask.nn.mask_decoder import DecoderSpec
from everymask.nn.records import ImageFeatures

from .image_encoder import ImageEncoderViT
from .mask_decoder import MaskDecoder
from .transformer import TwoWayTransformer


class Sam(CalledOfficially, OurSam):
    """Our SAM; it, its prompt encoder and its mask decoder take the official calls as well."""

    image_format = "RGB"

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        image_encoder: nn.Module,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        pixel_mean: Sequence[float] = PIXEL_MEAN,
        pixel_std: Sequence[float] = PIXEL_STD,
    ) -> None:
        PromptableModel.__init__(self, _spec_of(image_encoder, prompt_encoder, mask_decoder))
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(-1, 1, 1), persistent=False)

    VIT: ClassVar[type[nn.Module]] = ImageEncoderViT
    TINY_VIT: ClassVar[type[nn.Module]] = TinyViT
    DECODER: ClassVar[type[nn.Module]] = MaskDecoder

    @classmethod
    def of(cls, spec: ModelSpec) -> Self:
        """The model of a row of the table."""
        sizes, trunk = spec.decoder, spec.trunk
        transformer = TwoWayTransformer(sizes.depth, spec.embed_dim, sizes.heads, sizes.mlp_dim)
        hq = {} if sizes.early_dim is None else {"vit_dim": sizes.early_dim}
        decoder: Any = cls.DECODER(
            transformer_dim=spec.embed_dim,
            transformer=transformer,
            num_multimask_outputs=sizes.masks - 1,
            iou_head_depth=sizes.iou_depth,
            iou_head_hidden_dim=sizes.iou_hidden_dim,
            **hq,
        )
        encoder: nn.Module
        if isinstance(trunk, ViTSpec):
            encoder = cls.VIT(
                spec.image_size,
                trunk.patch_size,
                embed_dim=trunk.embed_dim,
                depth=trunk.depth,
                num_heads=trunk.num_heads,
                mlp_ratio=trunk.mlp_ratio,
                out_chans=trunk.out_dim,
                norm_layer=partial(StreamNorm, eps=1e-6),
                use_rel_pos=True,
                window_size=trunk.window_size,
                global_attn_indexes=trunk.global_blocks,
            )
        else:
            assert isinstance(trunk, TinyViTSpec)
            encoder = cls.TINY_VIT(trunk)
            encoder.img_size = spec.image_size  # type: ignore[assignment]
        model = cls(encoder, PromptEncoder.of(spec), decoder)
        model.spec = spec
        return model

    def normalise(self, pixels: Tensor) -> Tensor:
        height, width = pixels.shape[-2:]
        size = self.spec.image_size
        normed = (pixels - self.pixel_mean) / self.pixel_std
        return F.pad(normed, (0, size - width, 0, size - height))

    def preprocess(self, x: np.ndarray | Tensor) -> Tensor:
        """A resized photo as a tensor [..., 3, h, w] of 0 to 255, normalised and padded to the square.

        (An array [H, W, 3] is a whole photo, as everywhere else in everymask.)
        """
        return self.normalise(x) if isinstance(x, Tensor) else super().preprocess(x)

    def postprocess_masks(
        self, masks: Tensor, input_size: tuple[int, ...], original_size: tuple[int, ...]
    ) -> Tensor:
        """Logits [B, C, h, w] -> [B, C, H, W]: to the square, the padding cut off, to the photo."""
        return scale_masks(masks, self.spec.image_size, input_size, original_size)

    @torch.no_grad()
    def forward(self, batched_input: list[dict[str, Any]], multimask_output: bool) -> list[dict[str, Tensor]]:
        """Masks of several prepared photos, each with its prompts, as the official ``Sam.forward``.

        Each input has ``image`` (3xhxw, resized), ``original_size``, and what it has of ``point_coords``
        with ``point_labels``, ``boxes`` and ``mask_inputs``; each output ``masks``, ``iou_predictions``
        and ``low_res_logits``.
        """
        pictures = torch.stack([self.preprocess(record["image"]) for record in batched_input])
        embeddings = self.encode_image(pictures).embedding
        return [
            self._answer(record, embedding[None], multimask_output)
            for record, embedding in zip(batched_input, embeddings, strict=True)
        ]

    def _answer(self, record: dict[str, Any], features: Tensor, multimask_output: bool) -> dict[str, Tensor]:
        logits, iou = decode_prompts(
            self,
            features,
            record.get("point_coords"),
            record.get("point_labels"),
            record.get("boxes"),
            record.get("mask_inputs"),
            multimask_output,
        )
        return self._answered(record, logits, iou)

    def _answered(self, record: dict[str, Any], logits: Tensor, iou: Tensor) -> dict[str, Tensor]:
        masks = self.postprocess_masks(logits, record["image"].shape[-2:], record["original_size"])
        return {"masks": masks > self.mask_threshold, "iou_predictions": iou, "low_res_logits": logits}


def _spec_of(encoder: nn.Module, prompts: nn.Module, decoder: nn.Module) -> ModelSpec:
    """What parts that were put together make: a model of nobody's table."""
    return ModelSpec(
        "custom_sam",
        "sam",
        getattr(encoder, "spec", None),  # type: ignore[arg-type]
        image_size=cast(int, encoder.img_size),
        embed_dim=cast(int, prompts.embed_dim),
        decoder=getattr(decoder, "spec", None) or DecoderSpec(),
    )


def scale_masks(
    logits: Tensor, side: int, input_size: tuple[int, ...], original_size: tuple[int, ...]
) -> Tensor:
    """Logits [B, C, h, w] of the model's square of ``side`` pixels -> [B, C, H, W] of the photo."""
    height, width = input_size
    square = F.interpolate(logits, (side, side), mode="bilinear", align_corners=False)
    photo_hw = tuple(original_size)
    return F.interpolate(square[..., :height, :width], photo_hw, mode="bilinear", align_corners=False)


def decode_prompts(
    model: OurSam,
    features: Tensor,  # [1, C, h, w]
    points: Tensor | None,  # [B, N, 2] model pixels
    labels: Tensor | None,  # [B, N]
    boxes: Tensor | None,  # [B, 4] model pixels
    masks: Tensor | None,  # [B, 1, 4h, 4w]
    multimask_output: bool,
) -> tuple[Tensor, Tensor]:
    """Low-resolution logits [B, C, 4h, 4w] and IoU predictions [B, C]."""
    boxes = None if boxes is None else boxes.reshape(-1, 4)
    if isinstance(model, Sam) and not knows_our_parts(model):
        given = None if points is None or labels is None else (points, labels)
        sparse, dense = model.prompt_encoder(points=given, boxes=boxes, masks=masks)
        return model.mask_decoder(
            image_embeddings=features,
            image_pe=cast(PromptEncoder, model.prompt_encoder).get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask_output,
        )
    prompts = model.encode_prompts(*model.arrange(points, labels, boxes), masks)
    chosen = model.choose(model.decode_many(ImageFeatures(features), prompts), multimask_output)
    return chosen.mask_logits, chosen.iou
