"""Small layers that every room of ``nn`` shares.

Letters used in shapes: B images or prompts, C channels, h x w a grid.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def at_least_float32(x: Tensor) -> Tensor:
    """``x`` in float32, or in float64 if it is: where half precision would not do."""
    return x if x.dtype == torch.float64 else x.float()


class MLP(nn.Module):
    """Linear layers with an activation between them, and after the last one a sigmoid if asked for.

    A module kept in float32 inside a bfloat16 model (see ``models/base.py``) takes its input as it
    comes: the input is cast to the type of the weights.
    """

    def __init__(
        self,
        in_dim: int,
        hidden_dim: int,
        out_dim: int,
        depth: int,
        *,
        activation: type[nn.Module] = nn.ReLU,
        sigmoid: bool = False,
    ) -> None:
        super().__init__()
        dims = [in_dim, *[hidden_dim] * (depth - 1), out_dim]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(dims))
        self.act = activation()
        self.sigmoid = sigmoid

    def forward(self, x: Tensor) -> Tensor:  # [..., in_dim] -> [..., out_dim]
        x = x.to(next(self.parameters()).dtype)
        for layer in self.layers[:-1]:
            x = self.act(layer(x))
        x = self.layers[-1](x)
        return x.sigmoid() if self.sigmoid else x


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of a map, pixel by pixel.

    The result is in channels-last memory order: one fused kernel does the work, where the formula
    written out over axis 1 takes six passes over the map.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:  # [B, C, h, w] -> [B, C, h, w]
        channels_last = x.permute(0, 2, 3, 1)
        normed = F.layer_norm(channels_last, self.weight.shape, self.weight, self.bias, self.eps)
        return normed.permute(0, 3, 1, 2)
