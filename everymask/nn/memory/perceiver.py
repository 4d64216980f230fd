"""EdgeTAM's spatial perceiver (Zhou et al. 2025): 4096 cells of a memory become 512 latents.

Half of the latents ask the whole memory and have no place of their own. The other half ask one window of it
each and keep the window's place. Memory attention then looks at an eighth of the tokens.

Letters: B objects, D channels, h x w the memory's grid, n x n windows. Attribute names are those of EdgeTAM's
checkpoint (``spatial_perceiver.layers.0.attn.to_q...``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everymask.nn.position import sine_map


@dataclass(frozen=True)
class PerceiverSpec:
    """How many latents ask, and through how many layers; the defaults are EdgeTAM's."""

    placed: int = 256  # latents with a window each; a square number
    unplaced: int = 256  # latents that ask the whole memory
    layers: int = 2
    expansion: int = 4

    @property
    def grid_hw(self) -> tuple[int, int]:
        """The grid of windows."""
        side = math.isqrt(self.placed)
        if side * side != self.placed:
            raise ValueError(f"a perceiver's placed latents must be a square number, got {self.placed}")
        return side, side


class Perceiver(nn.Module):
    """The memory [B, D, h, w] of B objects as [B, D, placed + unplaced], placed latents first."""

    def __init__(self, dim: int, spec: PerceiverSpec) -> None:
        super().__init__()
        self.spec = spec
        self.latents = nn.Parameter(torch.randn(spec.unplaced, dim))
        self.latents_2d = nn.Parameter(torch.randn(spec.placed, dim))
        self.layers = nn.ModuleList(PerceiverLayer(dim, spec.expansion) for _ in range(spec.layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, memory: Tensor) -> Tensor:
        tokens = torch.cat([self.of_windows(memory), self.of_all(memory)], dim=1)
        return tokens.transpose(1, 2)

    def of_all(self, memory: Tensor) -> Tensor:
        """What the latents without a place find in the whole memory, [B, unplaced, D]."""
        height, width = memory.shape[-2:]
        place = sine_map((height, width), memory.shape[1]).to(memory)
        x = self.latents.expand(len(memory), -1, -1)
        for layer in self.layers:
            x = layer(x, _tokens(memory), _tokens(place))
        return self.norm(x)

    def of_windows(self, memory: Tensor) -> Tensor:
        """What each placed latent finds in its window, [B, placed, D], row by row."""
        batch, dim, height, width = memory.shape
        rows, columns = self.spec.grid_hw
        if height % rows or width % columns:
            raise ValueError(f"{rows} x {columns} windows do not divide a memory of {height} x {width} cells")
        windows = memory.view(batch, dim, rows, height // rows, columns, width // columns)
        windows = windows.permute(0, 2, 4, 3, 5, 1).reshape(batch * rows * columns, -1, dim)
        x = self.latents_2d.expand(batch, -1, -1).reshape(batch * rows * columns, 1, dim)
        for layer in self.layers:
            x = layer(x, windows)
        return self.norm(x.view(batch, rows * columns, dim))


def _tokens(grid: Tensor) -> Tensor:
    """[B, D, h, w] -> [B, h * w, D]"""
    return grid.flatten(2).transpose(1, 2)


class PerceiverLayer(nn.Module):
    """Latents look at the memory, then at one another, each time followed by two linear layers."""

    def __init__(self, dim: int, expansion: int) -> None:
        super().__init__()
        self.attn = LatentAttention(dim)
        self.ff = feed_forward(dim, expansion)
        self.self_attn = SelfAttention(dim)
        self.self_ff = feed_forward(dim, expansion)

    def forward(self, latents: Tensor, memory: Tensor, place: Tensor | None = None) -> Tensor:
        """``latents`` [B, L, D], ``memory`` [B, T, D] and the code of its places, [B or 1, T, D]."""
        x = latents + self.attn(latents, memory, place)
        x = x + self.ff(x)
        x = x + self.self_attn(x)
        return x + self.self_ff(x)


class LatentAttention(nn.Module):
    """Latents ask, the memory answers; places are added to its keys and to its values."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm_x = nn.LayerNorm(dim)
        self.norm_latents = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.Linear(dim, 2 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim, bias=False)

    def forward(self, latents: Tensor, memory: Tensor, place: Tensor | None) -> Tensor:
        q = self.to_q(self.norm_latents(latents))
        k, v = self.to_kv(self.norm_x(memory)).chunk(2, dim=-1)
        if place is not None:
            k, v = k + place, v + place
        return self.to_out(_attend(q, k, v))


class SelfAttention(nn.Module):
    """Latents ask one another."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.Linear(dim, 2 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        k, v = self.to_kv(x).chunk(2, dim=-1)
        return self.to_out(_attend(self.to_q(x), k, v))


def feed_forward(dim: int, expansion: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(dim),
        nn.Linear(dim, expansion * dim, bias=False),
        nn.GELU(),
        nn.Linear(expansion * dim, dim, bias=False),
    )


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One head. With an axis of heads, else torch would take its unfused way."""
    return F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
