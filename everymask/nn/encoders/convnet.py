"""nano's own trunk: a small convolutional encoder of the RepViT kind with attention at its coarse end,
and, where its spec says so, a network pretrained on ImageNet beside it.

Four maps at strides 4, 8, 16 and 32, as SAM 2's FPN neck takes them. Depthwise 3 x 3 (5 x 5 at stride
32) mix pixels, 1 x 1 convolutions mix channels. At stride 32, where a map has 64 to 256
cells, self-attention lets every part of the photo see every other: SAM 2's mask decoder never does
that for image tokens, so grouping over long distances has to come from here.

Letters used in shapes: B images, C channels, H x W pixels, h x w cells, N = h * w.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from everymask.nn.encoders.efficientnet_lite import EfficientNetLite, LiteSpec

PIXEL_MEAN = (0.485, 0.456, 0.406)  # SAM 2's normalisation, undone for the pretrained network
PIXEL_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ConvSpec:
    """Widths and depths of the four stages."""

    dims: tuple[int, int, int, int] = (32, 64, 160, 256)
    depths: tuple[int, int, int, int] = (2, 2, 11, 2)
    expansion: int = 2
    kernels: tuple[int, int, int, int] = (3, 3, 3, 5)
    attention_after: tuple[tuple[int, ...], ...] = ((), (), (4, 11), (1, 2))
    """After which blocks of a stage, counted from 1, all its cells see one another."""
    attention_heads: int = 8
    pretrained: LiteSpec | None = None
    """Its maps at strides 16 and 32 are added where the own stages of these strides begin."""

    @property
    def channel_list(self) -> list[int]:
        """Widths from coarse to fine, the order in which the neck lists them."""
        return list(self.dims[::-1])


class ConvNet(nn.Module):
    """A pyramid of four maps of a photo."""

    def __init__(self, spec: ConvSpec) -> None:
        super().__init__()
        self.spec = spec
        self.channel_list = spec.channel_list
        first = spec.dims[0]
        self.stem = nn.Sequential(
            ConvNorm(3, first // 2, 3, stride=2), nn.ReLU(), ConvNorm(first // 2, first, 3, stride=2)
        )
        self.downs = nn.ModuleList(ConvNorm(spec.dims[i], spec.dims[i + 1], 3, stride=2) for i in range(3))
        self.stages = nn.ModuleList(nn.Sequential(*stage_blocks(spec, index)) for index in range(4))
        if spec.pretrained is not None:
            self.pretrained = EfficientNetLite(spec.pretrained)
            self.joints = nn.ModuleList(
                Joint(channels, dim)
                for channels, dim in zip(self.pretrained.channels, spec.dims[2:], strict=True)
            )

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """[B, 3, H, W] -> maps [B, C, H / 4, W / 4] ... [B, C, H / 32, W / 32]."""
        seen = self.look(pixels)
        x = self.stages[0](self.stem(pixels))
        maps = [x]
        for index, (down, stage) in enumerate(zip(self.downs, self.stages[1:], strict=True), 1):
            x = down(x)
            if index in seen:
                x = x + seen[index]
            x = stage(x)
            maps.append(x)
        return maps

    def look(self, pixels: Tensor) -> dict[int, Tensor]:
        """What the pretrained network adds, by stage; nothing where there is none."""
        if self.spec.pretrained is None:
            return {}
        maps = self.pretrained(unit_values(pixels))
        return {
            2 + index: joint(each) for index, (joint, each) in enumerate(zip(self.joints, maps, strict=True))
        }


class Joint(nn.Module):
    """A map of the pretrained network as a stage takes it; nothing at first."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.conv = nn.Conv2d(inputs, outputs, 1)
        for parameter in self.conv.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.group_norm(x, self.inputs, eps=1e-4))  # each channel by its spread in this photo


def unit_values(pixels: Tensor) -> Tensor:
    """Pixels [B, 3, H, W] as SAM 2 normalises them -> values 0 to 1."""
    mean, std = (torch.tensor(x, dtype=pixels.dtype, device=pixels.device) for x in (PIXEL_MEAN, PIXEL_STD))
    return pixels * std[:, None, None] + mean[:, None, None]


def stage_blocks(spec: ConvSpec, index: int) -> list[nn.Module]:
    dim = spec.dims[index]
    blocks: list[nn.Module] = []
    for count in range(1, spec.depths[index] + 1):
        blocks.append(ConvBlock(dim, spec.expansion, spec.kernels[index]))
        if count in spec.attention_after[index]:
            blocks.append(CellAttention(dim, spec.attention_heads))
    return blocks


class ConvNorm(nn.Sequential):
    """Convolution and :class:`PhotoNorm`."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            PhotoNorm(outputs),
        )


class PhotoNorm(nn.GroupNorm):
    """Each channel of each photo by its own mean and spread.

    Not a batch norm: trained on made scenes, its statistics are wrong for photos (click IoU 0.24 with
    them, 0.29 with the photo's own).
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, eps=1e-4)


class ConvBlock(nn.Module):
    """Mix pixels channel by channel, then mix channels pixel by pixel; both added to the input."""

    def __init__(self, dim: int, expansion: int, kernel: int) -> None:
        super().__init__()
        self.pixels = ConvNorm(dim, dim, kernel, groups=dim)
        self.widen = ConvNorm(dim, expansion * dim, 1)
        self.narrow = ConvNorm(expansion * dim, dim, 1)
        norm = self.narrow[1]
        assert isinstance(norm, PhotoNorm)
        nn.init.constant_(norm.weight, 0.2)  # near the identity at first: deep stacks start calm

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pixels(x)
        return x + self.narrow(F.relu(self.widen(x)))


class CellAttention(nn.Module):
    """Self-attention of all cells of a map; the convolutions around it tell where a cell lies."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = PhotoNorm(dim)
        self.qkv = nn.Conv2d(dim, 3 * dim, 1)
        self.out = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, C, h, w]."""
        batch, dim, height, width = x.shape
        q, k, v = self.qkv(self.norm(x)).view(batch, 3, self.heads, dim // self.heads, -1).unbind(1)
        scores = q.transpose(-2, -1) @ k * (dim // self.heads) ** -0.5  # [B, heads, N, N]
        mixed = (v @ torch.softmax(scores, dim=-1).transpose(-2, -1)).reshape(batch, dim, height, width)
        return x + self.out(mixed)
