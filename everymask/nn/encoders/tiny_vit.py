"""TinyViT, the image encoder of MobileSAM."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TinyViTSpec:
    """The sizes of a TinyViT; the defaults are MobileSAM's."""

    embed_dims: tuple[int, ...] = (64, 128, 160, 320)
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_heads: tuple[int, ...] = (2, 4, 5, 10)
    window_sizes: tuple[int, ...] = (7, 7, 14, 7)
    out_dim: int = 256
    """Channels of the neck, and of the image embedding."""
