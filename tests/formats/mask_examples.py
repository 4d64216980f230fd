"""Masks whose shapes are known by heart: a hole, two parts, one pixel, the borders, an overlap."""

from __future__ import annotations

import numpy as np

from everymask.maskset import Mask, MaskSet

PHOTO_HW = (40, 60)


def ring() -> np.ndarray:
    """A square with a square hole."""
    pixels = np.zeros(PHOTO_HW, dtype=bool)
    pixels[5:20, 8:30] = True
    pixels[9:14, 12:20] = False
    return pixels


def two_parts() -> np.ndarray:
    """Two separate blobs, touching the right and the lower border."""
    pixels = np.zeros(PHOTO_HW, dtype=bool)
    pixels[2:6, 50:60] = True
    pixels[30:40, 40:45] = True
    return pixels


def one_pixel() -> np.ndarray:
    """The top left pixel alone."""
    pixels = np.zeros(PHOTO_HW, dtype=bool)
    pixels[0, 0] = True
    return pixels


def disc() -> np.ndarray:
    """A disc that overlaps the ring."""
    rows, columns = np.mgrid[: PHOTO_HW[0], : PHOTO_HW[1]]
    return (rows - 18) ** 2 + (columns - 28) ** 2 <= 64


def diagonal() -> np.ndarray:
    """Two pixels that touch in a corner only."""
    pixels = np.zeros(PHOTO_HW, dtype=bool)
    pixels[33, 10] = pixels[34, 11] = True
    return pixels


def whole() -> np.ndarray:
    """Every pixel."""
    return np.ones(PHOTO_HW, dtype=bool)


SHAPES = (ring, two_parts, one_pixel, disc, diagonal)


def known_mask(pixels: np.ndarray, index: int, label: str | None = None) -> Mask:
    """A mask with a value in every field."""
    return Mask.from_segmentation(
        pixels,
        predicted_iou=0.9 + index / 100,
        stability_score=0.95 - index / 100,
        point_coords=[(index + 0.5, 2.0)],
        crop_box=(0.0, 0.0, float(PHOTO_HW[1]), float(PHOTO_HW[0])),
        label=label,
    )


def example_masks(labels: bool = False) -> MaskSet:
    """One mask of every shape."""
    names = ("cat", None, "dog", "cat", None) if labels else (None,) * len(SHAPES)
    return MaskSet(
        [known_mask(make(), i, name) for i, (make, name) in enumerate(zip(SHAPES, names, strict=True))],
        PHOTO_HW,
    )


def apart_masks() -> MaskSet:
    """The examples that share no pixel."""
    return MaskSet([known_mask(make(), i) for i, make in enumerate((ring, two_parts, one_pixel))], PHOTO_HW)
