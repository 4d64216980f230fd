"""Prompt encoder and mask decoder that answer to the official calls.

Programs that fine-tune a model, or drive it by hand, call ``sam.prompt_encoder(points=..., boxes=...,
masks=...)`` and ``sam.mask_decoder(image_embeddings=..., ...)`` and unpack tuples. These subclasses take
those calls; weights, arithmetic and key names are ours and unchanged. Gradients flow as officially.
"""

from __future__ import annotations

import torch
from torch import Tensor

from everymask.models.base import PromptableModel, corner_points, with_padding
from everymask.models.specs import ModelSpec
from everymask.nn.choice import StabilityFallback, choose_masks
from everymask.nn.mask_decoder import MaskDecoder as OurMaskDecoder
from everymask.nn.prompt_encoder import PromptEncoder as OurPromptEncoder
from everymask.nn.records import Decoded, ImageFeatures, PromptEmbeddings
from everymask.nn.touched import untouched


class PromptEncoder(OurPromptEncoder):
    """Called as the ``PromptEncoder`` of both official packages."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(
            dim=spec.embed_dim,
            embedding_hw=spec.embedding_hw,
            image_size=spec.image_size,
            mask_channels=spec.mask_channels,
        )
        self.embed_dim = spec.embed_dim
        self.input_image_size = (spec.image_size, spec.image_size)
        self.image_embedding_size = spec.embedding_hw
        self.mask_input_size = self.mask_hw

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


class SamMaskDecoder(OurMaskDecoder):
    """Called as the ``MaskDecoder`` of ``segment_anything``."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec.embed_dim, spec.decoder)

    def forward(  # type: ignore[override]
        self,
        image_embeddings: Tensor,  # [1, C, h, w]
        image_pe: Tensor,  # [1, C, h, w]
        sparse_prompt_embeddings: Tensor,  # [B, N, C]
        dense_prompt_embeddings: Tensor,  # [B, C, h, w]
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        """Mask logits [B, M, 4h, 4w] and IoU predictions [B, M]."""
        image = image_embeddings + dense_prompt_embeddings
        decoded = OurMaskDecoder.forward(self, image, image_pe, sparse_prompt_embeddings)
        chosen = choose_masks(decoded, multimask_output)
        return chosen.mask_logits, chosen.iou


class Sam2MaskDecoder(OurMaskDecoder):
    """Called as the ``MaskDecoder`` of ``sam2``."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec.embed_dim, spec.decoder)
        self.fallback: StabilityFallback | None = spec.fallback

    def forward(  # type: ignore[override]
        self,
        image_embeddings: Tensor,  # [1 or B, C, h, w]
        image_pe: Tensor,  # [1, C, h, w]
        sparse_prompt_embeddings: Tensor,  # [B, N, C]
        dense_prompt_embeddings: Tensor,  # [B, C, h, w]
        multimask_output: bool,
        repeat_image: bool,
        high_res_features: list[Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Mask logits [B, M, 4h, 4w], IoU predictions [B, M], mask tokens [B, M, C], object score [B, 1].

        ``repeat_image`` makes no difference: one image serves all prompts without being repeated.
        """
        image = image_embeddings + dense_prompt_embeddings
        fine = tuple(high_res_features or ())
        decoded = OurMaskDecoder.forward(self, image, image_pe, sparse_prompt_embeddings, fine)
        chosen = choose_masks(decoded, multimask_output, None if self.training else self.fallback)
        return chosen.mask_logits, chosen.iou, chosen.mask_tokens, chosen.object_logit


def knows_our_parts(model: PromptableModel) -> bool:
    """Whether prompts may go past the official calls of a model's parts: nobody replaced or hooked them.

    Otherwise the predictors call ``prompt_encoder`` and ``mask_decoder`` as the official ones do.
    """
    prompts, decoder = model.prompts, model.decoder
    ours = isinstance(prompts, OurPromptEncoder) and isinstance(decoder, OurMaskDecoder)
    return ours and untouched(prompts) and untouched(decoder)


class CalledOfficially(PromptableModel):
    """For a model with these parts: our own calls go past the official ``forward`` of its parts."""

    def encode_prompts(
        self, points: Tensor | None = None, labels: Tensor | None = None, masks: Tensor | None = None
    ) -> PromptEmbeddings:
        return OurPromptEncoder.forward(self.prompts, points, labels, masks)

    def decode(self, features: ImageFeatures, prompts: PromptEmbeddings) -> Decoded:
        dense = self.prompts.no_mask() if prompts.dense is None else prompts.dense
        image, position = features.embedding + dense, self.prompts.grid_position()
        return OurMaskDecoder.forward(self.decoder, image, position, prompts.sparse, features.high_res)
