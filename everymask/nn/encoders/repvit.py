"""RepViT (Wang et al. 2023), the trunk of EdgeTAM: depthwise convolutions mix pixels, 1 x 1 convolutions mix
channels. Key names are those of EdgeTAM's checkpoint, which are timm's (``trunk.body.stages_2.blocks.0...``).

Letters used in shapes: B images, C channels, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everymask.nn.encoders.conv_norm import ConvNorm
from everymask.nn.encoders.tokens import add_branch, band_rows
from everymask.nn.products import product
from everymask.nn.touched import untouched

EXPANSION = 2  # of the hidden channels between two 1 x 1 convolutions


@dataclass(frozen=True)
class RepViTSpec:
    """Widths and depths of the stages; the defaults are RepViT-M1's, EdgeTAM's trunk."""

    dims: tuple[int, ...] = (48, 96, 192, 384)
    depths: tuple[int, ...] = (2, 2, 14, 2)

    @property
    def channels(self) -> tuple[int, ...]:
        """Of the maps, finest first."""
        return self.dims


class RepViT(nn.Module):
    """Pixels [B, 3, H, W] to one map a stage, [B, C, H / 4, W / 4] and on in halves."""

    def __init__(self, spec: RepViTSpec) -> None:
        super().__init__()
        self.spec = spec
        self.channel_list = list(spec.dims[::-1])  # from coarse to fine, as the official class has it
        self.body = Body(spec)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        return self.body(pixels.contiguous(memory_format=torch.channels_last))


class Body(nn.Module):
    """The stem and the stages, which the checkpoint calls ``stages_0``, ``stages_1`` and so on."""

    def __init__(self, spec: RepViTSpec) -> None:
        super().__init__()
        self.stem = Stem(spec.dims[0])
        self.names = [f"stages_{index}" for index in range(len(spec.dims))]
        for index, name in enumerate(self.names):
            before = spec.dims[index - 1] if index else None
            self.add_module(name, Stage(before, spec.dims[index], spec.depths[index]))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        x, maps = self.stem(pixels), []
        for name in self.names:
            x = self.get_submodule(name)(x)
            maps.append(x)
        return maps


class Stem(nn.Module):
    """Two strided convolutions: pixels [B, 3, H, W] to [B, C, H / 4, W / 4]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, dim // 2, 3, stride=2)
        self.act1 = nn.GELU()
        self.conv2 = ConvNorm(dim // 2, dim, 3, stride=2)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.conv2(self.act1(self.conv1(pixels)))


class Stage(nn.Module):
    """The step down from the stage before, if there is one, then blocks; every other one weighs channels."""

    def __init__(self, before: int | None, dim: int, depth: int) -> None:
        super().__init__()
        self.downsample = nn.Identity() if before is None else Downsample(before, dim)
        self.blocks = nn.Sequential(*(Block(dim, weighs=index % 2 == 0) for index in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class Downsample(nn.Module):
    """A block, then half the height and width and other channels: [B, C, H, W] to [B, C', H / 2, W / 2]."""

    def __init__(self, dim: int, dim_out: int) -> None:
        super().__init__()
        self.pre_block = Block(dim, weighs=False)
        self.spatial_downsample = ConvNorm(dim, dim, 3, stride=2, groups=dim)
        self.channel_downsample = ConvNorm(dim, dim_out)
        self.ffn = ChannelMixer(dim_out)

    def forward(self, x: Tensor) -> Tensor:
        return added(self.channel_downsample(self.spatial_downsample(self.pre_block(x))), self.ffn)


class Block(nn.Module):
    """Pixels mixed channel by channel, channels weighed if asked for, channels mixed pixel by pixel."""

    def __init__(self, dim: int, *, weighs: bool) -> None:
        super().__init__()
        self.token_mixer = PixelMixer(dim)
        self.se = ChannelWeights(dim) if weighs else nn.Identity()
        self.channel_mixer = ChannelMixer(dim)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W]
        return added(self.se(self.token_mixer(x)), self.channel_mixer)


class PixelMixer(nn.Module):
    """Two depthwise convolutions, 3 x 3 and 1 x 1, and the input itself; one convolution outside training."""

    PARTS: ClassVar = {"conv": ConvNorm, "conv1": ConvNorm}

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = ConvNorm(dim, dim, 3, groups=dim)
        self.conv1 = ConvNorm(dim, dim, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        if self.training or not untouched(self, x):
            return self.conv(x) + self.conv1(x) + x
        (weight, bias), (centre, bias_1) = self.conv.folded(), self.conv1.folded()
        weight = weight + F.pad(centre + 1, (1, 1, 1, 1))
        return F.conv2d(x, weight.to(x.dtype), (bias + bias_1).to(x.dtype), padding=1, groups=x.shape[1])


class ChannelWeights(nn.Module):
    """Squeeze and excitation (Hu et al. 2018): channels times weights that the means of all of them say."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = squeezed(dim)
        self.fc1 = nn.Conv2d(dim, hidden, 1)
        self.act = nn.ReLU()
        self.fc2 = nn.Conv2d(hidden, dim, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.fc2(self.act(self.fc1(x.mean((2, 3), keepdim=True)))))


def squeezed(dim: int) -> int:
    """A quarter of the channels, as a multiple of eight.

    >>> [squeezed(dim) for dim in (48, 96, 192, 384)]
    [16, 24, 48, 96]
    """
    return max(8, (dim // 4 + 4) // 8 * 8)


class ChannelMixer(nn.Module):
    """Widen, GELU, narrow."""

    PARTS: ClassVar = {"conv1": ConvNorm, "act": nn.GELU, "conv2": ConvNorm}

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(dim, EXPANSION * dim)
        self.act = nn.GELU()
        self.conv2 = ConvNorm(EXPANSION * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.act(self.conv1(x)))


def added(x: Tensor, mixer: nn.Module) -> Tensor:
    """``x + mixer(x)`` [B, C, H, W]; the fast form goes by bands, whose hidden values stay in the cache."""
    if not isinstance(mixer, ChannelMixer) or mixer.training or not untouched(mixer, x):
        return x + mixer(x)
    layers = [
        (weight.flatten(1).to(x.dtype), bias.to(x.dtype))
        for weight, bias in (mixer.conv1.folded(), mixer.conv2.folded())
    ]

    def branch(band: Tensor) -> Tensor:
        return product(product(band, *layers[0], "gelu"), *layers[1])

    tokens = x.permute(0, 2, 3, 1).contiguous()
    return add_branch(tokens, branch, band_rows(tokens), own=False).permute(0, 3, 1, 2)
