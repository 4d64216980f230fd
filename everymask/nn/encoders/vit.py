"""The plain vision transformer of SAM (Kirillov et al. 2023; Li et al. 2022, ViTDet), with windows and
decomposed relative positions. Key names are those of the official checkpoints.

Letters: B images, H x W tokens, C channels, K heads, D = C / K.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everymask.nn.encoders.relative import attend_relative
from everymask.nn.encoders.tokens import PatchEmbed, add_branch, band_rows, feed_forward, linear, normed
from everymask.nn.encoders.windows import join_heads, split_heads, split_windows
from everymask.nn.layers import LayerNorm2d


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
    grid: int | None = None
    """Side of the checkpoint's position tables in tokens; None: that of the model's own pictures.
    With the official weights (64) in a model of another size, the tables are stretched."""


class ViT(nn.Module):
    """Pixels [B, 3, H, W] to the image embedding [B, out_dim, H / 16, W / 16].

    Pictures of other sizes than ``image_size`` work, if both sides are multiples of the patch size:
    the absolute positions are stretched bicubically and the relative ones linearly, as ViTDet does.
    """

    def __init__(self, spec: ViTSpec, image_size: int = 1024) -> None:
        super().__init__()
        self.spec = spec
        grid = spec.grid or image_size // spec.patch_size
        self.patch_embed = PatchEmbed(spec.embed_dim, kernel=spec.patch_size, stride=spec.patch_size)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, spec.embed_dim))
        self.blocks = nn.ModuleList(
            Block(spec, window=0 if index in spec.global_blocks else spec.window_size, grid=grid)
            for index in range(spec.depth)
        )
        self.neck = neck(spec.embed_dim, spec.out_dim)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self._with_positions(self.patch_embed(pixels))
        for block in self.blocks:
            x = block(x)
        return self.neck(x.to(pixels.dtype).permute(0, 3, 1, 2))

    def _with_positions(self, x: Tensor) -> Tensor:  # [B, H, W, C]
        positions = self.pos_embed.float()
        if positions.shape[1:3] != x.shape[1:3]:
            table = positions.permute(0, 3, 1, 2)
            stretched = F.interpolate(table, size=x.shape[1:3], mode="bicubic", align_corners=False)
            positions = stretched.permute(0, 2, 3, 1)
        return x.float() + positions


class Block(nn.Module):
    """Attention within windows or over the whole picture, then the feed-forward branch."""

    def __init__(self, spec: ViTSpec, window: int, grid: int) -> None:
        super().__init__()
        self.window = window  # 0: the whole picture
        self.norm1 = nn.LayerNorm(spec.embed_dim, eps=1e-6)
        self.attn = Attention(spec.embed_dim, spec.num_heads, table_side=window or grid)
        self.norm2 = nn.LayerNorm(spec.embed_dim, eps=1e-6)
        self.mlp = Mlp(spec.embed_dim, int(spec.embed_dim * spec.mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:  # [B, H, W, C]
        rows = band_rows(x, self.window) if self.window else x.shape[1]
        x = add_branch(x, lambda band: self.attn(normed(band, self.norm1), self.window), rows)
        return add_branch(x, lambda band: self.mlp(normed(band, self.norm2)), band_rows(x))


class Attention(nn.Module):
    """Multi-head attention with decomposed relative positions."""

    def __init__(self, dim: int, num_heads: int, table_side: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * table_side - 1, dim // num_heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * table_side - 1, dim // num_heads))

    def forward(self, x: Tensor, window: int) -> Tensor:  # [B, H, W, C]
        hw = x.shape[1], x.shape[2]
        qkv = linear(x, self.qkv)
        windows = split_windows(qkv, window, self.qkv.bias) if window else qkv[:, None, None]
        down, across, high, wide = windows.shape[1:5]
        q, k, v = (part.flatten(1, 2) for part in split_heads(windows, self.num_heads))  # [P, T, D]
        mixed = attend_relative(q, k, v, self.rel_pos_h, self.rel_pos_w, (high, wide))
        picture = join_heads(mixed.unflatten(1, (high, wide)), (down, across), self.num_heads, hw)
        return linear(picture, self.proj)


class Mlp(nn.Module):
    """The feed-forward branch, its layers named as in the official checkpoints."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden)
        self.lin2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return feed_forward(x, self.lin1, self.lin2)


def neck(dim: int, out_dim: int) -> nn.Sequential:
    """The trunk's map [B, C, h, w] to the image embedding [B, out_dim, h, w]; MobileSAM has the same."""
    return nn.Sequential(
        nn.Conv2d(dim, out_dim, kernel_size=1, bias=False),
        LayerNorm2d(out_dim),
        nn.Conv2d(out_dim, out_dim, kernel_size=3, padding=1, bias=False),
        LayerNorm2d(out_dim),
    )
