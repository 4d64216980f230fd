"""Memories looked at in cells of 2 x 2, as EfficientTAM's variants _1 and _2 do (Xiong et al. 2024).

A cell's key and value are the means of its four tokens, and it counts as the four: "weighted" (_1) adds log 4
to its scores. "shifted" (_2) adds log 4 to every channel of its key instead, which is what that variant was
trained with. Tokens without a place, and the memory of a single frame, stay as they are.

Letters: B objects, H heads, F frames, L = h * w tokens of a frame, T memory tokens, D channels.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Pooling = Literal["weighted", "shifted"]

SIDE = 2
WEIGHT = math.log(SIDE * SIDE)


def pooled(x: Tensor, grid_hw: tuple[int, int], unplaced: int) -> Tensor:
    """Tokens [..., T, D], frame by frame on a grid, as the means of their cells; the last ``unplaced`` as
    they are."""
    placed = x.shape[-2] - unplaced
    frames = x[..., :placed, :].unflatten(-2, (-1, *grid_hw))  # [..., F, h, w, D]
    pictures = frames.flatten(0, -4).permute(0, 3, 1, 2)  # [..., D, h, w]
    cells = F.avg_pool2d(pictures, SIDE).flatten(2).transpose(1, 2)  # [... F, L / 4, D]
    return torch.cat([cells.reshape(*x.shape[:-2], -1, x.shape[-1]), x[..., placed:, :]], dim=-2)


def pooled_keys(
    keys: Tensor, pooling: Pooling, grid_hw: tuple[int, int], unplaced: int
) -> tuple[Tensor, Tensor | None]:
    """Turned keys [..., T, D] of cells, and what is added to their scores [1, T'], if anything."""
    cells = pooled(keys, grid_hw, unplaced)
    count = cells.shape[-2] - unplaced
    if pooling == "weighted":
        added = cells.new_zeros(1, cells.shape[-2])
        added[:, :count] = WEIGHT
        return cells, added
    return torch.cat([cells[..., :count, :] + WEIGHT, cells[..., count:, :]], dim=-2), None


def worth_pooling(placed: int, grid_hw: tuple[int, int]) -> bool:
    """Whether there is more than one frame to look at."""
    return placed > grid_hw[0] * grid_hw[1]
