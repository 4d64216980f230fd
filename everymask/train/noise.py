"""Smooth random fields: the raw material of natural outlines, textures and light.

Letters used in shapes: S side of the square canvas.
"""

from __future__ import annotations

import cv2
import numpy as np


def smooth_field(rng: np.random.Generator, side: int, cells: float) -> np.ndarray:
    """A field [S, S] of about unit variance whose bumps are side / cells pixels wide.

    >>> smooth_field(np.random.default_rng(0), 32, 4).shape
    (32, 32)
    """
    count = max(2, round(cells) + 3)
    grid = rng.standard_normal((count, count)).astype(np.float32)
    small = min(side, int(6 * cells) + 2)  # enough pixels for its bumps; the rest is interpolation
    zoom = cells / small
    shift = rng.uniform(0, 1, 2)
    to_grid = np.array([[zoom, 0, shift[0] + 0.5], [0, zoom, shift[1] + 0.5]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    field = cv2.warpAffine(grid, to_grid, (small, small), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return cv2.resize(field, (side, side), interpolation=cv2.INTER_LINEAR)


def fractal_field(
    rng: np.random.Generator, side: int, cells: float, octaves: int = 5, roughness: float = 0.5
) -> np.ndarray:
    """Smooth fields on top of each other, each twice as fine and ``roughness`` times as strong, [S, S]."""
    total = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        fineness = cells * 2**octave
        if fineness > side / 2:
            break
        total += np.float32(roughness**octave) * smooth_field(rng, side, fineness)
    return total


def warp(rng: np.random.Generator, picture: np.ndarray, strength_px: float, cells: float) -> np.ndarray:
    """Push the pixels of ``picture`` [S, S(, C)] around, so that straight outlines become natural ones."""
    side = picture.shape[0]
    ys, xs = np.mgrid[0:side, 0:side].astype(np.float32)
    strength = np.float32(strength_px)
    dx = strength * fractal_field(rng, side, cells, 3, 0.45)
    dy = strength * fractal_field(rng, side, cells, 3, 0.45)
    flags = cv2.INTER_NEAREST if picture.dtype == np.int32 else cv2.INTER_LINEAR
    source = picture.astype(np.float32)
    moved = cv2.remap(source, xs + dx, ys + dy, flags, borderMode=cv2.BORDER_REFLECT)
    return moved.astype(picture.dtype)
