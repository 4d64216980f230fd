"""From pixels to outlines that run along the pixels' edges: polygons that mean exactly the same pixels.

Coordinates are pixel corners: pixel (column x, row y) covers [x, x+1] x [y, y+1]. Filling the rings by
``raster.fill_rings`` gives the mask back. The polygons are valid in the sense of the OGC: simple rings,
holes within their shell, touching in points at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..errors import OptionError
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
    mask = np.asarray(pixels) != 0
    _, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    shells: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for ring in _simple_rings(mask):
        if _doubled_area(ring) > 0:
            x, y = min(ring, key=lambda corner: (corner[1], corner[0]))
            shells[int(pieces[y, x])] = ring  # the pixel at the shell's first corner is of its piece
        else:
            x, y = min(ring, key=lambda corner: (corner[1], corner[0]))
            holes.setdefault(int(pieces[y - 1, x]), []).append(
                ring
            )  # so is the one above a hole's first corner
    return [Polygon(shell, tuple(holes.get(piece, ()))) for piece, shell in shells.items()]


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


def outlines_of(mask: Mask) -> list[Polygon]:
    """The polygons of a mask: work and memory go by the mask's own box, not by the photo."""
    rows, columns = mask.extent
    return [
        Polygon(
            _moved(polygon.shell, columns.start, rows.start),
            tuple(_moved(hole, columns.start, rows.start) for hole in polygon.holes),
        )
        for polygon in outlines(mask.crop())
    ]


def _moved(ring: Ring, dx: int, dy: int) -> Ring:
    return [(x + dx, y + dy) for x, y in ring]


def _doubled_area(ring: Ring) -> int:
    """Twice the signed area: positive when the ring runs clockwise on the screen (y down)."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True))


def _simple_rings(mask: np.ndarray) -> list[Ring]:
    """Every closed walk along the mask's edge, split where it touches itself."""
    return [loop for walk in _walks(mask) for loop in _loops(walk)]


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


def _walks(mask: np.ndarray) -> list[Ring]:
    """The closed walks along the edge, corner to corner, the mask always on the right hand."""
    x, y, goes_right, goes_down, inside = _corners(mask)
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


def _corners(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Every corner of the edge, top to bottom: x, y, whether its row part goes right, its column part down,
    and whether the pixel between those two parts is inside the mask.

    Where two pixels touch in a point only, there are two corners, one for each.
    """
    padded = np.pad(mask, 1)
    quadrants = {(r, d): padded[d : d - 1 or None, r : r - 1 or None] for r in (0, 1) for d in (0, 1)}
    count = sum(quadrant.astype(np.int8) for quadrant in quadrants.values())
    touching = (count == 2) & (quadrants[0, 0] == quadrants[1, 1])
    found = []
    for (right, down), quadrant in quadrants.items():
        for inside, here in ((True, quadrant & ((count == 1) | touching)), (False, ~quadrant & (count == 3))):
            rows, columns = np.nonzero(here)
            found += [(columns, rows, *(np.full(len(rows), value) for value in (right, down, inside)))]
    x, y, goes_right, goes_down, inside_ = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((x, y))
    return x[order], y[order], goes_right[order], goes_down[order], inside_[order]


def _partners(order: np.ndarray) -> np.ndarray:
    """For each corner the other end of its edge: sorted along lines, corners come in pairs."""
    partner = np.empty_like(order)
    partner[order[0::2]] = order[1::2]
    partner[order[1::2]] = order[0::2]
    return partner
