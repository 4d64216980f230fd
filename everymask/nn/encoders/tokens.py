"""What every transformer trunk does to its tokens: norm, feed-forward, residual steps in bands.

A trunk keeps its tokens as one picture-shaped tensor [B, H, W, C], the *stream*, in float32; the
matrix products run in the weights' dtype. A half-precision model therefore rounds each branch, but
never the sum that they all add to.

In a trunk's fast form (``nn/touched.py``) the steps run over bands of rows: a band's wide intermediates
(three times C after qkv, four times in the feed-forward) stay in the processor's cache, and none of
them ever exists for the whole picture. A band gives the values that the whole picture would.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everymask.nn.layers import under_autocast
from everymask.nn.products import linear

# Products of 1024 rows run at the full speed of the core, those of 16384 up to a quarter slower
# (docs/lab-notes.md, "Encoders").
BAND_TOKENS = 1024


class PatchEmbed(nn.Module):
    """One strided convolution: pixels [B, 3, H, W] to tokens [B, h, w, C]."""

    PARTS: ClassVar = {"proj": nn.Conv2d}

    def __init__(self, dim: int, kernel: int, stride: int, padding: int = 0) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel, stride, padding)

    def forward(self, pixels: Tensor) -> Tensor:
        # Channels last, so that the permutation below leaves the tokens contiguous. Not `.contiguous`:
        # for one picture it takes any stride between pictures, and the convolution then does not.
        pixels = pixels.clone(memory_format=torch.channels_last)
        return self.proj(pixels).permute(0, 2, 3, 1)


class StreamNorm(nn.LayerNorm):
    """Layer norm taken in the stream's dtype, handed on in the weights' dtype."""

    def forward(self, x: Tensor) -> Tensor:  # [..., C] -> [..., C]
        return normed(x, self)


def normed(x: Tensor, norm: nn.LayerNorm) -> Tensor:  # [..., C] -> [..., C]
    """:class:`StreamNorm` with the weights of ``norm``, whatever class of layer norm it is."""
    if x.dtype == norm.weight.dtype or under_autocast(x):
        return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    weight, bias = norm.weight.to(x.dtype), norm.bias.to(x.dtype)
    return F.layer_norm(x, norm.normalized_shape, weight, bias, norm.eps).to(norm.weight.dtype)


def feed_forward(x: Tensor, widen: nn.Linear, narrow: nn.Linear) -> Tensor:  # [..., C] -> [..., C]
    """The two-layer perceptron with the exact (erf) GELU between the layers."""
    return linear(linear(x, widen, "gelu"), narrow)


def band_rows(x: Tensor, multiple: int = 1) -> int:
    """How many rows of ``x`` [B, H, W, C] to take at once: a multiple of ``multiple``, never none.

    A GPU takes the whole picture: it hides memory behind many threads, and bands would only cost
    kernel launches.

    >>> band_rows(torch.zeros(1, 64, 64, 768), multiple=14)
    14
    """
    height = x.shape[1]
    if x.device.type != "cpu":
        return max(height, 1)
    return max(BAND_TOKENS // (x.shape[0] * x.shape[2]) // multiple, 1) * multiple


def add_branch(x: Tensor, branch: Callable[[Tensor], Tensor], rows: int, *, own: bool) -> Tensor:
    """``x + branch(x)`` for a ``branch`` that works on bands of ``rows`` rows of [B, H, W, C].

    ``own`` says that nobody else holds ``x``: it is overwritten.
    """
    total = x if own else torch.empty_like(x)
    for band, target in zip(x.split(rows, dim=1), total.split(rows, dim=1), strict=True):
        torch.add(band, branch(band), out=target)
    return total
