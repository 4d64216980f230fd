"""What is left of an object, or of the ground, that ends where a tile does, as arrays."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from everymask.everything.grid import Crop

ALONG = 0.2
"""Edge on tiles' borders, by the width and height of a mask's box together."""
WITHIN = 0.9

Placed = tuple[np.ndarray, np.ndarray]
"""A box in the scene (xyxy, maximum edges inclusive), and a mask's pixels in it, bool [h, w]."""


def put_together(parts: Iterable[Placed], box: np.ndarray) -> np.ndarray:
    """The pixels of masks within a box around all of them, bool [h, w]."""
    x0, y0, x1, y1 = box.tolist()
    whole = np.zeros((y1 - y0 + 1, x1 - x0 + 1), bool)
    for (left, top, right, bottom), pixels in parts:
        whole[top - y0 : bottom - y0 + 1, left - x0 : right - x0 + 1] |= pixels
    return whole


def lies_along(mask: Placed, tiles: Iterable[Crop], scene_hw: tuple[int, int]) -> bool:
    """Whether a mask has a long edge on the borders of its tiles inside the scene.

    >>> tile, square = Crop(0, 0, 64, 64, 0), np.ones((10, 10), bool)
    >>> [lies_along((np.array([x, 20, x + 9, 29]), square), [tile], (64, 100)) for x in (0, 53, 54)]
    [False, False, True]
    """
    (x0, y0, _, _), pixels = mask
    around = np.pad(pixels, 1)
    height, width = scene_hw
    edge = 0
    for tile in tiles:
        rows = slice(max(tile.y0 - y0 + 1, 0), max(tile.y1 - y0 + 1, 0))
        columns = slice(max(tile.x0 - x0 + 1, 0), max(tile.x1 - x0 + 1, 0))
        for inside, x, beyond in ((tile.x0 > 0, tile.x0, -1), (tile.x1 < width, tile.x1 - 1, 1)):
            at = x - x0 + 1
            if inside and 0 < at < around.shape[1] - 1:
                edge += int(np.count_nonzero(around[rows, at] & ~around[rows, at + beyond]))
        for inside, y, beyond in ((tile.y0 > 0, tile.y0, -1), (tile.y1 < height, tile.y1 - 1, 1)):
            at = y - y0 + 1
            if inside and 0 < at < around.shape[0] - 1:
                edge += int(np.count_nonzero(around[at, columns] & ~around[at + beyond, columns]))
    return bool(edge > ALONG * sum(pixels.shape))


def lies_within(mask: Placed, others: Iterable[Placed]) -> bool:
    """Whether a mask lies within others together, whose boxes are inside its own."""
    (left, top, _, _), pixels = mask
    outside = pixels.copy()
    for (x0, y0, x1, y1), shared in others:
        outside[y0 - top : y1 + 1 - top, x0 - left : x1 + 1 - left] &= ~shared
    return bool(np.count_nonzero(outside) <= (1 - WITHIN) * np.count_nonzero(pixels))
