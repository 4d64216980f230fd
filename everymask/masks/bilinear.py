"""How ``torch.nn.functional.interpolate`` makes pixels from logits, along one axis and to the last bit.

Letters used in shapes: h x w logits, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from everymask.geometry import Stretch

BAND = 32
"""Rows made at a time: they stay in the processor's cache."""


@dataclass(frozen=True)
class Step:
    """One bilinear step along one axis, as torch computes it: two neighbours of each pixel, their weights."""

    low: np.ndarray  # int64 [out]
    high: np.ndarray  # int64 [out]
    low_weight: np.ndarray  # float32 [out]
    high_weight: np.ndarray  # float32 [out]


def step_of(length: int, to: int, keep: int) -> Step:
    """torch's source positions, in its float32 (the product and the sum are fused there)."""
    centres = np.arange(keep, dtype=np.float64) + 0.5
    at = np.maximum((centres * np.float64(scale_of(length, to)) - 0.5).astype(np.float32), np.float32(0))
    low = np.minimum(np.floor(at).astype(np.int64), length - 1)
    high_weight = np.clip(at - low.astype(np.float32), 0, 1).astype(np.float32)
    return Step(low, np.minimum(low + 1, length - 1), np.float32(1) - high_weight, high_weight)


def scale_of(length: int, to: int) -> np.float32:
    return np.float32(length) / np.float32(to)


def exact_values(
    pick: Callable[[np.ndarray, np.ndarray], np.ndarray],
    y: np.ndarray,
    x: np.ndarray,
    rows: Sequence[Step],
    columns: Sequence[Step],
) -> np.ndarray:
    """Single upscaled pixels (y, x) [n], rounded as torch's CPU kernel rounds: float32 [n].

    ``pick(y, x)`` gives the logits at n places; place i is always asked for pixel i.
    The kernel computes ``fma(fma(a, v, b * w), s, fma(c, v, d * w) * t)`` from the four neighbours. A fused
    product and sum is a float64 one rounded once: the product of two float32 is exact there.
    """
    if not rows:
        return pick(y, x)
    row, column = rows[-1], columns[-1]
    v, w = column.low_weight[x].astype(np.float64), column.high_weight[x].astype(np.float64)
    s, t = row.low_weight[y].astype(np.float64), row.high_weight[y].astype(np.float64)

    def line(lines: np.ndarray) -> np.ndarray:
        left = exact_values(pick, lines, column.low[x], rows[:-1], columns[:-1])
        right = exact_values(pick, lines, column.high[x], rows[:-1], columns[:-1])
        return _rounded(left * v + _rounded(right * w))

    return _rounded(line(row.low[y]) * s + _rounded(line(row.high[y]) * t)).astype(np.float32)


def _rounded(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32).astype(np.float64)


def stretched(logits: np.ndarray, stretches: Sequence[Stretch]) -> np.ndarray:
    """What :meth:`everymask.geometry.Frame.upscale` makes of mask logits [h, w], float32 [H, W].

    Places and weights are torch's to the last bit; sums may differ from torch's in the last one.
    """
    for stretch in stretches:
        rows, columns = (step_of(logits.shape[i], stretch.to_hw[i], stretch.kept_hw[i]) for i in (0, 1))
        wide = logits[:, columns.low] * columns.low_weight + logits[:, columns.high] * columns.high_weight
        logits = np.empty((len(rows.low), wide.shape[1]), np.float32)
        for start in range(0, len(logits), BAND):
            band = slice(start, start + BAND)
            low, high = (wide[rows.low[band]], wide[rows.high[band]])
            low *= rows.low_weight[band, None]
            high *= rows.high_weight[band, None]
            np.add(low, high, out=logits[band])
    return logits
