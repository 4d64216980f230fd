"""From outlines to pixels, by one stated rule: a pixel belongs to a ring if its centre lies inside.

Pixel (column x, row y) covers [x, x+1] x [y, y+1], its centre is at (x + 0.5, y + 0.5). A centre exactly on
an edge belongs to the side with the larger x. Several rings together fill by the even-odd rule, so that a
ring within a ring is a hole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def fill_rings(rings_xy: Sequence[np.ndarray], photo_hw: tuple[int, int]) -> np.ndarray:
    """The pixels, bool [H, W], within some rings, each [N, 2] of (x, y) in pixels, closed or not.

    >>> fill_rings([np.array([[1, 0], [3, 0], [3, 1], [1, 1]])], (2, 4)).astype(int).tolist()
    [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    height, width = photo_hw
    # Each edge flips every pixel to its right, row by row; an odd number of flips is inside.
    flips = np.zeros((height, width + 1), dtype=bool)
    for ring in rings_xy:
        rows, columns = _crossings(np.asarray(ring, dtype=np.float64), height, width)
        np.logical_xor.at(flips, (rows, columns), True)
    return np.logical_xor.accumulate(flips, axis=1)[:, :width]


def _crossings(ring: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """For each edge and each pixel row whose centre line it crosses: the row, the first column to flip."""
    start, end = ring, np.roll(ring, -1, axis=0)
    upper = np.where((start[:, 1] <= end[:, 1])[:, None], start, end)
    lower = np.where((start[:, 1] <= end[:, 1])[:, None], end, start)
    first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(lower[:, 1] - 0.5), 0, height).astype(np.int64)  # exclusive
    counts = last - first
    edges = np.repeat(np.arange(len(ring)), counts)
    rows = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edges]
    run = (lower[edges, 0] - upper[edges, 0]) / (lower[edges, 1] - upper[edges, 1])
    x = upper[edges, 0] + (rows + 0.5 - upper[edges, 1]) * run
    return rows, np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
