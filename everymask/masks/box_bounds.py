"""Between which boxes the box of an upscaled mask lies, told by two numbers for each row and column.

A pixel above a threshold has a logit above it among the four around it, so the outer box reaches to the
pixels made with the outermost of those: the largest logit of each row and column tells. All pixels between
four logits above the threshold are in the mask, so the inner box reaches to the pixels between the outermost
two rows that have such four: the best least one of each two rows, and each two columns, tells.

Letters used in shapes: m masks, h logits along an axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from everymask.masks.cells import TOLERANCE, Axes
from everymask.masks.interpolation import Axis
from everymask.masks.regions import BEYOND

UNKNOWN = np.float32(np.inf)
"""A logit that none is above."""


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
    def length(self) -> int:
        """How many logits there are."""
        return int(self.axis.high[-1]) + 1

    @cached_property
    def complete(self) -> bool:
        """Whether there are pixels between any two logits."""
        return bool(np.isin(np.arange(self.length - 1), self.axis.low).all())

    @cached_property
    def first(self) -> np.ndarray:
        """The first pixel that each logit is part of, int64 [h]."""
        return self.axis.start[np.searchsorted(self.axis.high, np.arange(self.length))]

    @cached_property
    def last(self) -> np.ndarray:
        """The last one."""
        return self.axis.start[np.searchsorted(self.axis.low, np.arange(self.length), "right")] - 1

    @cached_property
    def after(self) -> np.ndarray:
        """The first pixel between each logit and the next, int64 [h - 1]."""
        return self.axis.start[np.searchsorted(self.axis.low, np.arange(self.length - 1))]

    @cached_property
    def before(self) -> np.ndarray:
        """The last one; those beyond the last logit are as those at it."""
        ends = self.axis.start[np.searchsorted(self.axis.low, np.arange(self.length - 1), "right")] - 1
        ends[-1:] = self.axis.start[-1] - 1
        return ends


@dataclass(frozen=True)
class BoxBounds:
    """Tells bounds of the boxes of masks on some axes."""

    rows: Reach
    columns: Reach

    @classmethod
    def of(cls, axes: Axes, logits_hw: tuple[int, int]) -> BoxBounds | None:
        """None where this cannot be told: several steps, or two logits without a pixel between them."""
        if len(axes.rows.steps) != 1 or len(axes.columns.steps) != 1:
            return None
        found = cls(Reach(axes.rows), Reach(axes.columns))
        if (found.rows.length, found.columns.length) != tuple(logits_hw):
            return None
        return found if found.rows.complete and found.columns.complete else None

    def told(self, reached: tuple[np.ndarray, np.ndarray], sure: tuple[np.ndarray, np.ndarray]) -> Bounds:
        """``reached``, bool [m, h] and [m, w]: rows and columns that may have pixels; ``sure``, [m, h - 1]
        and [m, w - 1]: two rows, and two columns, that have four logits surely above the threshold.

        Masks that reach nothing get the box (0, 0, 0, 0), as boxes of empty masks are.
        """
        inner, outer = (np.zeros((len(reached[0]), 4), np.int64) for _ in range(2))
        for side, reach in ((1, self.rows), (0, self.columns)):
            first, last = _ends(reached[1 - side])
            outer[:, side], outer[:, side + 2] = reach.first[first], reach.last[last]
            near, far = _ends(sure[1 - side])
            some = sure[1 - side].any(axis=1)
            inner[:, side] = np.where(some, reach.after[near], outer[:, side + 2])
            inner[:, side + 2] = np.where(some, reach.before[far], outer[:, side])
        empty = ~reached[0].any(axis=1)
        inner[empty] = outer[empty] = 0
        return Bounds(inner, outer)


def surely_above(threshold: np.float32, tolerance: np.ndarray) -> np.ndarray:
    """Pixels between logits above these, float32 [m], are above the threshold, however they are rounded.

    ``tolerance`` [m] as a patch has it; 0, as of logits that came from a GPU, tells nothing. Logits of holes
    that were filled count, too.
    """
    room = np.maximum(tolerance, np.float32(TOLERANCE * (abs(float(threshold)) + BEYOND)))
    return np.where(tolerance > 0, threshold + room, UNKNOWN).astype(np.float32)


def _ends(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last mark of each line [m, h]."""
    return lines.argmax(axis=1), lines.shape[1] - 1 - lines[:, ::-1].argmax(axis=1)
