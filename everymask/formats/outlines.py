"""From pixels to outlines that run along the pixels' edges: polygons that mean exactly the same pixels.

Coordinates are pixel corners: pixel (column x, row y) covers [x, x+1] x [y, y+1]. Filling the rings by
``raster.fill_rings`` gives the mask back. The polygons are valid in the sense of the OGC: simple rings,
holes within their shell, touching in points at most.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import cv2
import numpy as np

from ..errors import OptionError
from ..masks.rle import Rle, column_runs, encode
from ..maskset import Mask

Ring = list[tuple[int, int]]
"""Corners (x, y), not closed, clockwise on the screen for a shell and anticlockwise for a hole."""


@dataclass(frozen=True)
class Polygon:
    """One connected piece (4-connectivity) of a mask."""

    shell: Ring
    holes: tuple[Ring, ...] = ()

    @property
    def rings(self) -> list[Ring]:
        """The shell, then the holes."""
        return [self.shell, *self.holes]


def outlines(pixels: np.ndarray) -> list[Polygon]:
    """The polygons of a mask, bool [H, W], from top to bottom; none for an empty mask.

    >>> outlines(np.array([[0, 1, 1]]) > 0)
    [Polygon(shell=[(1, 0), (3, 0), (3, 1), (1, 1)], holes=())]
    """
    return outlines_of_runs(encode(np.asarray(pixels) != 0))


def outlines_of(mask: Mask) -> list[Polygon]:
    """The polygons of a mask."""
    return outlines_of_runs(mask.runs)


def outlines_of_runs(runs: Rle) -> list[Polygon]:
    """The polygons of a mask from its runs: work and memory go by these, not by any pixels."""
    edges = _Edges.of(runs)
    rings = [loop for walk in _walks(edges) for loop in _loops(walk)]
    firsts = [min(ring, key=lambda corner: (corner[1], corner[0])) for ring in rings]
    ring_at = _Horizontals(rings)
    shells: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    piece_of: dict[int, int] = {}  # of a ring, the number of the shell around its piece
    for number in sorted(range(len(rings)), key=lambda each: firsts[each][::-1]):
        if _doubled_area(rings[number]) > 0:
            piece_of[number] = number
        else:  # the pixels above a hole's first corner begin at an edge of the same piece, higher up
            x, y = firsts[number]
            piece_of[number] = piece_of[ring_at(x, edges.top_above(x, y))]
    for number, ring in enumerate(rings):
        if piece_of[number] == number:
            shells[number] = ring
        else:
            holes.setdefault(piece_of[number], []).append(ring)
    return [Polygon(shell, tuple(holes.get(number, ()))) for number, shell in shells.items()]


def largest_outline(pixels: np.ndarray, tolerance: float = 0.0) -> np.ndarray:
    """The shell of the largest piece, float64 [N, 2]; simplified to within ``tolerance`` pixels.

    >>> largest_outline(np.array([[0, 1, 1]]) > 0).tolist()
    [[1.0, 0.0], [3.0, 0.0], [3.0, 1.0], [1.0, 1.0]]
    """
    if not 0 <= tolerance < np.inf:
        raise OptionError(f"tolerance must be at least 0 pixels, got {tolerance}")
    shells = [polygon.shell for polygon in outlines(pixels)]
    if not shells:
        return np.zeros((0, 2))
    corners = np.array(max(shells, key=_doubled_area), np.float32)
    if tolerance > 0:
        return cv2.approxPolyDP(corners[:, None], tolerance, closed=True)[:, 0].astype(np.float64)
    return corners.astype(np.float64)


def _doubled_area(ring: Ring) -> int:
    """Twice the signed area: positive when the ring runs clockwise on the screen (y down)."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True))


def _loops(walk: Ring) -> list[Ring]:
    """Split a closed walk at every corner that it visits twice."""
    loops: list[Ring] = []
    stack: Ring = []
    place: dict[tuple[int, int], int] = {}
    for corner in walk:
        if corner in place:
            start = place[corner]
            loops.append(stack[start:])
            for gone in stack[start:]:
                del place[gone]
            del stack[start:]
        place[corner] = len(stack)
        stack.append(corner)
    return [*loops, stack]


def _walks(edges: _Edges) -> list[Ring]:
    """The closed walks along the edge, corner to corner, the mask always on the right hand."""
    x, y, goes_right, goes_down, inside = edges.corners()
    along_row = _partners(np.lexsort((goes_right, x, y)))
    along_column = _partners(np.lexsort((goes_down, y, x)))
    # With the mask on the right, a walk leaves a corner along the row when the corner's own pixel is
    # inside the mask and lies down-right or up-left, or is outside and lies down-left or up-right.
    leaves_by_row = (goes_right == goes_down) == inside
    following = np.where(leaves_by_row, along_row, along_column).tolist()
    corners = list(zip(x.tolist(), y.tolist(), strict=True))
    unseen = [True] * len(corners)
    walks = []
    for start in range(len(corners)):
        walk, at = [], start
        while unseen[at]:
            unseen[at] = False
            walk.append(corners[at])
            at = following[at]
        if walk:
            walks.append(walk)
    return walks


@dataclass(frozen=True)
class _Edges:
    """Where the mask begins and ends in each column, from left to right and top to bottom.

    The edge above pixel (column x, row y) has the number ``x * stride + y``; edges where the mask begins have
    even places in ``numbers``, and each is followed by the one where it ends.
    """

    numbers: np.ndarray  # int64 [2 R]
    stride: int  # rows of the photo and one

    @classmethod
    def of(cls, runs: Rle) -> _Edges:
        column, top, bottom = column_runs(runs)
        stride = runs.size[0] + 1
        return cls(np.stack([column * stride + top, column * stride + bottom], axis=1).reshape(-1), stride)

    def top_above(self, x: int, y: int) -> int:
        """The first row of the run of column ``x`` that ends above row ``y``."""
        end = int(np.searchsorted(self.numbers, x * self.stride + y))
        return int(self.numbers[end - 1]) - x * self.stride

    def corners(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Every corner of the edge, top to bottom: x, y, whether its row part goes right, its column part
        down, and whether the pixel between those two parts is inside the mask.

        Where two pixels touch in a point only, there are two corners, one for each.
        """
        begins = np.arange(len(self.numbers)) % 2 == 0
        beside = self.numbers + self.stride  # edges of the column on the left, as numbers of the right one
        found = []
        for right, own, other in ((0, beside, self.numbers), (1, self.numbers, beside)):
            at = np.searchsorted(other, own)
            met = np.zeros(len(own), bool)
            met[at < len(other)] = other[at[at < len(other)]] == own[at < len(other)]
            goes_on = np.zeros(len(own), bool)  # where both columns' edges lie side by side, the same way
            goes_on[met] = begins[met] == begins[at[met]]
            # Of an edge that ends here, the other column is all mask, or all background; of two that meet
            # the wrong way round, the pixels touch in this point.
            inside = met | (at % 2 == 0)
            found.append((own, np.full(len(own), right), begins == inside, inside, ~goes_on))
        number, right_, down, inside_, is_corner = (np.concatenate(part) for part in zip(*found, strict=True))
        x, y = np.divmod(number[is_corner], self.stride)
        right_, down, inside_ = right_[is_corner], down[is_corner].astype(np.int64), inside_[is_corner]
        order = np.lexsort((down, right_, x, y))
        return x[order], y[order], right_[order], down[order], inside_[order]


class _Horizontals:
    """Which ring goes along the upper edge of a pixel."""

    def __init__(self, rings: list[Ring]) -> None:
        sides = [
            (y0, min(x0, x1), number)
            for number, ring in enumerate(rings)
            for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True)
            if y0 == y1
        ]
        self._sides = sorted(sides)

    def __call__(self, x: int, y: int) -> int:
        return self._sides[bisect_right(self._sides, (y, x, len(self._sides))) - 1][2]


def _partners(order: np.ndarray) -> np.ndarray:
    """For each corner the other end of its edge: sorted along lines, corners come in pairs."""
    partner = np.empty_like(order)
    partner[order[0::2]] = order[1::2]
    partner[order[1::2]] = order[0::2]
    return partner
