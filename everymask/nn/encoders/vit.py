"""The plain vision transformer of SAM (Kirillov et al. 2023; Li et al. 2022, ViTDet), with windows and
decomposed relative positions. Key names are those of the official checkpoints.

Letters: B images, H x W tokens, C channels, K heads, D = C / K.
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
from everymask.nn.encoders.relative import attend_relative, relative_bias
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
    window_partition,
    window_unpartition,
)
from everymask.nn.layers import MLP, LayerNorm2d, MLPBlock, is_exact_gelu
from everymask.nn.products import linear
from everymask.nn.touched import untouched


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


class Attention(nn.Module):
    """Multi-head attention, with decomposed relative positions if ``use_rel_pos``."""

    PARTS: ClassVar = {"qkv": nn.Linear, "proj": nn.Linear}

    def __init__(
        self,
        dim: int,
        num_heads: int = 8,
        qkv_bias: bool = True,
        use_rel_pos: bool = False,
        rel_pos_zero_init: bool = True,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        """``input_size``: height and width in tokens that the position tables are made for."""
        super().__init__()
        self.num_heads = num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.use_rel_pos = use_rel_pos
        if use_rel_pos:
            if input_size is None:
                raise ValueError("relative positions need the size in tokens that their tables are for")
            self.rel_pos_h = nn.Parameter(torch.zeros(2 * input_size[0] - 1, dim // num_heads))
            self.rel_pos_w = nn.Parameter(torch.zeros(2 * input_size[1] - 1, dim // num_heads))

    def forward(self, x: Tensor) -> Tensor:
        """Attention over all of [B, H, W, C]: a picture, or one window of several."""
        batch, height, width, _ = x.shape
        qkv = self.qkv(x).reshape(batch, height * width, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.reshape(3, batch * self.num_heads, height * width, -1).unbind(0)  # [B · K, T, D]
        scores = (q * self.scale) @ k.transpose(-2, -1)
        if self.use_rel_pos:
            scores = scores + relative_bias(q, self.rel_pos_h, self.rel_pos_w, (height, width))
        mixed = (scores.softmax(dim=-1) @ v).view(batch, self.num_heads, height, width, -1)
        return self.proj(mixed.permute(0, 2, 3, 1, 4).reshape(batch, height, width, -1))

    def fast(self, x: Tensor, window: int) -> Tensor:
        """The same within windows of [B, H, W, C], or over the whole if ``window`` is 0."""
        hw = x.shape[1], x.shape[2]
        qkv = linear(x, self.qkv)
        windows = split_windows(qkv, window, self.qkv.bias) if window else qkv[:, None, None]
        down, across, high, wide = windows.shape[1:5]
        q, k, v = (part.flatten(1, 2) for part in split_heads(windows, self.num_heads))  # [P, T, D]
        if self.use_rel_pos:
            mixed = attend_relative(q, k, v, self.rel_pos_h, self.rel_pos_w, (high, wide))
        else:
            mixed = attend(q, k, v)
        picture = join_heads(mixed.unflatten(1, (high, wide)), (down, across), self.num_heads, hw)
        return linear(picture, self.proj)


class Block(nn.Module):
    """Attention within windows or over the whole picture, then the feed-forward branch."""

    PARTS: ClassVar = {"norm1": nn.LayerNorm, "attn": Attention, "norm2": nn.LayerNorm, "mlp": MLPBlock}

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        norm_layer: Callable[[int], nn.Module] = nn.LayerNorm,
        act_layer: type[nn.Module] = nn.GELU,
        use_rel_pos: bool = False,
        rel_pos_zero_init: bool = True,
        window_size: int = 0,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        """``window_size`` 0: the whole picture. ``input_size`` is that of the position tables then."""
        super().__init__()
        self.window_size = window_size
        table_hw = (window_size, window_size) if window_size else input_size
        self.norm1 = norm_layer(dim)
        self.attn = Attention(dim, num_heads, qkv_bias, use_rel_pos, rel_pos_zero_init, table_hw)
        self.norm2 = norm_layer(dim)
        self.mlp: MLPBlock | MLP = MLPBlock(dim, int(dim * mlp_ratio), act_layer)

    @property
    def usual(self) -> bool:
        return is_exact_gelu(self.mlp.act)

    def forward(self, x: Tensor) -> Tensor:  # [B, H, W, C]
        if untouched(self, x):
            return self.fast(x)
        branch, hw = self.norm1(x), (x.shape[1], x.shape[2])
        if self.window_size == 0:
            x = x + self.attn(branch)
        else:
            windows, covered = window_partition(branch, self.window_size)
            x = x + window_unpartition(self.attn(windows), self.window_size, covered, hw)
        return x + self.mlp(self.norm2(x))

    def fast(self, x: Tensor, *, own: bool = False) -> Tensor:
        """The same in bands; overwrites ``x`` if it is the caller's ``own``."""
        norm1, norm2 = cast(nn.LayerNorm, self.norm1), cast(nn.LayerNorm, self.norm2)
        window = self.window_size
        rows = band_rows(x, window) if window else x.shape[1]
        x = add_branch(x, lambda band: self.attn.fast(normed(band, norm1), window), rows, own=own)
        widen, narrow = self.linears
        return add_branch(
            x, lambda band: feed_forward(normed(band, norm2), widen, narrow), band_rows(x), own=True
        )

    @property
    def linears(self) -> tuple[nn.Linear, nn.Linear]:
        """The two layers of the feed-forward branch."""
        mlp = cast(MLPBlock, self.mlp)
        return mlp.lin1, mlp.lin2


class ViT(nn.Module):
    """Pixels [B, 3, H, W] to the image embedding [B, out_dim, H / 16, W / 16].

    Pictures of other sizes than ``image_size`` work, if both sides are multiples of the patch size:
    the absolute positions are stretched bicubically and the relative ones linearly, as ViTDet does.
    """

    PARTS: ClassVar = {"blocks": Block}

    def __init__(self, spec: ViTSpec, image_size: int = 1024) -> None:
        super().__init__()
        self.spec = spec
        grid = spec.grid or image_size // spec.patch_size
        self.patch_embed = PatchEmbed(spec.embed_dim, kernel=spec.patch_size, stride=spec.patch_size)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, spec.embed_dim))
        self.blocks = nn.ModuleList(
            Block(
                spec.embed_dim,
                spec.num_heads,
                spec.mlp_ratio,
                norm_layer=partial(StreamNorm, eps=1e-6),
                use_rel_pos=True,
                window_size=0 if index in spec.global_blocks else spec.window_size,
                input_size=(grid, grid),
            )
            for index in range(spec.depth)
        )
        self.neck = neck(spec.embed_dim, spec.out_dim)

    def forward(self, x: Tensor, early: list[Tensor] | None = None, most: int = 1) -> Tensor:
        """``early``, if given, takes what the first ``most`` global blocks give, [B, C, h, w]."""
        dtype = x.dtype
        # nobody sees what goes from block to block; without positions the first is the convolution's own
        unseen = self.pos_embed is not None and untouched(self, x)
        x = self.patch_embed(x)
        x = x.float() if self.pos_embed is None else self._with_positions(x)
        for block in self.blocks:
            x = cast(Block, block).fast(x, own=True) if unseen else block(x)
            if early is not None and len(early) < most and cast(Block, block).window_size == 0:
                early.append(x.to(dtype).permute(0, 3, 1, 2).clone())  # x is written to again
        return self.neck(x.to(dtype).permute(0, 3, 1, 2))

    def _with_positions(self, x: Tensor) -> Tensor:  # [B, H, W, C]
        positions = self.pos_embed.float()
        if positions.shape[1:3] != x.shape[1:3]:
            table = positions.permute(0, 3, 1, 2)
            stretched = F.interpolate(table, size=x.shape[1:3], mode="bicubic", align_corners=False)
            positions = stretched.permute(0, 2, 3, 1)
        return x.float() + positions


def neck(dim: int, out_dim: int) -> nn.Sequential:
    """The trunk's map [B, C, h, w] to the image embedding [B, out_dim, h, w]; MobileSAM has the same."""
    return nn.Sequential(
        nn.Conv2d(dim, out_dim, kernel_size=1, bias=False),
        LayerNorm2d(out_dim),
        nn.Conv2d(out_dim, out_dim, kernel_size=3, padding=1, bias=False),
        LayerNorm2d(out_dim),
    )
