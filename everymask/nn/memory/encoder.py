"""The memory encoder: a frame's features and an object's mask become the memory of that object.

Letters: B objects, S the model's picture size, C channels of the frame, D of the memory, h x w its grid.
Attribute names are those of the official checkpoints (``memory_encoder.fuser.layers.0.dwconv...``).
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from everymask.nn.layers import DropPath, LayerNorm2d


class MaskDownsampler(nn.Module):
    """A mask [B, 1, S, S] as features [B, C, S / 16, S / 16]: in steps of ``stride``, each with as many times
    the channels as it leaves fewer cells."""

    def __init__(
        self,
        channels: int,
        *,
        kernel: int = 3,
        stride: int = 2,
        padding: int = 1,
        total_stride: int = 16,
        activation: type[nn.Module] = nn.GELU,
    ):
        super().__init__()
        self.encoder = nn.Sequential()
        steps = round(math.log(total_stride, stride))
        if stride**steps != total_stride:
            raise ValueError(f"total_stride must be a power of the stride {stride}, got {total_stride}")
        width = 1
        for _ in range(steps):
            wider = width * stride**2
            self.encoder.append(nn.Conv2d(width, wider, kernel, stride=stride, padding=padding))
            self.encoder.append(LayerNorm2d(wider))
            self.encoder.append(activation())
            width = wider
        self.encoder.append(nn.Conv2d(width, channels, kernel_size=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x)


class FuserBlock(nn.Module):
    """A ConvNeXt block (Liu et al. 2022): 7 x 7 depthwise, then two linear layers, added to its input."""

    def __init__(
        self,
        channels: int,
        *,
        kernel: int = 7,
        padding: int = 3,
        depthwise: bool = True,
        scale: float = 1e-6,
        drop_path: float = 0.0,
    ):
        """``scale`` is what the branch is weighted by at first; 0: it is not weighted."""
        super().__init__()
        groups = channels if depthwise else 1
        self.dwconv = nn.Conv2d(channels, channels, kernel, padding=padding, groups=groups)
        self.norm = LayerNorm2d(channels)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(self.norm.weight.new_full((channels,), scale)) if scale > 0 else None
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:  # [B, C, h, w] -> the same
        tokens = self.norm(self.dwconv(x)).permute(0, 2, 3, 1)  # [B, h, w, C]
        tokens = self.pwconv2(self.act(self.pwconv1(tokens)))
        if self.gamma is not None:
            tokens = self.gamma * tokens
        return x + self.drop_path(tokens.permute(0, 3, 1, 2))


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
