"""``segment_anything_hq.modeling.image_encoder``."""

from __future__ import annotations

from torch import Tensor

from everymask.compat.segment_anything.modeling.image_encoder import ImageEncoderViT as PlainEncoder

__all__ = ["ImageEncoderViT"]


class ImageEncoderViT(PlainEncoder):
    """SAM's, which also hands on what its blocks over the whole picture give."""

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:  # type: ignore[override]
        """Pixels [B, 3, H, W] -> the embedding [B, C, h, w], and [B, h, w, E] for each of these blocks."""
        seen: list[Tensor] = []
        embedding = super().forward(x, seen, len(self.blocks))
        return embedding, [each.permute(0, 2, 3, 1) for each in seen]
