"""Boxes of upscaled masks from the few logits that decide them: those around each mask's outermost ones.

The uppermost pixel above a threshold lies between the first row of logits that has one above it and the row
before, and near the logit where the crossing is nearest to that row: along x, values change evenly. So of
each mask four rows and columns of logits are read, and some cells of pixels looked at. Each side found is
checked against what was left out; where that is not sure, the mask is said to be so.

Letters used in shapes: m masks, h x w logits, n cells, k logits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from everymask.masks import cells
from everymask.masks.cells import FAR, Axes, Undecided
from everymask.masks.interpolation import Axis

ReadLines = Callable[[np.ndarray, np.ndarray, bool], np.ndarray]
Read = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

PACES = 0.5
"""Cells are looked at whose crossing may be at most so many pixels behind the nearest one."""


@dataclass(frozen=True)
class Outermost:
    """Boxes int64 [m, 4] xyxy, edges inclusive, 0 if empty; those that are not ``sure`` may be wrong."""

    boxes: np.ndarray
    sure: np.ndarray  # bool [m]


@dataclass(frozen=True)
class _Reader:
    """Logits of lines along one axis: rows, or columns."""

    lines: ReadLines
    read: Read
    rows: bool

    def single(self, masks: np.ndarray, line: np.ndarray, across: np.ndarray) -> np.ndarray:
        """Logits [k], each of a mask, on a line, at a place across it."""
        return self.read(masks, line, across) if self.rows else self.read(masks, across, line)


@dataclass(frozen=True)
class _Side:
    """Where one side of m masks is looked for."""

    first: bool  # the near side of its axis: top or left
    group: np.ndarray  # int64 [m] of the axis
    further: np.ndarray  # bool [m]: whether the next group inwards is looked at, too
    outer: np.ndarray  # int64 [m]: the outer one of the group's two lines of logits
    limit: (
        np.ndarray
    )  # float64 [m]: a pixel found before this place, from the outer line, is an outermost one
    usable: np.ndarray  # bool [m]
    mask: np.ndarray  # int64 [k]: of each logit near the outermost crossing
    across: np.ndarray  # int64 [k]: its place on the other axis

    def found(self, axis: Axis, ends: np.ndarray) -> np.ndarray:
        """Whether the pixels [m] found are the outermost ones, bool [m]."""
        group = (np.searchsorted(axis.start, ends, "right") - 1).clip(0, len(axis.low) - 1)
        at = (
            axis.low[group]
            + axis.place[group]
            + axis.pace[group].astype(np.float64) * (ends - axis.start[group])
        )
        from_outer = at - self.outer if self.first else self.outer - at
        # Of the next group only cells beside the line's crossings were looked at: another one may have a
        # pixel before any but the outermost of that group.
        outermost = ends == (axis.start[group] if self.first else axis.start[group + 1] - 1)
        known = (group == self.group) | (~np.isinf(self.limit) & outermost)
        return self.usable & known & (from_outer + axis.slack < self.limit)


def boxes_of(
    axes: Axes,
    peaks: tuple[np.ndarray, np.ndarray],
    tolerance: np.ndarray,
    threshold: np.float32,
    lines: ReadLines,
    read: Read,
) -> Outermost:
    """The boxes of m masks, for axes of one bilinear step.

    ``peaks`` are the largest logits of each row float32 [m, h] and of each column [m, w], ``tolerance``
    float32 [m] as a patch has it. ``lines(masks, places, rows)`` gives rows (or columns) of logits,
    ``read(masks, y, x)`` single ones.
    """
    count = len(tolerance)
    lowest = threshold - tolerance
    some = (peaks[0] > lowest[:, None]).any(axis=1)
    sides, undecided = [], []
    for axis, across, high, rows in (
        (axes.rows, axes.columns, peaks[0], True),
        (axes.columns, axes.rows, peaks[1], False),
    ):
        reached = high > lowest[:, None]
        for first in (True, False):
            side = _side(axis, reached, threshold, tolerance, _Reader(lines, read, rows), first)
            sides.append(side)
            mask, along, beside = _cells(side, axis, across)
            row, column = (along, beside) if rows else (beside, along)
            undecided.append((mask, row, column))
    mask, row, column = (np.concatenate(parts) for parts in zip(*undecided, strict=True))
    y, x = (axes.rows.low[row], axes.rows.high[row]), (axes.columns.low[column], axes.columns.high[column])
    corners = read(np.tile(mask, 4), np.concatenate([y[0], y[0], y[1], y[1]]), np.concatenate([*x, *x]))
    corners = corners.reshape(4, -1)
    boxes = np.tile(np.array([FAR, FAR, -1, -1]), (count, 1))
    for part in cells.columns_of(Undecided(mask, row, column, corners, tolerance[mask]), axes):
        cells.widen(boxes, part, cells.above(part, threshold, axes, read), axes)
    top, bottom, left, right = sides
    empty = ~some
    sure = empty | (
        (boxes[:, 2] >= 0)
        & top.found(axes.rows, boxes[:, 1])
        & bottom.found(axes.rows, boxes[:, 3])
        & left.found(axes.columns, boxes[:, 0])
        & right.found(axes.columns, boxes[:, 2])
    )
    boxes[empty | ~sure] = 0
    return Outermost(boxes.astype(np.int64), sure)


def _side(
    axis: Axis,
    reached: np.ndarray,
    threshold: np.float32,
    tolerance: np.ndarray,
    reader: _Reader,
    first: bool,
) -> _Side:
    """``reached`` bool [m, length]: whether a line of logits has one that may be above the threshold."""
    length = reached.shape[1]
    line = reached.argmax(axis=1) if first else length - 1 - reached[:, ::-1].argmax(axis=1)
    if first:
        group = np.searchsorted(axis.high, line)
        # At the near end all pixels of a group may be those of its first line.
        group += (axis.pace.take(group, mode="clip") == 0) & (axis.low.take(group, mode="clip") != line)
    else:
        group = np.searchsorted(axis.low, line, "right") - 1
    held = group.clip(0, len(axis.low) - 1)
    inner, outer = (axis.high[held], axis.low[held]) if first else (axis.low[held], axis.high[held])
    usable = reached.any(axis=1) & (held == group) & ((inner == line) | (outer == line))
    masks = np.flatnonzero(usable)
    values = reader.lines(masks, line[masks], reader.rows)
    row, across = np.nonzero(values > (threshold - tolerance[masks])[:, None])
    near, mask = values[row, across].astype(np.float64), masks[row]
    far = reader.single(mask, outer[mask], across).astype(np.float64)
    least = _crossing(near, far, float(threshold) - tolerance[mask].astype(np.float64))
    most = _crossing(near, far, float(threshold) + tolerance[mask].astype(np.float64))
    best = np.full(len(reached), np.inf)
    np.minimum.at(best, mask, most)
    pace = axis.pace[held].astype(np.float64)
    close = least <= (best + PACES * pace)[mask]
    # What was left out crosses later: it has no pixel in the row before one found so early.
    limit = best + (PACES + 1) * pace
    # At an end of the axis all pixels of the group are alike: any of them is an outermost one.
    level = (inner == outer) | (outer == line) | (pace == 0)
    limit[level] = np.inf
    highest = np.full(len(reached), -np.inf)
    np.maximum.at(highest, mask, near)
    close = np.where(level[mask], near == highest[mask], close)
    further = ~level & (best > 1 - (PACES + 1) * pace)
    return _Side(first, group, further, outer, limit, usable, mask[close], across[close])


def _crossing(near: np.ndarray, far: np.ndarray, level: np.ndarray) -> np.ndarray:
    """How far from ``far`` towards ``near`` values cross a level, 0 to 1; infinity where they do not."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (level - far) / (near - far)
    share = np.where(far > level, 0.0, share)
    return np.where(near > level, np.clip(share, 0.0, 1.0), np.inf)


def _cells(side: _Side, along: Axis, across: Axis) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cells beside each logit: masks, groups along the side's axis, groups across, int64 [n] each."""
    begin = np.searchsorted(across.high, side.across)
    count = (np.searchsorted(across.low, side.across, "right") - begin).clip(0)
    which = np.repeat(np.arange(len(count)), count)
    mask = side.mask[which]
    beside = begin[which] + np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    more = np.flatnonzero(side.further[mask])
    inner = side.group[mask[more]] + (1 if side.first else -1)
    there = (inner >= 0) & (inner < len(along.low))
    more, inner = more[there], inner[there]
    return (
        np.concatenate([mask, mask[more]]),
        np.concatenate([side.group[mask], inner]),
        np.concatenate([beside, beside[more]]),
    )
