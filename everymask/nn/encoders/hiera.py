"""Hiera, the image trunk of SAM 2 and SAM 2.1 (Ryali et al. 2023; with window and background
position embeddings, Bolya et al. 2023). Key names are those of the official checkpoints.

Letters: B images, H x W tokens, C channels of a stage, K heads, D = C / K.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everymask.nn.attend import attend
from everymask.nn.encoders.tokens import (
    PatchEmbed,
    StreamNorm,
    add_branch,
    band_rows,
    feed_forward,
    normed,
)
from everymask.nn.encoders.windows import (
    join_heads,
    split_heads,
    split_windows,
    window_grid,
    window_partition,
    window_unpartition,
)
from everymask.nn.layers import MLP, DropPath, at_least_float32, is_exact_gelu
from everymask.nn.products import linear
from everymask.nn.touched import untouched

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


class MultiScaleAttention(nn.Module):
    """Multi-head attention, with queries pooled by ``q_pool`` where the picture shrinks."""

    PARTS: ClassVar = {"qkv": nn.Linear, "proj": nn.Linear, "q_pool": nn.MaxPool2d}

    def __init__(self, dim: int, dim_out: int, num_heads: int, q_pool: nn.Module | None = None) -> None:
        super().__init__()
        self.dim, self.dim_out = dim, dim_out
        self.num_heads = num_heads
        self.q_pool = q_pool
        self.qkv = nn.Linear(dim, 3 * dim_out)
        self.proj = nn.Linear(dim_out, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        """Attention over all of [B, H, W, C]: a picture, or one window of several."""
        batch, height, width, _ = x.shape
        qkv = self.qkv(x).reshape(batch, height * width, 3, self.num_heads, -1)
        q, k, v = qkv.unbind(2)  # [B, T, K, D]
        if self.q_pool is not None:
            pooled = do_pool(q.reshape(batch, height, width, -1), self.q_pool)
            height, width = pooled.shape[1:3]
            q = pooled.reshape(batch, height * width, self.num_heads, -1)
        mixed = F.scaled_dot_product_attention(*(part.transpose(1, 2) for part in (q, k, v)))
        return self.proj(mixed.transpose(1, 2).reshape(batch, height, width, -1))

    def fast(self, x: Tensor, window: int) -> Tensor:
        """The same within windows of [B, H, W, C], or over the whole if ``window`` is 0."""
        qkv = linear(x, self.qkv)
        windows = split_windows(qkv, window, self.qkv.bias) if window else qkv[:, None, None]
        down, across = windows.shape[1:3]
        q, k, v = split_heads(windows, self.num_heads)
        pool = 1 if self.q_pool is None else POOL
        if pool > 1:
            q = _max_pool(q)
        mixed = attend(q.flatten(1, 2), k.flatten(1, 2), v.flatten(1, 2)).view(q.shape)
        hw = x.shape[1] // pool, x.shape[2] // pool
        return linear(join_heads(mixed, (down, across), self.num_heads, hw), self.proj)


class MultiScaleBlock(nn.Module):
    """Attention and feed-forward; the first block of a stage also pools and widens."""

    PARTS: ClassVar = {
        "norm1": nn.LayerNorm,
        "attn": MultiScaleAttention,
        "norm2": nn.LayerNorm,
        "mlp": MLP,
        "proj": nn.Linear,
        "pool": nn.MaxPool2d,
        "drop_path": nn.Identity,
    }

    def __init__(
        self,
        dim: int,
        dim_out: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        norm_layer: Callable[[int], nn.Module] | str = "LayerNorm",
        q_stride: tuple[int, int] | None = None,
        act_layer: type[nn.Module] = nn.GELU,
        window_size: int = 0,
    ) -> None:
        """``window_size`` 0: the whole picture."""
        super().__init__()
        if isinstance(norm_layer, str):
            kind = StreamNorm if norm_layer == "LayerNorm" else getattr(nn, norm_layer)
            norm_layer = partial(kind, eps=1e-6)
        self.dim, self.dim_out = dim, dim_out
        self.window_size, self.q_stride = window_size, q_stride
        self.norm1 = norm_layer(dim)
        self.pool = nn.MaxPool2d(q_stride, q_stride) if q_stride else None
        self.attn = MultiScaleAttention(dim, dim_out, num_heads, self.pool)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.norm2 = norm_layer(dim_out)
        self.mlp = MLP(dim_out, int(dim_out * mlp_ratio), dim_out, 2, activation=act_layer)
        if dim != dim_out:
            self.proj = nn.Linear(dim, dim_out)

    @property
    def usual(self) -> bool:
        stride = None if self.q_stride is None else tuple(self.q_stride)
        return is_exact_gelu(self.mlp.act) and stride == (None if self.dim == self.dim_out else (POOL, POOL))

    def forward(self, x: Tensor) -> Tensor:  # [B, H, W, C] -> the same, or [B, H / 2, W / 2, 2 C]
        if untouched(self, x):
            return self.fast(x)
        branch = self.norm1(x)
        if self.dim != self.dim_out:
            x = do_pool(self.proj(branch), self.pool)
        x = x + self.drop_path(self._attended(branch, (x.shape[1], x.shape[2])))
        return x + self.drop_path(self.mlp(self.norm2(x)))

    def _attended(self, x: Tensor, out_hw: tuple[int, int]) -> Tensor:
        if self.window_size == 0:
            return self.attn(x)
        windows, covered = window_partition(x, self.window_size)
        mixed, size = self.attn(windows), self.window_size
        if self.q_stride:
            size //= self.q_stride[0]
            down, across = window_grid(out_hw, size)
            covered = down * size, across * size
        return window_unpartition(mixed, size, covered, out_hw)

    def fast(self, x: Tensor, *, own: bool = False) -> Tensor:
        """The same in bands; overwrites ``x`` if it is the caller's ``own``."""
        norm1, norm2 = cast(nn.LayerNorm, self.norm1), cast(nn.LayerNorm, self.norm2)
        rows = band_rows(x, self.window_size) if self.window_size else x.shape[1]
        if self.dim != self.dim_out:
            x = torch.cat([self._shrink(band) for band in x.split(rows, dim=1)], dim=1)
        else:
            x = add_branch(
                x, lambda band: self.attn.fast(normed(band, norm1), self.window_size), rows, own=own
            )
        widen, narrow = (cast(nn.Linear, layer) for layer in self.mlp.layers)
        return add_branch(
            x, lambda band: feed_forward(normed(band, norm2), widen, narrow), band_rows(x), own=True
        )

    def _shrink(self, x: Tensor) -> Tensor:
        y = normed(x, cast(nn.LayerNorm, self.norm1))
        shortcut = _max_pool(linear(y, self.proj))
        return at_least_float32(shortcut) + self.attn.fast(y, self.window_size)


def do_pool(x: Tensor, pool: nn.Module | None, norm: nn.Module | None = None) -> Tensor:
    """``pool``, which works on [B, C, H, W], on tokens [B, H, W, C]; then ``norm`` on the tokens."""
    if pool is None:
        return x
    x = pool(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    return x if norm is None else norm(x)


class Hiera(nn.Module):
    """Pixels [B, 3, H, W] to one feature map per stage, finest first: [B, C_s, H / 4·2^s, W / 4·2^s].

    Any picture size works that is a multiple of the coarsest stride (32 for four stages).
    """

    PARTS: ClassVar = {"patch_embed": PatchEmbed, "blocks": MultiScaleBlock}

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

    def forward(self, x: Tensor) -> list[Tensor]:  # pixels, by the official name
        unseen, dtype = untouched(self, x), x.dtype  # nobody sees what goes from block to block
        x = self.patch_embed(x)
        x = self._add_positions(x.float()) if unseen else x.float() + self._positions(x)
        maps = []
        for index, block in enumerate(self.blocks):
            x = cast(MultiScaleBlock, block).fast(x, own=True) if unseen else block(x)
            if index in self.stage_ends:  # the next block makes a new tensor, so this one stays
                maps.append(x.permute(0, 3, 1, 2).to(dtype))
        return maps

    def _positions(self, x: Tensor) -> Tensor:
        """The background, stretched over the picture, plus the window's, repeated over it: [1, H, W, C]."""
        height, width = x.shape[1:3]
        window = self.pos_embed_window.float()
        down, across = window_grid((height, width), window.shape[-1])
        tiled = window.tile(1, 1, down, across)[..., :height, :width]
        stretched = F.interpolate(self.pos_embed.float(), size=(height, width), mode="bicubic")
        return (stretched + tiled).permute(0, 2, 3, 1)

    def _add_positions(self, x: Tensor) -> Tensor:  # [B, H, W, C]
        """``x``, overwritten, plus :meth:`_positions`.

        In bands of one window's height, so that no second tensor of this size is made: it is the widest.
        """
        rows, wide = _stretching(self.pos_embed[0].float(), (x.shape[1], x.shape[2]))
        window = self.pos_embed_window[0].float().permute(1, 2, 0)
        _, across = window_grid((x.shape[1], x.shape[2]), len(window))
        tiled = window.tile(1, across, 1)[:, : x.shape[2]]
        for top in range(0, len(rows), len(window)):
            some = slice(top, top + len(window))
            background = (rows[some] @ wide.flatten(1)).unflatten(1, wide.shape[1:])
            x[:, some] += background + tiled[: len(background)]
        return x


def _blocks(spec: HieraSpec) -> list[MultiScaleBlock]:
    blocks: list[MultiScaleBlock] = []
    for stage, depth in enumerate(spec.stages):
        dim_out, heads = spec.embed_dim * 2**stage, spec.num_heads * 2**stage
        for place in range(depth):
            shrinks = stage > 0 and place == 0
            # a shrinking block still sees the finer stage, so it uses that stage's windows
            window = spec.window_sizes[stage - 1 if shrinks else stage]
            blocks.append(
                MultiScaleBlock(
                    dim_out // 2 if shrinks else dim_out,
                    dim_out,
                    heads,
                    spec.mlp_ratio,
                    q_stride=(POOL, POOL) if shrinks else None,
                    window_size=0 if len(blocks) in spec.global_blocks else window,
                )
            )
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
