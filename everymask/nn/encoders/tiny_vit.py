"""TinyViT, the image encoder of MobileSAM (Wu et al. 2022; Zhang et al. 2023): convolutions, then
windowed transformer blocks. Key names are those of the official checkpoint.

Letters: B images, H x W tokens, C channels, N windows, K heads, D = C / K.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everymask.nn.encoders.conv_norm import ConvNorm
from everymask.nn.encoders.tokens import StreamNorm, add_branch, band_rows, feed_forward, normed
from everymask.nn.encoders.vit import neck
from everymask.nn.encoders.windows import (
    join_windows,
    split_windows,
    window_partition,
    window_unpartition,
)
from everymask.nn.products import linear
from everymask.nn.touched import untouched

EXPANSION = 4  # of the inner channels, in convolution blocks and feed-forward branches alike
CLASSES = 1000


@dataclass(frozen=True)
class TinyViTSpec:
    """The sizes of a TinyViT; the defaults are MobileSAM's."""

    embed_dims: tuple[int, ...] = (64, 128, 160, 320)
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_heads: tuple[int, ...] = (2, 4, 5, 10)
    window_sizes: tuple[int, ...] = (7, 7, 14, 7)
    """Per stage; the first entry of this and of ``num_heads`` is not used (stage 0 convolves)."""
    out_dim: int = 256
    """Channels of the neck, and of the image embedding."""


class TinyViT(nn.Module):
    """Pixels [B, 3, H, W] to the image embedding [B, out_dim, H / 16, W / 16].

    Both sides must be multiples of 16. Nothing in the weights depends on the picture's size.
    """

    def __init__(self, spec: TinyViTSpec) -> None:
        super().__init__()
        self.spec = spec
        self.patch_embed = PatchEmbed(spec.embed_dims[0])
        self.layers = nn.ModuleList(Stage(spec, index) for index in range(len(spec.depths)))
        # The classifier that TinyViT was trained with: in the checkpoint, used by nothing here.
        self.norm_head = nn.LayerNorm(spec.embed_dims[-1])
        self.head = nn.Linear(spec.embed_dims[-1], CLASSES)
        self.neck = neck(spec.embed_dims[-1], spec.out_dim)

    def forward(self, pixels: Tensor, early: list[Tensor] | None = None) -> Tensor:
        """``early``, if given, takes what the second stage hands on, [B, C, h, w]."""
        x = self.patch_embed(pixels.contiguous(memory_format=torch.channels_last))
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if early is not None and index == 1:
                early.append(x.to(pixels.dtype).clone())
        return self.neck(x.to(pixels.dtype))


class PatchEmbed(nn.Module):
    """Two strided convolutions: pixels [B, 3, H, W] to [B, C, H / 4, W / 4]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(ConvNorm(3, dim // 2, 3, stride=2), nn.GELU(), ConvNorm(dim // 2, dim, 3, 2))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.seq(pixels)


class Stage(nn.Module):
    """The blocks of one resolution, then the step to the next: [B, C, H, W] to [B, C', H', W']."""

    def __init__(self, spec: TinyViTSpec, index: int) -> None:
        super().__init__()
        dim, last = spec.embed_dims[index], len(spec.depths) - 1
        heads, window = spec.num_heads[index], spec.window_sizes[index]
        self.blocks = nn.ModuleList(
            ConvBlock(dim) if index == 0 else Block(dim, heads, window) for _ in range(spec.depths[index])
        )
        self.downsample: Merge | None = None
        if index < last:
            # MobileSAM keeps the last stage at the resolution of the one before, for 64 x 64 tokens
            stride = 1 if index == last - 1 else 2
            self.downsample = Merge(dim, spec.embed_dims[index + 1], stride)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class ConvBlock(nn.Module):
    """An inverted bottleneck: widen, mix neighbours channel by channel, narrow, add."""

    PARTS: ClassVar = {"conv1": ConvNorm, "conv2": ConvNorm, "conv3": ConvNorm}

    def __init__(self, dim: int) -> None:
        super().__init__()
        inner = EXPANSION * dim
        self.conv1 = ConvNorm(dim, inner)
        self.conv2 = ConvNorm(inner, inner, 3, groups=inner)
        self.conv3 = ConvNorm(inner, dim)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W]
        rows = band_rows(x.permute(0, 2, 3, 1))
        height = x.shape[2]
        if self.training or rows >= height or not untouched(self, x):
            return F.gelu(self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))) + x)
        return torch.cat([self._band(x, top, rows) for top in range(0, height, rows)], dim=2)

    def _band(self, x: Tensor, top: int, rows: int) -> Tensor:
        """The answer for ``rows`` rows from ``top`` on, which needs one more row on either side."""
        bottom = min(top + rows, x.shape[2])
        wide = F.gelu(self.conv1.fast(x[:, :, max(top - 1, 0) : bottom + 1]))
        # outside the picture there are zeros *behind* conv1, not its answer to zeros
        wide = F.pad(wide, (0, 0, int(top == 0), int(bottom == x.shape[2])))
        mixed = F.gelu(self.conv2.fast(wide, padding=(0, 1)))
        return F.gelu(self.conv3.fast(mixed) + x[:, :, top:bottom])


class Merge(nn.Module):
    """To the channels, and where ``stride`` is 2 the resolution, of the next stage."""

    def __init__(self, dim: int, dim_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(dim, dim_out)
        self.conv2 = ConvNorm(dim_out, dim_out, 3, stride, groups=dim_out)
        self.conv3 = ConvNorm(dim_out, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.conv1.c.weight.dtype)
        return self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))


class Attention(nn.Module):
    """Attention within windows, with one learnt bias per head and distance (|dy|, |dx|)."""

    PARTS: ClassVar = {"norm": nn.LayerNorm, "qkv": nn.Linear, "proj": nn.Linear}

    def __init__(self, dim: int, num_heads: int, window: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window = window
        self.norm = StreamNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)  # head by head: that head's q, k and v
        self.proj = nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(num_heads, window * window))

    def forward(self, x: Tensor) -> Tensor:
        """Windows of tokens [N, h w, C]; the norm comes first, so that what pads a window goes through it."""
        return self.proj(self._attend(self.qkv(self.norm(x))))

    def fast(self, x: Tensor) -> Tensor:
        """The same for a picture [B, H, W, C] of windows."""
        # The official code pads with zeros before the norm, whose answer to them is its bias.
        fill = self.qkv(self.norm.bias)
        windows = split_windows(linear(normed(x, self.norm), self.qkv), self.window, fill)
        mixed = self._attend(windows.flatten(3, 4).flatten(0, 2)).view(*windows.shape[:5], -1)
        return linear(join_windows(mixed, (x.shape[1], x.shape[2])), self.proj)

    def _attend(self, qkv: Tensor) -> Tensor:  # [N, h w, 3 C] -> [N, h w, C]
        windows, tokens, _ = qkv.shape
        heads = qkv.reshape(windows, tokens, self.num_heads, -1).transpose(1, 2)
        q, k, v = heads.chunk(3, dim=-1)  # [N, K, h w, D]
        distance = torch.from_numpy(_distance_index(self.window)).to(q.device)
        bias = self.attention_biases[:, distance].to(q.dtype)  # [K, h w, h w]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        return mixed.transpose(1, 2).reshape(windows, tokens, -1)


class Mlp(nn.Module):
    """The feed-forward branch with its norm, under the names of the official checkpoint."""

    PARTS: ClassVar = {"norm": nn.LayerNorm, "fc1": nn.Linear, "fc2": nn.Linear, "act": nn.GELU}

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = StreamNorm(dim)
        self.fc1 = nn.Linear(dim, EXPANSION * dim)
        self.fc2 = nn.Linear(EXPANSION * dim, dim)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(self.norm(x))))

    def fast(self, x: Tensor) -> Tensor:
        """The same, for one band."""
        return feed_forward(normed(x, self.norm), self.fc1, self.fc2)


class Block(nn.Module):
    """Windowed attention, a convolution over neighbours, and the feed-forward branch."""

    PARTS: ClassVar = {"attn": Attention, "mlp": Mlp}

    def __init__(self, dim: int, num_heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = Attention(dim, num_heads, window)
        self.local_conv = ConvNorm(dim, dim, 3, groups=dim)
        self.mlp = Mlp(dim)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W]
        fast = untouched(self, x)
        x = x.permute(0, 2, 3, 1).float()
        hw = x.shape[1], x.shape[2]
        if fast:
            x = add_branch(x, self.attn.fast, band_rows(x, self.window), own=False)
        else:
            windows, covered = window_partition(x, self.window)
            mixed = self.attn(windows.reshape(len(windows), -1, x.shape[-1])).reshape(windows.shape)
            x = x + window_unpartition(mixed, self.window, covered, hw)
        x = self.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        # local_conv's answer is new, but a hook on it may hold it
        x = add_branch(x, self.mlp.fast, band_rows(x), own=False) if fast else x + self.mlp(x)
        return x.permute(0, 3, 1, 2)


@cache
def _distance_index(window: int) -> np.ndarray:
    """For every pair of a window's places, the index of their distance: |dy| · window + |dx|.

    Not a tensor: what is kept while somebody exports would be one without values.
    """
    place = np.arange(window)
    apart = np.abs(place[:, None] - place[None, :])
    index = apart[:, None, :, None] * window + apart[None, :, None, :]  # [y, x, y', x']
    return index.reshape(window * window, window * window)
