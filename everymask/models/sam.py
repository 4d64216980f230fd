"""SAM (Kirillov et al. 2023), MobileSAM and HQ-SAM: a ViT or TinyViT, the prompt encoder, the mask decoder.

HQ-SAM is a SAM whose trunk also hands on what an early layer sees, and whose decoder has one more token.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from everymask.geometry import Letterbox
from everymask.models.base import (
    PromptableModel,
    corner_points,
    mask_decoder,
    prompt_encoder,
    standardised,
    with_padding,
)
from everymask.models.specs import ModelSpec
from everymask.nn.encoders.tiny_vit import TinyViT, TinyViTSpec
from everymask.nn.encoders.vit import ViT, ViTSpec
from everymask.nn.hq_decoder import HqMaskDecoder
from everymask.nn.mask_decoder import MaskDecoder
from everymask.nn.prompt_encoder import PromptEncoder
from everymask.nn.records import ImageFeatures

PIXEL_MEAN = (123.675, 116.28, 103.53)  # of values 0 to 255
PIXEL_STD = (58.395, 57.12, 57.375)


class Sam(PromptableModel):
    """SAM, MobileSAM or HQ-SAM. Attribute names are those of the official checkpoints."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.image_encoder = _trunk(spec)
        self.prompt_encoder = prompt_encoder(spec)
        self.mask_decoder = mask_decoder(spec)

    @property
    def prompts(self) -> PromptEncoder:
        return self.prompt_encoder

    @property
    def decoder(self) -> MaskDecoder:
        return self.mask_decoder

    def frame(self, photo_hw: tuple[int, int]) -> Letterbox:
        return Letterbox(photo_hw, self.spec.image_size)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Values 0 to 255 [..., 3, h, w] -> [..., 3, S, S]. The padding comes last: it is 0, not black."""
        height, width = pixels.shape[-2:]
        size = self.spec.image_size
        return F.pad(standardised(pixels, PIXEL_MEAN, PIXEL_STD), (0, size - width, 0, size - height))

    def encode_image(self, pixels: Tensor) -> ImageFeatures:
        if self.spec.decoder.early_dim is None:
            return ImageFeatures(self.image_encoder(pixels.to(self.dtype)))
        seen: list[Tensor] = []
        embedding = self.image_encoder(pixels.to(self.dtype), seen)
        assert isinstance(self.mask_decoder, HqMaskDecoder)
        return ImageFeatures(embedding, early=(self.mask_decoder.fine_map(embedding, seen[0]),))

    def arrange(
        self, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Points, then the corners of the box; a padding point only where there is no box."""
        if boxes is None:
            return (None, None) if points is None or labels is None else with_padding(points, labels)
        corners, kinds = corner_points(boxes)
        if points is None or labels is None:
            return corners, kinds
        return torch.cat([points, corners.to(points)], dim=1), torch.cat([labels, kinds.to(labels)], dim=1)


def _trunk(spec: ModelSpec) -> nn.Module:
    match spec.trunk:
        case ViTSpec():
            return ViT(spec.trunk, spec.image_size)
        case TinyViTSpec():
            return TinyViT(spec.trunk)
    raise TypeError(f"a SAM model needs a ViTSpec or a TinyViTSpec as its trunk, got {spec.trunk!r}")
