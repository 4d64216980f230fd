"""Small layers that every room of ``nn`` shares.

Letters used in shapes: B images or prompts, C channels, h x w a grid.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def at_least_float32(x: Tensor) -> Tensor:
    """``x`` in float32, or in float64 if it is: where half precision would not do."""
    return x if x.dtype == torch.float64 else x.float()


def in_type_of(module: nn.Module, x: Tensor) -> Tensor:
    """``x`` in the type of the module's weights, if these are floating point (quantised layers have none)."""
    weight = next(module.parameters(), None)
    return x if weight is None or not weight.is_floating_point() else x.to(weight.dtype)


def is_exact_gelu(act: nn.Module) -> bool:
    """Whether an activation is the GELU that fast forms compute: by erf, not by its tanh approximation."""
    return isinstance(act, nn.GELU) and act.approximate == "none"


class MLPBlock(nn.Module):
    """Two linear layers with an activation between them, under SAM's names."""

    PARTS: ClassVar = {"lin1": nn.Linear, "lin2": nn.Linear, "act": nn.Module}

    def __init__(self, embedding_dim: int, mlp_dim: int, act: type[nn.Module] = nn.GELU) -> None:
        super().__init__()
        self.lin1 = nn.Linear(embedding_dim, mlp_dim)
        self.lin2 = nn.Linear(mlp_dim, embedding_dim)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(self.act(self.lin1(x)))


class MLP(nn.Module):
    """Linear layers with an activation between them, and after the last one a sigmoid if asked for.

    A module kept in float32 inside a bfloat16 model (see ``models/base.py``) takes its input as it
    comes: the input is cast to the type of the weights.
    """

    PARTS: ClassVar = {"layers": nn.Linear, "act": nn.Module}

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
        x = in_type_of(self, x)
        for layer in self.layers[:-1]:
            x = self.act(layer(x))
        x = self.layers[-1](x)
        return x.sigmoid() if self.sigmoid else x


class DropPath(nn.Module):
    """In training, a branch left out of some pictures of the batch, and the others' made up for it."""

    def __init__(self, drop_prob: float = 0.0, scale_by_keep: bool = True) -> None:
        super().__init__()
        self.drop_prob, self.scale_by_keep = drop_prob, scale_by_keep

    def forward(self, x: Tensor) -> Tensor:  # [B, ...]
        if self.drop_prob == 0.0 or not self.training:
            return x
        keep = 1 - self.drop_prob
        kept = x.new_empty((len(x),) + (1,) * (x.ndim - 1)).bernoulli_(keep)
        return x * (kept / keep if self.scale_by_keep and keep > 0 else kept)


def under_autocast(x: Tensor) -> bool:
    """Whether autocast is on for the device of ``x``; some devices (meta) have none."""
    device = x.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of a map, pixel by pixel.

    The result is in channels-last memory order: one fused kernel does the work, where the formula
    written out over axis 1 takes six passes over the map.
    """

    def __init__(self, num_channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:  # [B, C, h, w] -> [B, C, h, w]
        if under_autocast(x):
            x = x.to(self.weight.dtype)  # as the formula's products with the weights do
        channels_last = x.permute(0, 2, 3, 1)
        normed = F.layer_norm(channels_last, self.weight.shape, self.weight, self.bias, self.eps)
        return normed.permute(0, 3, 1, 2)
