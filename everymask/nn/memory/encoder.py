"""The memory encoder: a frame's features and an object's mask become the memory of that object.

Letters: B objects, S the model's picture size, C channels of the frame, D of the memory, h x w its grid.
Attribute names are those of the official checkpoints (``memory_encoder.fuser.layers.0.dwconv...``).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from everymask.nn.layers import LayerNorm2d


class MaskDownsampler(nn.Module):
    """A mask [B, 1, S, S] as features [B, C, S / 16, S / 16]: four halvings, each with 4x the channels."""

    def __init__(self, channels: int, *, halvings: int = 4):
        super().__init__()
        self.encoder = nn.Sequential()
        width = 1
        for _ in range(halvings):
            self.encoder.append(nn.Conv2d(width, 4 * width, kernel_size=3, stride=2, padding=1))
            self.encoder.append(LayerNorm2d(4 * width))
            self.encoder.append(nn.GELU())
            width *= 4
        self.encoder.append(nn.Conv2d(width, channels, kernel_size=1))

    def forward(self, mask: Tensor) -> Tensor:
        return self.encoder(mask)


class FuserBlock(nn.Module):
    """A ConvNeXt block (Liu et al. 2022): 7 x 7 depthwise, then two linear layers, added to its input."""

    def __init__(self, channels: int, *, kernel: int = 7):
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = LayerNorm2d(channels)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(self.norm.weight.new_full((channels,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:  # [B, C, h, w] -> the same
        tokens = self.norm(self.dwconv(x)).permute(0, 2, 3, 1)  # [B, h, w, C]
        tokens = self.gamma * self.pwconv2(F.gelu(self.pwconv1(tokens)))
        return x + tokens.permute(0, 3, 1, 2)


class Fuser(nn.Module):
    """Blocks one after the other."""

    def __init__(self, channels: int, layers: int):
        super().__init__()
        self.layers = nn.ModuleList(FuserBlock(channels) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class MemoryEncoder(nn.Module):
    """Features of the frame plus features of the mask, fused and narrowed."""

    def __init__(self, channels: int = 256, memory_channels: int = 64, *, fuser_layers: int = 2):
        super().__init__()
        self.mask_downsampler = MaskDownsampler(channels)
        self.pix_feat_proj = nn.Conv2d(channels, channels, kernel_size=1)
        self.fuser = Fuser(channels, fuser_layers)
        # As in the official code, nothing (and no key in the checkpoint) where no narrowing is needed.
        narrow = memory_channels != channels
        self.out_proj = nn.Conv2d(channels, memory_channels, kernel_size=1) if narrow else nn.Identity()

    def forward(self, frame: Tensor, mask: Tensor) -> Tensor:
        """``frame`` [B, C, h, w], or [1, C, h, w] shared by all objects, and ``mask`` [B, 1, S, S] already
        scaled as the model wants it: the memory [B, D, h, w]."""
        x = self.pix_feat_proj(frame) + self.mask_downsampler(mask)
        return self.out_proj(self.fuser(x))
