"""What pixels are made of which logits by :mod:`everymask.masks.bilinear`, along one axis.

Letters used in shapes: k x l logits, f knots, G groups of pixels along one axis, K logits in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from everymask.masks.bilinear import Step, exact_values, scale_of, step_of

BLOCK = 64  # knots made with one small matrix


@dataclass(frozen=True)
class Spread:
    """All steps but the last along one axis: logits to *knots*, between which the last step interpolates."""

    first: np.ndarray  # int64 [f] first logit of each knot
    weights: Tensor  # float32 [f, k], at most K of a row not 0
    taps: int  # K

    def covered(self, start: int, stop: int) -> slice:
        """The knots that the logits from ``start`` to before ``stop`` decide alone."""
        at_end = stop == self.weights.shape[1]
        end = len(self.first) if at_end else int(np.searchsorted(self.first, stop - self.taps, "right"))
        return slice(int(np.searchsorted(self.first, start)), end)

    def of(self, logits: Tensor, origin: int, knots: slice) -> Tensor:
        """Those knots of logits [k, ...] that start at ``origin``, as small matrix products."""
        result = logits.new_empty(knots.stop - knots.start, *logits.shape[1:])
        for start in range(knots.start, knots.stop, BLOCK):
            stop = min(start + BLOCK, knots.stop)
            low = int(self.first[start])
            high = min(int(self.first[stop - 1]) + self.taps, origin + len(logits))
            torch.mm(
                self.weights[start:stop, low:high],
                logits[low - origin : high - origin],
                out=result[start - knots.start : stop - knots.start],
            )
        return result


@dataclass(frozen=True)
class Axis:
    """All steps along one axis. Pixels in a row between the same two knots form a group."""

    steps: tuple[Step, ...]
    spread: Spread | None  # None: the logits are the knots
    low: np.ndarray  # int64 [G] the knot before the pixels of each group
    high: np.ndarray  # int64 [G] the one behind them
    start: np.ndarray  # int64 [G + 1] first pixel
    place: np.ndarray  # float32 [G] of the first pixel between the knots, 0 to 1
    pace: np.ndarray  # float32 [G] from one pixel to the next
    slack: float
    """How far at most torch's places, computed in float32, are from ``place`` and ``pace``."""

    @property
    def pixels(self) -> np.ndarray:
        """How many pixels each group has, int64 [G]."""
        return np.diff(self.start)

    @property
    def reach(self) -> int:
        """How many logits away from a logit the others are that make pixels with it."""
        return len(self.steps)

    def knots(self, start: int, stop: int) -> slice:
        """The knots that the logits from ``start`` to before ``stop`` decide alone."""
        return slice(start, stop) if self.spread is None else self.spread.covered(start, stop)

    def groups(self, knots: slice) -> slice:
        """The groups of pixels that these knots decide alone."""
        return slice(int(np.searchsorted(self.low, knots.start)), int(np.searchsorted(self.high, knots.stop)))


def axis_of(length: int, sizes: Sequence[int], kept: Sequence[int]) -> Axis:
    """An axis of ``length`` logits that is stretched to each of ``sizes`` in turn and cut to ``kept``."""
    steps, size = [], length
    for to, keep in zip(sizes, kept, strict=True):
        steps.append(step_of(size, to, keep))
        size = keep
    last = steps[-1]
    # At the near edge the places of some pixels are cut off at 0: a group apart.
    fixed = (last.low == 0) & (last.high_weight == 0)
    begins = np.diff(last.low, prepend=-1).astype(bool) | np.diff(fixed, prepend=fixed[:1]).astype(bool)
    first = np.flatnonzero(begins)
    start = np.append(first, len(last.low))
    pace = np.where(fixed[first], 0.0, scale_of(kept[-2] if len(kept) > 1 else length, sizes[-1]))
    group = np.repeat(np.arange(len(first)), np.diff(start))
    straight = last.high_weight[first][group] + pace[group] * (np.arange(len(group)) - first[group])
    slack = float(np.abs(straight - last.high_weight)[last.high > last.low].max(initial=0.0))
    return Axis(
        tuple(steps),
        _spread(length, steps[:-1]) if len(steps) > 1 else None,
        last.low[first],
        last.high[first],
        start,
        last.high_weight[first],
        pace.astype(np.float32),
        slack + 1e-6,
    )


@lru_cache
def formula_holds() -> bool:
    """Whether this machine's bilinear kernel rounds as :func:`exact_values` says; asked once."""
    logits = torch.randn(23, 29, generator=torch.Generator().manual_seed(0))
    hw = (211, 167)
    rows, columns = (step_of(n, to, to) for n, to in zip(logits.shape, hw, strict=True))
    y, x = (i.reshape(-1) for i in np.meshgrid(*(np.arange(n) for n in hw), indexing="ij"))
    ours = exact_values(lambda y, x: logits.numpy()[y, x], y, x, (rows,), (columns,))
    theirs = F.interpolate(logits[None, None], hw, mode="bilinear", align_corners=False)
    return np.array_equal(ours, theirs.reshape(-1).numpy())


def _spread(length: int, steps: Sequence[Step]) -> Spread:
    first, taps = _composed(length, steps)
    weights = np.zeros((len(first), length))
    for tap in range(taps.shape[1]):
        np.add.at(weights, (np.arange(len(first)), np.minimum(first + tap, length - 1)), taps[:, tap])
    return Spread(first, torch.from_numpy(weights.astype(np.float32)), taps.shape[1])


def _composed(length: int, steps: Sequence[Step]) -> tuple[np.ndarray, np.ndarray]:
    """All steps as one: the first neighbour of each pixel [out], and the weights of K in a row [out, K]."""
    base, taps = np.arange(length), np.ones((length, 1))
    for step in steps:
        first, second = base[step.low], base[step.high]
        wider = np.zeros((len(step.low), taps.shape[1] + 1))
        rows = np.arange(len(step.low))[:, None]
        places = np.arange(taps.shape[1])
        wider[:, : taps.shape[1]] += step.low_weight[:, None].astype(np.float64) * taps[step.low]
        shift = np.minimum(second - first, 1)[:, None]
        np.add.at(
            wider, (rows, places + shift), step.high_weight[:, None].astype(np.float64) * taps[step.high]
        )
        base, taps = first, wider
    return base, taps
