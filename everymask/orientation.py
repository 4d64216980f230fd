"""Which way up a picture is stored (EXIF's and TIFF's tag 274): pixels, boxes and maps, turned by it.

Cameras store what their sensor reads, and say how it is to be turned. All readers here turn it; whatever
else is said of the stored pixels (a world file, a GeoTIFF's transform) has to be turned with them.

========  =======================================  =================================================
value     what is stored                           upright pixel (u, v) of [H, W] is the stored (x, y)
========  =======================================  =================================================
1         upright                                  (u, v)
2         mirrored left to right                   (W - 1 - u, v)
3         turned by half                           (W - 1 - u, H - 1 - v)
4         mirrored top to bottom                   (u, H - 1 - v)
5         rows and columns exchanged               (v, u)
6         turned to the left by a quarter          (v, W - 1 - u)
7         exchanged, then turned by half           (H - 1 - v, W - 1 - u)
8         turned to the right by a quarter         (H - 1 - v, u)
========  =======================================  =================================================
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .pillow import BROKEN, ORIENTATION_TAG, opened
from .tiff_tags import read_tags

EXCHANGED = (5, 6, 7, 8)
"""Rows are stored as columns."""
FROM_THE_RIGHT = (2, 3, 6, 7)
"""Upright columns are counted from the right."""
FROM_BELOW = (3, 4, 7, 8)

Affine = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f: X = a x + b y + c and Y = d x + e y + f."""


def read_orientation(path: Path, page: int = 0) -> int:
    """The orientation 1..8 of a picture file's page (from 0); 1 where it says nothing that can be read."""
    try:
        with opened(path) as picture:
            if page:
                picture.seek(page)
            return checked(picture.getexif().get(ORIENTATION_TAG))
    except BROKEN:
        pass  # a TIFF that Pillow does not know, or one too large for it
    try:
        with path.open("rb") as file:
            return checked(read_tags(file, page).get(ORIENTATION_TAG))
    except OSError:
        return 1


def checked(value: object) -> int:
    """What a tag holds as an orientation; 1 for what is none.

    >>> checked(6), checked(9), checked(None)
    (6, 1, 1)
    """
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright_hw(stored_hw: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Height and width of a picture that is stored so; its own inverse.

    >>> upright_hw((20, 30), 6)
    (30, 20)
    """
    return stored_hw[::-1] if orientation in EXCHANGED else stored_hw


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels [H, W, ...] upright, as a view.

    >>> turned(np.array([[1, 2, 3]]), 6).tolist()
    [[1], [2], [3]]
    """
    if orientation in EXCHANGED:
        pixels = pixels.swapaxes(0, 1)
    if orientation in FROM_BELOW:
        pixels = pixels[::-1]
    if orientation in FROM_THE_RIGHT:
        pixels = pixels[:, ::-1]
    return pixels


def stored_box(
    box_xyxy: tuple[int, int, int, int], orientation: int, photo_hw: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Where a box of the upright picture of ``photo_hw`` is stored (maximum edges exclusive).

    >>> stored_box((0, 0, 2, 5), 6, (30, 20))
    (0, 18, 5, 20)
    """
    x0, y0, x1, y1 = box_xyxy
    height, width = photo_hw
    if orientation in FROM_THE_RIGHT:
        x0, x1 = width - x1, width - x0
    if orientation in FROM_BELOW:
        y0, y1 = height - y1, height - y0
    return (y0, x0, y1, x1) if orientation in EXCHANGED else (x0, y0, x1, y1)


def upright_affine(affine: Affine, orientation: int, stored_hw: tuple[int, int]) -> Affine:
    """A map from corners of stored pixels, as one from corners of upright pixels to the same places.

    >>> upright_affine((10, 0, 500, 0, -10, 800), 3, (20, 30))
    (-10, 0, 800, 0, 10, 600)
    """
    a, b, c, d, e, f = affine
    height, width = upright_hw(stored_hw, orientation)
    if orientation in EXCHANGED:
        a, b, d, e = b, a, e, d
    if orientation in FROM_THE_RIGHT:
        a, c, d, f = -a, c + a * width, -d, f + d * width
    if orientation in FROM_BELOW:
        b, c, e, f = -b, c + b * height, -e, f + e * height
    return a, b, c, d, e, f
