"""``segment_anything_hq.modeling.sam``: :class:`Sam` with the methods that official code calls on it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from everymask.compat.segment_anything.modeling.sam import Sam as PlainSam
from everymask.nn.records import ImageFeatures

from .image_encoder import ImageEncoderViT
from .mask_decoder_hq import MaskDecoderHQ
from .tiny_vit_sam import TinyViT

Prompt = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]
"""Points [B, N, 2], labels [B, N], boxes [B, 4] and mask logits [B, 1, 4h, 4w]."""


class Sam(PlainSam):
    """Our HQ-SAM; it and its parts take the official calls as well."""

    VIT, TINY_VIT, DECODER = ImageEncoderViT, TinyViT, MaskDecoderHQ

    def encode_image(self, pixels: Tensor) -> ImageFeatures:
        embedding, seen = self.image_encoder(pixels.to(self.dtype))
        assert isinstance(self.mask_decoder, MaskDecoderHQ)
        return ImageFeatures(
            embedding, early=(self.mask_decoder.fine_map(embedding, seen[0].permute(0, 3, 1, 2)),)
        )

    def forward(  # type: ignore[override]
        self, batched_input: list[dict[str, Any]], multimask_output: bool, hq_token_only: bool = False
    ) -> list[dict[str, Tensor]]:
        """Masks of several prepared photos, each with its prompts, as the official ``Sam.forward``."""
        pictures = torch.stack([self.preprocess(record["image"]) for record in batched_input])
        embeddings, seen = self.image_encoder(pictures)
        answers = []
        for record, embedding, early in zip(batched_input, embeddings, seen[0], strict=True):
            names = ("point_coords", "point_labels", "boxes", "mask_inputs")
            points, labels, boxes, masks = (record.get(name) for name in names)
            logits, iou = decode_prompts(
                self,
                embedding[None],
                [early[None]],
                (points, labels, boxes, masks),
                multimask_output,
                hq_token_only,
            )
            answers.append(self._answered(record, logits, iou))
        return answers


def decode_prompts(
    model: Sam,
    features: Tensor,  # [1, C, h, w]
    interm_features: list[Tensor],  # [1, h, w, E] each
    prompt: Prompt,
    multimask_output: bool,
    hq_token_only: bool,
) -> tuple[Tensor, Tensor]:
    """Low-resolution logits [B, 1, 4h, 4w] and IoU predictions [B, 1], by the official calls."""
    points, labels, boxes, masks = prompt
    given = None if points is None or labels is None else (points, labels)
    boxes = None if boxes is None else boxes.reshape(-1, 4)
    sparse, dense = model.prompt_encoder(points=given, boxes=boxes, masks=masks)
    return model.mask_decoder(
        image_embeddings=features,
        image_pe=model.prompts.grid_position(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=multimask_output,
        hq_token_only=hq_token_only,
        interm_embeddings=interm_features,
    )
