"""A convolution and its batch norm, as TinyViT and RepViT are made of them."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everymask.nn.layers import at_least_float32, in_type_of
from everymask.nn.touched import untouched


class ConvNorm(nn.Module):
    """A convolution and its batch norm, run as one convolution outside training.

    Works in the dtype of what comes in; the two are multiplied together in float32 or better.
    """

    PARTS: ClassVar = {"c": nn.Conv2d, "bn": nn.BatchNorm2d}

    def __init__(self, dim: int, dim_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.c = nn.Conv2d(dim, dim_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(dim_out)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W]
        return (
            self.fast(x) if not self.training and untouched(self, x) else self.bn(self.c(in_type_of(self, x)))
        )

    def fast(self, x: Tensor, padding: tuple[int, int] | None = None) -> Tensor:
        """The same as one convolution, outside training; ``padding`` in place of the layer's own."""
        weight, bias = self.folded()
        around = self.c.padding if padding is None else padding
        return F.conv2d(x, weight.to(x.dtype), bias.to(x.dtype), self.c.stride, around, groups=self.c.groups)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight [C_out, C_in / groups, k, k] and bias [C_out] of the one convolution."""
        norm = self.bn
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None, "BatchNorm2d tracks its statistics unless told not to"
        assert variance is not None
        gain, shift, mean, variance, weight = (
            at_least_float32(x) for x in (norm.weight, norm.bias, mean, variance, self.c.weight)
        )
        scale = gain * torch.rsqrt(variance + norm.eps)
        return weight * scale[:, None, None, None], shift - mean * scale
