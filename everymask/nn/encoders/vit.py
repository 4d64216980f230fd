"""The plain vision transformer of SAM, with windows and decomposed relative positions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ViTSpec:
    """The sizes that tell one SAM encoder from another."""

    embed_dim: int
    depth: int
    num_heads: int
    global_blocks: tuple[int, ...]
    """Indices of the blocks that attend over the whole picture; the others within windows."""
    window_size: int = 14
    patch_size: int = 16
    mlp_ratio: float = 4.0
    out_dim: int = 256
    """Channels of the neck, and of the image embedding."""
