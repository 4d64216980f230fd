"""DOTA: ``<stem>.txt``, a row ``x1 y1 x2 y2 x3 y3 x4 y4 class difficult`` a mask: its smallest turned box.

Corners are pixels, clockwise on the screen. The shape within the box is lost: how many pixels is counted.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import FormatError
from ..maskset import Mask, MaskSet
from .losses import Loss, Losses
from .outlines import outlines_of
from .raster import checked_ring, rle_of_rings
from .record import SIZE_HINT, PhotoMasks, WriteOptions, build_mask, category_of, label_of
from .text import read_text

HEADERS = ("imagesource:", "gsd:")


def write(path: Path, photo: PhotoMasks, options: WriteOptions) -> Losses:
    """The rows of one photo."""
    rows, losses = [], []
    for mask in photo.masks:
        corners = turned_box(mask)
        changed = _changed(mask, corners)
        losses.append(Losses((Loss("boxes", 1, changed),)) if changed else Losses())
        numbers = " ".join(f"{value:.2f}" for value in corners.ravel())
        rows.append(f"{numbers} {'_'.join(category_of(mask).split())} 0\n")
    path.write_text("".join(rows), "utf-8")
    return Losses.total(losses)


def turned_box(mask: Mask) -> np.ndarray:
    """The corners of the smallest box around a mask's pixels, at any angle, float64 [4, 2], clockwise.

    >>> turned_box(Mask.from_segmentation(np.array([[0, 1, 1]]))).tolist()
    [[1.0, 0.0], [3.0, 0.0], [3.0, 1.0], [1.0, 1.0]]
    """
    points = np.array([corner for piece in outlines_of(mask) for corner in piece.shell], np.float32)
    corners = cv2.boxPoints(cv2.minAreaRect(points)).astype(np.float64)
    first = int(np.lexsort((corners[:, 0], np.round(corners.sum(axis=1), 2)))[0])
    return np.roll(corners, -first, axis=0)


def _changed(mask: Mask, corners: np.ndarray) -> int:
    """How many pixels lie in one of the two, box and mask."""
    filled = rle_of_rings([corners], mask.size)
    shared = Mask(filled).segmentation[mask.extent] & mask.crop()
    return int(filled.area + mask.area - 2 * shared.sum())


def read(path: Path, photo_hw: tuple[int, int] | None = None) -> list[PhotoMasks]:
    """The boxes of one photo as masks. The file does not say the photo's size: ``photo_hw`` must."""
    if photo_hw is None:
        raise FormatError(f"{path} does not say how large the photo is; give {SIZE_HINT}")
    masks = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.lower().startswith(HEADERS):
            continue
        masks.append(_mask(line.split(), photo_hw, f"line {number} of {path}"))
    return [PhotoMasks(path.stem, MaskSet(masks, photo_hw=photo_hw))]


def _mask(words: list[str], photo_hw: tuple[int, int], where: str) -> Mask:
    try:
        corners = [float(word) for word in words[:8]]
    except ValueError:
        corners = []
    if len(corners) < 8 or len(words) > 10:
        raise FormatError(f"{where} must be 8 coordinates, a class and 0 or 1, got {' '.join(words)[:60]!r}")
    ring = checked_ring(corners, photo_hw, where)
    attributes = {"difficult": 1} if words[9:] == ["1"] else None
    label = label_of(words[8]) if len(words) > 8 else None
    return build_mask(rle_of_rings([ring], photo_hw), {}, label, where, attributes)
