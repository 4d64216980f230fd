"""Between which boxes the box of an upscaled mask lies, told by the largest logit of each row and column.

A pixel above a threshold has a logit above it among the four around it, so the outer box reaches to the
pixels made with the outermost of those. A logit far enough above the threshold makes the pixel nearest to it
one of the mask, whatever lies around: the inner box reaches to that.

Letters used in shapes: m masks, h logits along an axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from everymask.masks.cells import TOLERANCE, Axes
from everymask.masks.interpolation import Axis
from everymask.masks.regions import BEYOND

UNKNOWN = 1e30
"""A logit that none reaches."""


@dataclass(frozen=True)
class Bounds:
    """Boxes int64 [m, 4] xyxy, edges inclusive: the ``inner`` lies in the mask's, that in the ``outer``.

    Where nothing is sure to be in the mask, the inner box is inside out and has no pixels.
    """

    inner: np.ndarray
    outer: np.ndarray

    def moved(self, x: int, y: int) -> Bounds:
        """The same in a frame in which theirs begins at (x, y)."""
        by = np.array([x, y, x, y])
        return Bounds(self.inner + by, self.outer + by)


@dataclass(frozen=True)
class Reach:
    """Which pixels the logits of an axis reach, for axes of one bilinear step."""

    axis: Axis

    @cached_property
    def _places(self) -> np.ndarray:
        """Of each pixel between the logits, float64 [pixels]."""
        axis = self.axis
        group = np.repeat(np.arange(len(axis.low)), axis.pixels)
        along = np.arange(len(group)) - axis.start[group]
        return axis.low[group] + axis.place[group].astype(np.float64) + axis.pace[group] * along

    @cached_property
    def length(self) -> int:
        """How many logits there are."""
        return int(self.axis.high[-1]) + 1

    @cached_property
    def nearest(self) -> np.ndarray:
        """The pixel nearest to each logit, int64 [h]."""
        places = self._places
        after = np.searchsorted(places, np.arange(self.length)).clip(0, len(places) - 1)
        before = (after - 1).clip(0)
        lines = np.arange(self.length)
        return np.where(np.abs(places[before] - lines) <= np.abs(places[after] - lines), before, after)

    @cached_property
    def away(self) -> float:
        """How far, in logits, the nearest pixel of a logit is at most."""
        lines = np.arange(self.length)
        return float(np.abs(self._places[self.nearest] - lines).max(initial=0.0)) + 2 * self.axis.slack

    @cached_property
    def first(self) -> np.ndarray:
        """The first pixel that each logit is part of, int64 [h]."""
        return self.axis.start[np.searchsorted(self.axis.high, np.arange(self.length))]

    @cached_property
    def last(self) -> np.ndarray:
        """The last one."""
        return self.axis.start[np.searchsorted(self.axis.low, np.arange(self.length), "right")] - 1


@dataclass(frozen=True)
class BoxBounds:
    """Tells bounds of the boxes of masks on some axes."""

    rows: Reach
    columns: Reach

    @classmethod
    def of(cls, axes: Axes, logits_hw: tuple[int, int]) -> BoxBounds | None:
        """None where this cannot be told: several steps, or logits that no pixel is made of."""
        if len(axes.rows.steps) != 1 or len(axes.columns.steps) != 1:
            return None
        found = cls(Reach(axes.rows), Reach(axes.columns))
        if (found.rows.length, found.columns.length) != tuple(logits_hw):
            return None
        return found if max(found.rows.away, found.columns.away) < 0.6 else None

    def sure_above(self, threshold: float, tolerance: np.ndarray) -> np.ndarray:
        """Logits from which on the pixel nearest to one is in the mask, float64 [m].

        ``tolerance`` [m] as a patch has it tells the largest logit either way, too; 0, as of logits that came
        from a GPU, tells nothing, and no logit is surely enough.
        """
        weight = (1 - self.rows.away) * (1 - self.columns.away)
        largest = np.where(tolerance > 0, tolerance.astype(np.float64) / TOLERANCE, UNKNOWN)
        lowest = np.maximum(largest, abs(threshold) + BEYOND)
        return (threshold + 2.0 * tolerance + (1 - weight) * lowest) / weight

    def told(self, reached: tuple[np.ndarray, np.ndarray], sure: tuple[np.ndarray, np.ndarray]) -> Bounds:
        """``reached`` and ``sure``, bool [m, h] and [m, w]: rows and columns that may have, and have, pixels.

        Masks that reach nothing get the box (0, 0, 0, 0), as boxes of empty masks are.
        """
        inner, outer = (np.zeros((len(reached[0]), 4), np.int64) for _ in range(2))
        for side, reach in ((1, self.rows), (0, self.columns)):
            first, last = _ends(reached[1 - side])
            outer[:, side], outer[:, side + 2] = reach.first[first], reach.last[last]
            near, far = _ends(sure[1 - side])
            some = sure[1 - side].any(axis=1)
            inner[:, side] = np.where(some, reach.nearest[near], outer[:, side + 2])
            inner[:, side + 2] = np.where(some, reach.nearest[far], outer[:, side])
        empty = ~reached[0].any(axis=1)
        inner[empty] = outer[empty] = 0
        return Bounds(inner, outer)


def _ends(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last mark of each line [m, h]."""
    return lines.argmax(axis=1), lines.shape[1] - 1 - lines[:, ::-1].argmax(axis=1)
