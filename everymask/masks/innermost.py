"""Points well inside a region: where to ask about it."""

from __future__ import annotations

import cv2
import numpy as np


def innermost_points(region: np.ndarray, count: int) -> np.ndarray:
    """Up to ``count`` points (x, y) of a region [H, W] far from its edge and from each other, deepest first.

    >>> innermost_points(np.pad(np.ones((3, 3), bool), 1), 1).tolist()
    [[2, 2]]
    """
    depth = cv2.distanceTransform(np.pad(region.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    found: list[tuple[int, int]] = []
    y, x = np.ogrid[: region.shape[0], : region.shape[1]]
    while len(found) < count and depth.max() > 0:
        row, column = (int(i) for i in np.unravel_index(depth.argmax(), depth.shape))
        found.append((column, row))
        depth = np.where((x - column) ** 2 + (y - row) ** 2 <= (2 * depth[row, column]) ** 2, 0, depth)
    return np.array(found, np.int64).reshape(-1, 2)
