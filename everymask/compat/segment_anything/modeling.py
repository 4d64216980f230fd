"""``segment_anything.modeling``: :class:`Sam` with the methods that official code calls on it."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from everymask.compat.parts import CalledOfficially, PromptEncoder, SamMaskDecoder, knows_our_parts
from everymask.models.sam import PIXEL_MEAN, PIXEL_STD
from everymask.models.sam import Sam as OurSam
from everymask.models.specs import ModelSpec
from everymask.nn.records import ImageFeatures


class Sam(CalledOfficially, OurSam):
    """Our SAM; it, its prompt encoder and its mask decoder take the official calls as well."""

    image_format = "RGB"

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.prompt_encoder = PromptEncoder(spec)
        self.mask_decoder = SamMaskDecoder(spec)
        self.register_buffer("pixel_mean", torch.tensor(PIXEL_MEAN).view(-1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(PIXEL_STD).view(-1, 1, 1), persistent=False)
        self.image_encoder.img_size = spec.image_size  # type: ignore[assignment]

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
        masks = self.postprocess_masks(logits, record["image"].shape[-2:], record["original_size"])
        return {"masks": masks > self.mask_threshold, "iou_predictions": iou, "low_res_logits": logits}


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
