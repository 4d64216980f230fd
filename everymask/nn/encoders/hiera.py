"""Hiera, the image trunk of SAM 2 and SAM 2.1 (Ryali et al. 2023; with window and background
position embeddings, Bolya et al. 2023). Key names are those of the official checkpoints.

Letters: B images, H x W tokens, C channels of a stage, K heads, D = C / K.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everymask.nn.attend import attend
from everymask.nn.encoders.tokens import PatchEmbed, add_branch, band_rows, feed_forward, linear, normed
from everymask.nn.encoders.windows import join_heads, split_heads, split_windows, window_grid
from everymask.nn.layers import at_least_float32

PATCH_STRIDE = 4
POOL = 2  # every stage after the first halves the picture and doubles channels and heads


@dataclass(frozen=True)
class HieraSpec:
    """The sizes that tell one Hiera from another."""

    embed_dim: int
    num_heads: int
    stages: tuple[int, ...]
    """Blocks per stage."""
    global_blocks: tuple[int, ...]
    """Indices of the blocks that attend over the whole picture; the others within windows."""
    background_size: tuple[int, int]
    """Size of the position embedding that is stretched over the picture."""
    window_sizes: tuple[int, ...] = (8, 4, 14, 7)
    """Side of the windows per stage, in tokens; even wherever a following stage pools."""
    mlp_ratio: float = 4.0

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the feature maps, finest first."""
        return tuple(self.embed_dim * 2**stage for stage in range(len(self.stages)))

    @property
    def strides(self) -> tuple[int, ...]:
        """Picture pixels per cell of the feature maps, finest first."""
        return tuple(PATCH_STRIDE * POOL**stage for stage in range(len(self.stages)))


class Hiera(nn.Module):
    """Pixels [B, 3, H, W] to one feature map per stage, finest first: [B, C_s, H / 4·2^s, W / 4·2^s].

    Any picture size works that is a multiple of the coarsest stride (32 for four stages).
    """

    def __init__(self, spec: HieraSpec) -> None:
        super().__init__()
        self.spec = spec
        self.patch_embed = PatchEmbed(spec.embed_dim, kernel=7, stride=PATCH_STRIDE, padding=3)
        self.pos_embed = nn.Parameter(torch.zeros(1, spec.embed_dim, *spec.background_size))
        window = spec.window_sizes[0]
        self.pos_embed_window = nn.Parameter(torch.zeros(1, spec.embed_dim, window, window))
        self.blocks = nn.ModuleList(_blocks(spec))
        self.stage_ends = {sum(spec.stages[: stage + 1]) - 1 for stage in range(len(spec.stages))}

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the feature maps, finest first."""
        return self.spec.channels

    def forward(self, pixels: Tensor) -> list[Tensor]:
        x = self._with_positions(self.patch_embed(pixels))
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.stage_ends:  # the next block makes a new tensor, so this one stays
                maps.append(x.permute(0, 3, 1, 2).to(pixels.dtype))
        return maps

    def _with_positions(self, x: Tensor) -> Tensor:  # [B, H, W, C]
        """``x`` plus the background, stretched over the picture, plus the window's, repeated over it.

        In bands of one window's height, so that no second tensor of this size is made: it is the widest.
        """
        x = x.float()
        rows, wide = _stretching(self.pos_embed[0].float(), (x.shape[1], x.shape[2]))
        window = self.pos_embed_window[0].float().permute(1, 2, 0)
        _, across = window_grid((x.shape[1], x.shape[2]), len(window))
        tiled = window.tile(1, across, 1)[:, : x.shape[2]]
        for top in range(0, len(rows), len(window)):
            some = slice(top, top + len(window))
            background = (rows[some] @ wide.flatten(1)).unflatten(1, wide.shape[1:])
            x[:, some] += background + tiled[: len(background)]
        return x


class Block(nn.Module):
    """Attention and feed-forward; the first block of a stage also pools and widens."""

    def __init__(self, dim: int, dim_out: int, num_heads: int, window: int, mlp_ratio: float) -> None:
        super().__init__()
        self.window = window  # 0: the whole picture
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, dim_out, num_heads, pool=POOL if dim != dim_out else 1)
        self.norm2 = nn.LayerNorm(dim_out, eps=1e-6)
        self.mlp = Mlp(dim_out, int(dim_out * mlp_ratio))
        if dim != dim_out:
            self.proj = nn.Linear(dim, dim_out)

    def forward(self, x: Tensor) -> Tensor:  # [B, H, W, C] -> the same, or [B, H / 2, W / 2, 2 C]
        rows = band_rows(x, self.window) if self.window else x.shape[1]
        if self.attn.pool > 1:
            x = torch.cat([self._shrink(band) for band in x.split(rows, dim=1)], dim=1)
        else:
            x = add_branch(x, lambda band: self.attn(normed(band, self.norm1), self.window), rows)
        return add_branch(x, lambda band: self.mlp(normed(band, self.norm2)), band_rows(x))

    def _shrink(self, x: Tensor) -> Tensor:
        y = normed(x, self.norm1)
        shortcut = _max_pool(linear(y, self.proj))
        return at_least_float32(shortcut) + self.attn(y, self.window)


class Attention(nn.Module):
    """Multi-head attention within windows, with queries pooled where the picture shrinks."""

    def __init__(self, dim: int, dim_out: int, num_heads: int, pool: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.pool = pool
        self.qkv = nn.Linear(dim, 3 * dim_out)
        self.proj = nn.Linear(dim_out, dim_out)

    def forward(self, x: Tensor, window: int) -> Tensor:  # [B, H, W, C]
        qkv = linear(x, self.qkv)
        windows = split_windows(qkv, window, self.qkv.bias) if window else qkv[:, None, None]
        down, across = windows.shape[1:3]
        q, k, v = split_heads(windows, self.num_heads)
        if self.pool > 1:
            q = _max_pool(q)
        mixed = attend(q.flatten(1, 2), k.flatten(1, 2), v.flatten(1, 2)).view(q.shape)
        hw = x.shape[1] // self.pool, x.shape[2] // self.pool
        return linear(join_heads(mixed, (down, across), self.num_heads, hw), self.proj)


class Mlp(nn.Module):
    """The feed-forward branch, its layers named as in the official checkpoints."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(dim, hidden), nn.Linear(hidden, dim)])

    def forward(self, x: Tensor) -> Tensor:
        widen, narrow = self.layers
        return feed_forward(x, cast(nn.Linear, widen), cast(nn.Linear, narrow))


def _blocks(spec: HieraSpec) -> list[Block]:
    blocks: list[Block] = []
    for stage, depth in enumerate(spec.stages):
        dim_out, heads = spec.embed_dim * 2**stage, spec.num_heads * 2**stage
        for place in range(depth):
            shrinks = stage > 0 and place == 0
            # a shrinking block still sees the finer stage, so it uses that stage's windows
            window = spec.window_sizes[stage - 1 if shrinks else stage]
            window = 0 if len(blocks) in spec.global_blocks else window
            dim = dim_out // 2 if shrinks else dim_out
            blocks.append(Block(dim, dim_out, heads, window, spec.mlp_ratio))
    return blocks


def _stretching(table: Tensor, hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Two factors [H, h] and [h, W, C] whose product is ``table`` [C, h, w] stretched bicubically to ``hw``.

    Bicubic stretching is one small matrix per axis; multiplied out, it takes a tenth of the time of
    ``F.interpolate``, which also lays the channels out the other way round.
    """
    rows, columns = (_bicubic(size, side, table) for size, side in zip(table.shape[1:], hw, strict=True))
    return rows, torch.einsum("cij,xj->ixc", table, columns).contiguous()


def _bicubic(size: int, side: int, like: Tensor) -> Tensor:
    """[side, size]: the weight of each of ``size`` samples at each of ``side`` places."""
    unit = torch.eye(size, dtype=like.dtype, device=like.device)[None, :, :, None]
    return F.interpolate(unit, size=(side, 1), mode="bicubic")[0, :, :, 0].t()


def _max_pool(x: Tensor) -> Tensor:  # [B, H, W, C] -> [B, H / 2, W / 2, C]
    """The largest of every 2 x 2 tokens. ``F.max_pool2d`` takes four times as long: it notes the places."""
    rows = torch.maximum(x[:, 0::2], x[:, 1::2])
    return torch.maximum(rows[:, :, 0::2], rows[:, :, 1::2])
