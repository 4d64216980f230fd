"""Which pixels of upscaled masks lie above a threshold, found without upscaling them.

Bilinear interpolation is convex: a pixel lies between the logits around it. Pixels between the same four
*knots* (the logits; where there are two bilinear steps, SAM's, what the first makes of them) form a cell. A
cell whose corners are all above, or all below, is decided and counts as a whole. In the others values along
a column of pixels change evenly: one division tells where the column crosses the threshold. Columns with a
pixel so close to a threshold that rounding matters are computed again exactly as
``torch.nn.functional.interpolate`` does.

Letters used in shapes: h x w logits, k x l a patch of them, g x f cells of a patch, n undecided cells (of one
mask or of several), R x C pixels of the largest cell, d columns in doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from everymask.masks.bilinear import exact_values
from everymask.masks.interpolation import Axis

TOLERANCE = 4e-6
"""Float32 rounding of two bilinear steps, as a share of a mask's largest logit, with room to spare."""

FAR = 1e9
"""Beyond every row and column."""

COLUMNS_AT_ONCE = 1 << 15  # looked at together: what becomes of them on the way fits a core's cache


@dataclass(frozen=True)
class Axes:
    """How pixels are made along both axes."""

    rows: Axis
    columns: Axis
    y: np.ndarray  # int64 [R, 1]: 0 to R - 1
    x: np.ndarray  # int64 [C, 1]

    @classmethod
    def of(cls, rows: Axis, columns: Axis) -> Axes:
        return cls(rows, columns, *(np.arange(axis.pixels.max())[:, None] for axis in (rows, columns)))


@dataclass(frozen=True)
class Patch:
    """The part of one mask's logits that its pixels above a threshold are interpolated from."""

    values: Tensor  # float32 [k, l]
    y: int  # of the upper left one among all logits
    x: int
    tolerance: np.float32  # of pixels interpolated from them

    @property
    def bytes(self) -> int:
        """Memory that it holds."""
        return 4 * self.values.numel()

    def copied(self) -> Patch:
        """The same with memory of its own: a view would keep all logits."""
        return replace(self, values=self.values.clone())

    def block(self, number: int = 0) -> Block:
        """The same as a block of one mask, the one with this number."""
        return Block(self.values[None], self.y, self.x, np.array([self.tolerance]), number)


@dataclass(frozen=True)
class Block:
    """Logits of m masks at the same places."""

    values: Tensor  # float32 [m, k, l]
    y: int  # of the upper left one among all logits
    x: int
    tolerance: np.ndarray  # float32 [m]
    first: int = 0  # number of the first mask


@dataclass(frozen=True)
class Undecided:
    """Cells that an outline crosses, or may, of one or several masks."""

    mask: np.ndarray  # int64 [n] which mask's, ascending
    row: np.ndarray  # int64 [n] group of rows of each cell, among all of the axis
    column: np.ndarray  # int64 [n]
    corners: np.ndarray  # float32 [4, n]: upper left, upper right, lower left, lower right
    tolerance: np.ndarray  # float32 [n]

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, part: slice | np.ndarray) -> Undecided:
        return Undecided(
            self.mask[part], self.row[part], self.column[part], self.corners[:, part], self.tolerance[part]
        )

    @classmethod
    def joined(cls, parts: Sequence[Undecided]) -> Undecided:
        """All of these, one after the other."""
        return cls(
            np.concatenate([part.mask for part in parts]),
            np.concatenate([part.row for part in parts]),
            np.concatenate([part.column for part in parts]),
            np.concatenate([part.corners for part in parts], axis=1),
            np.concatenate([part.tolerance for part in parts]),
        )


@dataclass(frozen=True)
class Cells:
    """What a block says of its cells."""

    block: Block
    knots: np.ndarray  # float32 [m, down, along]
    first_knot: tuple[int, int]
    rows: slice  # of the groups of the vertical axis
    columns: slice
    whole: np.ndarray  # bool [m, g, f]: all corners are above every threshold
    open: np.ndarray  # bool [m, g, f]: undecided

    def undecided(self, axes: Axes, marks: np.ndarray | None = None) -> Undecided:
        """The undecided cells, or those of them that are marked [m, g, f]."""
        _, g, f = self.open.shape
        mask, place = np.divmod(np.flatnonzero(self.open if marks is None else marks), max(1, g * f))
        row, column = np.divmod(place, max(1, f))
        row += self.rows.start
        column += self.columns.start
        (y0, x0), (_, down, along) = self.first_knot, self.knots.shape
        origin = mask * down - y0
        upper, lower = (origin + axes.rows.low[row]) * along, (origin + axes.rows.high[row]) * along
        left, right = axes.columns.low[column] - x0, axes.columns.high[column] - x0
        flat = self.knots.reshape(-1)
        corners = np.stack([flat.take(y + x) for y in (upper, lower) for x in (left, right)])
        return Undecided(mask + self.block.first, row, column, corners, self.block.tolerance[mask])


@dataclass(frozen=True)
class Columns:
    """The columns of pixels of some cells; along one, values change evenly."""

    cells: Undecided
    first: np.ndarray  # float32 [C, n] value of the uppermost pixel
    slope: np.ndarray  # float32 [C, n] from one pixel to the next
    length: np.ndarray  # float32 [C, n] pixels of the column, 0 where a cell has none
    error: np.ndarray  # float32 [n] how far values may be from torch's


@dataclass(frozen=True)
class Above:
    """Where columns are above a threshold: from row ``start`` of the cell to before ``stop``."""

    start: np.ndarray  # float32 [C, n], whole numbers
    stop: np.ndarray
    place: np.ndarray  # int64 [d] which of C, and
    cell: (
        np.ndarray
    )  # int64 [d] which of n: columns that are listed apart; ``start`` and ``stop`` are 0 there
    exact: np.ndarray  # bool [R, d] their pixels


def tolerances(logits: np.ndarray) -> np.ndarray:
    """How far pixels made from logits [m, h, w] may be from torch's, by rounding: float32 [m]."""
    largest = np.maximum(logits.max((1, 2), initial=0), -logits.min((1, 2), initial=0))
    return (TOLERANCE * largest.astype(np.float64)).astype(np.float32)


def patches_above(logits: Tensor, axes: Axes, threshold: np.float32) -> list[Patch]:
    """Of each mask [m, h, w] the logits around those above ``threshold``; views."""
    values = logits.numpy()
    tolerance = tolerances(values)
    above = values > (threshold - tolerance)[:, None, None]
    (top, bottom), (left, right) = extent(above)
    empty = bottom < 0
    _, height, width = values.shape
    top, bottom = (top - axes.rows.reach).clip(0), (bottom + axes.rows.reach + 1).clip(0, height)
    left, right = (left - axes.columns.reach).clip(0), (right + axes.columns.reach + 1).clip(0, width)
    for sides in (top, bottom, left, right):
        sides[empty] = 0
    corners = np.stack([top, bottom, left, right], axis=1).tolist()
    return [
        Patch(one[y0:y1, x0:x1], y0, x0, error)
        for one, (y0, y1, x0, x1), error in zip(logits, corners, tolerance, strict=True)
    ]


def picker(patches: Sequence[Patch]) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """A function of (mask, y, x) [n] each that gives the logits of patches there, float32 [n]."""
    flat = np.concatenate([patch.values.numpy().reshape(-1) for patch in patches])
    shapes = np.array([(*patch.values.shape, patch.y, patch.x) for patch in patches])
    height, width, top, left = shapes.T
    origin = np.cumsum(height * width) - height * width - top * width - left
    return lambda mask, y, x: flat.take(origin[mask] + y * width[mask] + x)


def extent(marks: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """First and last row, first and last column with a mark, int64 [m] each, of ``marks`` bool [m, g, f].

    Without any mark the first comes behind the last.
    """
    return _ends(np.logical_or.reduce(marks, axis=2)), _ends(np.logical_or.reduce(marks, axis=1))


def _ends(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last mark of each line [m, n]; n and -1 if there is none."""
    n = lines.shape[1]
    if n == 0:
        return np.zeros(len(lines), np.int64), np.full(len(lines), -1)
    some = np.logical_or.reduce(lines, axis=1)
    return np.where(some, lines.argmax(1), n), np.where(some, n - 1 - lines[:, ::-1].argmax(1), -1)


def cells_of(block: Block, axes: Axes, lowest: np.float32, highest: np.float32) -> Cells:
    """What the logits of a block say of its cells, with thresholds from ``lowest`` to ``highest``."""
    _, height, width = block.values.shape
    down, along = axes.rows.knots(block.y, block.y + height), axes.columns.knots(block.x, block.x + width)
    rows, columns = axes.rows.groups(down), axes.columns.groups(along)
    knots = _knots(block, axes, down, along)
    tolerance = block.tolerance[:, None, None]
    whole, reached = knots > highest + tolerance, knots >= lowest - tolerance
    _with_next(whole, np.logical_and)
    _with_next(reached, np.logical_or)
    upper, left = axes.rows.low[rows] - down.start, axes.columns.low[columns] - along.start
    whole, reached = _picked(whole, upper, left), _picked(reached, upper, left)
    return Cells(block, knots, (down.start, along.start), rows, columns, whole, whole != reached)


def _knots(block: Block, axes: Axes, down: slice, along: slice) -> np.ndarray:
    """The knots that decide pixels, float32 [m, down, along]."""
    if axes.rows.spread is None or axes.columns.spread is None:
        return block.values.contiguous().numpy()
    made = [axes.rows.spread.of(one, block.y, down) for one in block.values]
    made = [axes.columns.spread.of(one.T, block.x, along).T for one in made]
    return np.stack([one.numpy() for one in made])


def _with_next(marks: np.ndarray, joined: np.ufunc) -> None:
    """Each knot's mark with those of the next one along x, along y and both, in place; [m, k, l]."""
    joined(marks[:, :, :-1], marks[:, :, 1:], out=marks[:, :, :-1])
    joined(marks[:, :-1], marks[:, 1:], out=marks[:, :-1])


def _picked(marks: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Those of some rows and columns; columns mostly follow each other, and a slice costs little."""
    marks = marks.take(rows, 1)
    in_a_row = len(columns) > 0 and len(columns) == columns[-1] - columns[0] + 1
    return marks[:, :, columns[0] : columns[-1] + 1] if in_a_row else marks.take(columns, 2)


def columns_of(cells: Undecided, axes: Axes) -> Iterator[Columns]:
    """The columns of pixels of undecided cells, some cells at a time."""
    at_once = max(1, COLUMNS_AT_ONCE // len(axes.x))
    for start in range(0, len(cells), at_once):
        yield _columns(cells[start : start + at_once], axes)


def _columns(cells: Undecided, axes: Axes) -> Columns:
    rows, columns, row, column = axes.rows, axes.columns, cells.row, cells.column
    upper_left, upper_right, lower_left, lower_right = cells.corners
    upper, lower = upper_right - upper_left, lower_right - lower_left
    left, right = lower_left - upper_left, lower_right - upper_right
    error = columns.slack * np.maximum(np.abs(upper), np.abs(lower))
    error += rows.slack * np.maximum(np.abs(left), np.abs(right))
    error += cells.tolerance
    # From column to column both the upper end and the fall to the lower end grow evenly, too.
    place, pace = columns.place[column], columns.pace[column]
    turn = lower - upper
    x = axes.x.astype(np.float32)
    slope = x * (pace * turn)
    slope += left + place * turn
    first = x * (pace * upper)
    first += upper_left + place * upper
    first += slope * rows.place[row]
    slope *= rows.pace[row]
    length = (axes.x < columns.pixels[column]) * rows.pixels[row].astype(np.float32)
    return Columns(cells, first, slope, length, error)


def above(
    part: Columns,
    threshold: np.float32,
    axes: Axes,
    pick: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> Above:
    """Which of the pixels are above a threshold, exactly; ``pick(mask, y, x)`` gives logits at n places."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        crossing = threshold - part.first
        crossing /= part.slope
        after = np.ceil(crossing)  # the first pixel behind the crossing
        # A pixel is as far from the threshold as from the crossing, times the slope.
        gap = np.subtract(after, crossing, out=crossing)
        near = np.minimum(gap, 1 - gap)
        near *= np.abs(part.slope)
    doubtful = np.flatnonzero(~(near > part.error))  # also where a column is level
    np.maximum(after, 0, out=after)
    np.minimum(after, part.length, out=after)
    rising = part.slope > 0
    start = after * rising
    stop = np.where(rising, part.length, after)

    place, cell = np.divmod(doubtful, near.shape[1])
    first, length = part.first[place, cell], part.length[place, cell]
    values = first + axes.y * part.slope[place, cell]  # [R, d]
    close = (np.abs(values - threshold) <= part.error[cell]) & (axes.y < length)
    # Columns without a close pixel are as they were found; level ones are all above or all below.
    level = part.slope[place, cell] == 0
    start[place[level], cell[level]] = 0
    stop[place[level], cell[level]] = np.where(first > threshold, length, 0)[level]
    apart = np.flatnonzero(close.any(axis=0))
    place, cell, values, close = place[apart], cell[apart], values[:, apart], close[:, apart]
    start[place, cell] = stop[place, cell] = 0
    row, which = np.nonzero(close)
    of = part.cells[cell[which]]
    y, x = axes.rows.start[of.row] + row, axes.columns.start[of.column] + place[which]
    values[close] = exact_values(lambda y, x: pick(of.mask, y, x), y, x, axes.rows.steps, axes.columns.steps)
    return Above(start, stop, place, cell, (values > threshold) & (axes.y < length[apart]))


def widen(boxes: np.ndarray, part: Columns, above: Above, axes: Axes) -> None:
    """Make ``boxes`` [m, 4] (xyxy, edges inclusive) reach to the pixels of some cells, in place."""
    left, top = axes.columns.start[part.cells.column], axes.rows.start[part.cells.row]
    some = above.stop > above.start  # [C, n]
    hit = np.flatnonzero(np.logical_or.reduce(some, axis=0))
    some, start, stop = some[:, hit], above.start[:, hit], above.stop[:, hit]
    x, y, mask = left[hit], top[hit], part.cells.mask[hit]
    first = np.where(some, start, FAR).min(axis=0, initial=FAR)
    last = np.where(some, stop, 0).max(axis=0, initial=0) - 1
    _reach(boxes, mask, x + some.argmax(axis=0), y + first)
    _reach(boxes, mask, x + len(some) - 1 - some[::-1].argmax(axis=0), y + last)
    row, which = np.nonzero(above.exact)
    cell = above.cell[which]
    _reach(boxes, part.cells.mask[cell], left[cell] + above.place[which], top[cell] + row)


def _reach(boxes: np.ndarray, mask: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """Make the boxes [m, 4] of masks [p] reach to pixels [p], in place."""
    for side, place in enumerate((x, y)):
        np.minimum.at(boxes[:, side], mask, place)
        np.maximum.at(boxes[:, side + 2], mask, place)
