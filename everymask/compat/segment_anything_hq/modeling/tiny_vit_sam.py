"""``segment_anything_hq.modeling.tiny_vit_sam``."""

from __future__ import annotations

from torch import Tensor

from everymask.nn.encoders.tiny_vit import TinyViT as PlainTinyViT

__all__ = ["TinyViT"]


class TinyViT(PlainTinyViT):
    """MobileSAM's, which also hands on what its second stage gives."""

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:  # type: ignore[override]
        """Pixels [B, 3, H, W] -> the embedding [B, C, h, w], and a list of one map [B, h, w, E]."""
        seen: list[Tensor] = []
        embedding = super().forward(x, seen)
        return embedding, [each.permute(0, 2, 3, 1) for each in seen]
