"""The one operation of torchvision that SAM 3's exemplar boxes need, in torch alone.

B pictures, C channels, H x W features, K boxes, S the side of what comes out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace

import torch
from torch import Tensor


def roi_align(features: Tensor, boxes: Sequence[Tensor], size: int) -> Tensor:
    """Each box's features as S x S means of bilinear samples: [B, C, H, W], B of [K, 4] -> [all K, C, S, S].

    Boxes are XYXY in pixels of the features. As `torchvision.ops.roi_align` does it by default (He et al.
    2017, "Mask R-CNN"): pixel centres at whole numbers, a box at least one pixel long, as many samples along
    a cell as it is pixels long, rounded up.

    >>> roi_align(torch.arange(4.0).reshape(1, 1, 2, 2), [torch.tensor([[0.0, 0, 1, 1]])], 1)
    tensor([[[[1.5000]]]])
    """
    height, width = features.shape[-2:]
    pooled = [
        weights(float(y0), float(y1), height, size, features)
        @ picture
        @ weights(float(x0), float(x1), width, size, features).T
        for picture, of_picture in zip(features, boxes, strict=True)
        for x0, y0, x1, y1 in of_picture.tolist()
    ]
    return torch.stack(pooled) if pooled else features.new_zeros(0, features.shape[1], size, size)


def weights(start: float, end: float, length: int, size: int, like: Tensor) -> Tensor:
    """How much each of ``length`` pixels counts in each cell between ``start`` and ``end``, [S, length]."""
    cell = max(end - start, 1.0) / size
    samples = math.ceil(cell)
    steps = torch.arange(size * samples, dtype=torch.float64)
    at = start + (steps + 0.5) * (cell / samples)
    inside = (at >= -1) & (at <= length)
    at = at.clamp(0, length - 1)
    low = at.floor().long()
    share = at - low
    rows = torch.arange(len(at))
    table = torch.zeros(len(at), length, dtype=torch.float64)
    table[rows, low] += 1 - share
    table[rows, (low + 1).clamp(max=length - 1)] += share
    return (table * inside[:, None]).reshape(size, samples, length).mean(1).to(like)


def lend(module: ModuleType) -> None:
    """Give a module of `transformers` that found no torchvision what it would call of it."""
    if not hasattr(module, "torchvision"):
        module.torchvision = SimpleNamespace(ops=SimpleNamespace(roi_align=roi_align))  # type: ignore[attr-defined]
