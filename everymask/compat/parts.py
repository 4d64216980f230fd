"""Prompt encoder and mask decoder that answer to the official calls.

Programs that fine-tune a model, or drive it by hand, call ``sam.prompt_encoder(points=..., boxes=...,
masks=...)`` and ``sam.mask_decoder(image_embeddings=..., ...)`` and unpack tuples. These subclasses take
those calls; weights, arithmetic and key names are ours and unchanged. Gradients flow as officially.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from everymask.models.base import PromptableModel, corner_points, with_padding
from everymask.models.specs import ModelSpec
from everymask.nn.hq_decoder import HqMaskDecoder
from everymask.nn.layers import MLP as OurMLP
from everymask.nn.mask_decoder import DecoderSpec
from everymask.nn.mask_decoder import MaskDecoder as OurMaskDecoder
from everymask.nn.position import RandomFourierPosition
from everymask.nn.prompt_encoder import PromptEncoder as OurPromptEncoder
from everymask.nn.records import Decoded, ImageFeatures, PromptEmbeddings
from everymask.nn.touched import untouched
from everymask.nn.two_way import TwoWayTransformer


class MLP(OurMLP):
    """Linear layers with ReLU between them."""

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int,
        output_dim: int,
        num_layers: int,
        sigmoid_output: bool = False,
    ) -> None:
        super().__init__(input_dim, hidden_dim, output_dim, num_layers, sigmoid=sigmoid_output)


class PositionEmbeddingRandom(RandomFourierPosition):
    """Called as the official class of this name."""

    def __init__(self, num_pos_feats: int = 64, scale: float | None = None) -> None:
        super().__init__(num_pos_feats)
        if scale is not None and scale > 0:
            self.positional_encoding_gaussian_matrix.mul_(scale)

    def _pe_encoding(self, coords: Tensor) -> Tensor:
        """Codes [..., C] of positions [..., 2] from 0 to 1."""
        return self.codes(coords)

    def forward(self, size: tuple[int, int]) -> Tensor:  # type: ignore[override]
        """The codes of the centres of a grid's cells, [C, h, w]."""
        return self.grid((int(size[0]), int(size[1])))[0]

    def forward_with_coords(self, coords_input: Tensor, image_size: tuple[int, int]) -> Tensor:
        """Codes of points [B, N, 2] in pixels of an image (height, width)."""
        sides = torch.tensor([image_size[1], image_size[0]], device=coords_input.device)
        return self.codes(coords_input / sides)


class PromptEncoder(OurPromptEncoder):
    """Built and called as the ``PromptEncoder`` of both official packages."""

    def __init__(
        self,
        embed_dim: int,
        image_embedding_size: tuple[int, int],
        input_image_size: tuple[int, int],
        mask_in_chans: int,
        activation: type[nn.Module] = nn.GELU,
    ) -> None:
        height, width = (int(side) for side in image_embedding_size)
        super().__init__(
            dim=embed_dim,
            embedding_hw=(height, width),
            image_size=int(input_image_size[1]),
            mask_channels=mask_in_chans,
        )
        self.pe_layer = PositionEmbeddingRandom(embed_dim // 2)
        with_activation(self.mask_downscaling, activation)
        self.embed_dim = embed_dim
        self.input_image_size = tuple(input_image_size)
        self.image_embedding_size = tuple(image_embedding_size)
        self.num_point_embeddings = len(self.point_embeddings)
        self.mask_input_size = self.mask_hw

    @classmethod
    def of(cls, spec: ModelSpec) -> PromptEncoder:
        """That of a model of the table."""
        side = (spec.image_size, spec.image_size)
        return cls(spec.embed_dim, spec.embedding_hw, side, spec.mask_channels)

    def _embed_points(self, points: Tensor, labels: Tensor, pad: bool) -> Tensor:
        """Points [B, N, 2] with labels [B, N], padded if asked for, as embeddings [B, N (+ 1), C]."""
        return self.embed_points(*(with_padding(points, labels) if pad else (points, labels)))

    def embed_points(self, points: Tensor, labels: Tensor) -> Tensor:
        height, width = self.input_image_size
        if height != width:  # the code counts both in the width
            points = torch.stack([points[..., 0], (points[..., 1] + 0.5) * (width / height) - 0.5], dim=-1)
        return super().embed_points(points, labels)

    def _embed_boxes(self, boxes: Tensor) -> Tensor:
        """Boxes [B, 4] as embeddings of their corners, [B, 2, C]."""
        return self.embed_points(*corner_points(boxes.reshape(-1, 4)))

    def _embed_masks(self, masks: Tensor) -> Tensor:
        """Mask logits [B, 1, 4h, 4w] as embeddings [B, C, h, w]."""
        return self.mask_downscaling(masks)

    def _get_batch_size(
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> int:
        given = [x for x in (None if points is None else points[0], boxes, masks) if x is not None]
        return len(given[0]) if given else 1

    def _get_device(self) -> torch.device:
        return self.no_mask_embed.weight.device

    def forward(  # type: ignore[override]
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Sparse [B, N, C] and dense [B, C, h, w] embeddings.

        ``points`` are coordinates [B, N, 2] and labels [B, N] in model pixels, padded here unless there
        are ``boxes`` [B, 4]; ``masks`` logits [B, 1, 4h, 4w].
        """
        tokens = _arranged(points, boxes)
        coords, labels = (None, None) if tokens is None else tokens
        prompts = OurPromptEncoder.forward(self, coords, labels, masks)
        height, width = self.embedding_hw
        nothing = self.no_mask().expand(len(prompts.sparse), -1, height, width)
        return prompts.sparse, nothing if prompts.dense is None else prompts.dense

    def get_dense_pe(self) -> Tensor:
        """The position codes of the embedding grid, [1, C, h, w]."""
        return self.grid_position()


def _arranged(points: tuple[Tensor, Tensor] | None, boxes: Tensor | None) -> tuple[Tensor, Tensor] | None:
    """Points, then the corners of the boxes; a padding point only where there are none."""
    if boxes is None:
        return None if points is None else with_padding(*points)
    corners, kinds = corner_points(boxes.reshape(-1, 4))
    if points is None:
        return corners, kinds
    return torch.cat([points[0], corners.to(points[0])], dim=1), torch.cat(
        [points[1], kinds.to(points[1])], 1
    )


def decoder_spec(
    transformer: nn.Module, outputs: int, iou_depth: int, iou_hidden_dim: int, **family: Any
) -> DecoderSpec:
    """What a mask decoder around a transformer is like; one that is not ours leaves its sizes at SAM's."""
    sizes: dict[str, Any] = {}
    if isinstance(transformer, TwoWayTransformer):
        sizes = {"depth": transformer.depth, "heads": transformer.num_heads, "mlp_dim": transformer.mlp_dim}
    return DecoderSpec(
        masks=outputs + 1, iou_depth=iou_depth, iou_hidden_dim=iou_hidden_dim, **sizes, **family
    )


def with_activation(layers: nn.Sequential, activation: type[nn.Module]) -> None:
    """Another activation in place of each GELU."""
    if activation is not nn.GELU:
        for index, layer in enumerate(layers):
            if isinstance(layer, nn.GELU):
                layers[index] = activation()


def knows_our_parts(model: PromptableModel) -> bool:
    """Whether prompts may go past the official calls of a model's parts: nobody replaced or hooked them.

    Otherwise the predictors call ``prompt_encoder`` and ``mask_decoder`` as the official ones do.
    """
    prompts, decoder = model.prompts, model.decoder
    ours = isinstance(prompts, OurPromptEncoder) and isinstance(decoder, OurMaskDecoder)
    return ours and untouched(prompts) and (untouched(decoder) or _is_plain_hq(decoder))


def _is_plain_hq(decoder: nn.Module) -> bool:
    """Whether it is HQ-SAM's, whose own steps are the official ones, and nobody watches it as a whole."""
    watched = "forward" in vars(decoder) or decoder._forward_hooks or decoder._forward_pre_hooks
    return isinstance(decoder, HqMaskDecoder) and not watched


class CalledOfficially(PromptableModel):
    """For a model with these parts: our own calls go past the official ``forward`` of its parts."""

    def encode_prompts(
        self, points: Tensor | None = None, labels: Tensor | None = None, masks: Tensor | None = None
    ) -> PromptEmbeddings:
        return OurPromptEncoder.forward(self.prompts, points, labels, masks)

    def decode(self, features: ImageFeatures, prompts: PromptEmbeddings) -> Decoded:
        dense = self.prompts.no_mask() if prompts.dense is None else prompts.dense
        image, position = features.embedding + dense, self.prompts.grid_position()
        kind = HqMaskDecoder if isinstance(self.decoder, HqMaskDecoder) else OurMaskDecoder
        return kind.forward(self.decoder, image, position, prompts.sparse, features.for_decoder)
