"""Rotary position encoding of a 2-d grid.

Channel pairs (0, 1), (2, 3), ... are turned by an angle that grows with the token's place on the grid:
the first half of the pairs by its column, the second half by its row. Turning pairs is a product of complex
numbers; these have no kernels on several devices, where it is written out in real ones.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Rotation(NamedTuple):
    """The turn of every token of an h x w grid, row by row."""

    cos: Tensor  # [h * w, D / 2]
    sin: Tensor  # [h * w, D / 2]
    grid_hw: tuple[int, int]


def grid_rotation(
    channels: int, grid_hw: tuple[int, int], *, theta: float = 10000.0, device: torch.device | None = None
) -> Rotation:
    """Angles for ``channels`` channels (a multiple of 4) on a grid of tokens, always in float32.

    >>> grid_rotation(8, (2, 3)).cos.shape
    torch.Size([6, 4])
    """
    if channels % 4:
        raise ValueError(f"rotary channels must be a multiple of 4, got {channels}")
    height, width = grid_hw
    index = torch.arange(height * width, dtype=torch.float32, device=device)
    column, row = index % width, torch.div(index, width, rounding_mode="floor")
    exponent = torch.arange(0, channels, 4, dtype=torch.float32, device=device) / channels
    frequency = 1.0 / (theta**exponent)  # [D / 4]
    angle = torch.cat([torch.outer(column, frequency), torch.outer(row, frequency)], dim=-1)
    return Rotation(angle.cos(), angle.sin(), grid_hw)


def rotate(tokens: Tensor, rotation: Rotation) -> Tensor:
    """``tokens`` [..., n * h * w, D] turned by their place; n grids behind one another share the turn."""
    *batch, length, channels = tokens.shape
    places = rotation.cos.shape[0]
    wide = tokens if tokens.dtype == torch.float64 else tokens.float()
    pairs = wide.reshape(*batch, length // places, places, channels // 2, 2)
    if tokens.device.type in ("cpu", "cuda"):  # 20 times faster on a CPU
        turn = torch.complex(rotation.cos, rotation.sin)
        turned = torch.view_as_real(torch.view_as_complex(pairs) * turn)
    else:
        even, odd = pairs.unbind(-1)
        turned = torch.stack(
            [even * rotation.cos - odd * rotation.sin, even * rotation.sin + odd * rotation.cos], dim=-1
        )
    return turned.reshape(*batch, length, channels).to(tokens.dtype)
