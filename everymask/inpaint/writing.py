"""Pixels to a picture file at their own depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from everymask.formats.landing import landing
from everymask.opencv import encoded


def write_picture(path: Path, pixels: np.ndarray) -> Path:
    """Write pixels at their own depth, whole or not at all; where they were written.

    PNG holds 8 and 16 bits: other depths go into a TIFF beside the name asked for.
    """
    if pixels.dtype.kind in "iu" and pixels.dtype.itemsize > 2 and 0 <= pixels.min() <= pixels.max() < 65536:
        pixels = pixels.astype(np.uint16)  # Pillow reads 16-bit grey as 32-bit
    if pixels.dtype not in (np.uint8, np.uint16) or (
        pixels.dtype == np.uint16 and path.suffix.lower() not in (".png", ".tif", ".tiff")
    ):
        path = path.with_suffix(".tif")
        pixels = pixels if pixels.dtype == np.uint16 else pixels.astype(np.float32)
    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    swapped: Any = flat if flat.ndim == 2 else flat[..., [2, 1, 0, 3][: flat.shape[2]]]
    path.parent.mkdir(parents=True, exist_ok=True)
    with landing(path) as temporary:
        temporary.write_bytes(encoded(np.ascontiguousarray(swapped), path.suffix.lower()))
    return path
