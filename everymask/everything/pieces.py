"""What is left of an object, or of the ground, that ends where a tile does, as arrays."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from everymask.everything.grid import Crop

ALONG = 0.2
"""Pixels on the tile's border, by the width and height of a mask's box together."""
WITHIN = 0.9


def lies_along(pixels: np.ndarray, box: np.ndarray, tile: Crop, scene_hw: tuple[int, int]) -> bool:
    """Whether a mask, bool [h, w] at its box in the scene (xyxy, maximum edges inclusive), has a long edge on
    its tile's border inside the scene.

    >>> tile, square = Crop(0, 0, 64, 64, 0), np.ones((10, 10), bool)
    >>> [lies_along(square, np.array([x, 20, x + 9, 29]), tile, (64, 100)) for x in (0, 53, 54)]
    [False, False, True]
    """
    height, width = scene_hw
    sides = (
        (box[0] == tile.x0 > 0, pixels[:, 0]),
        (box[1] == tile.y0 > 0, pixels[0]),
        (box[2] + 1 == tile.x1 < width, pixels[:, -1]),
        (box[3] + 1 == tile.y1 < height, pixels[-1]),
    )
    on_it = sum(np.count_nonzero(line) for is_border, line in sides if is_border)
    return on_it > ALONG * sum(pixels.shape)


def lies_within(pixels: np.ndarray, box: np.ndarray, others: Iterable[tuple[np.ndarray, np.ndarray]]) -> bool:
    """Whether a mask at its box lies within others together: boxes inside its own, and their pixels there."""
    left = pixels.copy()
    for (x0, y0, x1, y1), shared in others:
        left[y0 - box[1] : y1 + 1 - box[1], x0 - box[0] : x1 + 1 - box[0]] &= ~shared
    return np.count_nonzero(left) <= (1 - WITHIN) * np.count_nonzero(pixels)
