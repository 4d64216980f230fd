"""Pixels to a picture file at their own depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from everymask.formats.landing import landing
from everymask.media.colour_profile import holds_profile, with_profile
from everymask.opencv import encoded

TIFF = (".tif", ".tiff")
LZW = 5
"""A TIFF's compression that loses nothing; OpenCV's own for floats in colour is LogLuv, which does."""


def file_for(path: Path, pixels: np.ndarray) -> Path:
    """The file that pixels go into: ``path``, or a TIFF of its name where that kind of file lacks the depth.

    PNG holds 8 and 16 bits, JPEG, WebP and BMP 8.

    >>> file_for(Path("a.jpg"), np.zeros((4, 5), np.uint16)).name
    'a.tif'
    """
    bits = {np.dtype(np.uint8): 8, np.dtype(np.uint16): 16}.get(storable(pixels).dtype, 64)
    suffix = path.suffix.lower()
    holds = 64 if suffix in TIFF else 16 if suffix == ".png" else 8
    return path if bits <= holds else path.with_suffix(".tif")


def storable(pixels: np.ndarray) -> np.ndarray:
    """The same values in a type that picture files have.

    >>> [storable(np.array([0, high])).dtype.name for high in (60_000, 70_000, 2**40)]
    ['uint16', 'int32', 'float64']
    """
    kind, size = pixels.dtype.kind, pixels.dtype.itemsize
    if kind == "b":
        return pixels.astype(np.uint8) * 255
    if pixels.dtype in (np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64):
        fits = pixels.dtype == np.int32 and 0 <= pixels.min() <= pixels.max() < 2**16
        return pixels.astype(np.uint16) if fits else pixels  # Pillow reads 16-bit grey as 32-bit
    if kind == "f":
        return pixels.astype(np.float32 if size < 4 else np.float64)
    if size == 1:
        return pixels.astype(np.int16)
    for kept in (np.uint16, np.int32):
        if np.iinfo(kept).min <= pixels.min() and pixels.max() <= np.iinfo(kept).max:
            return pixels.astype(kept)
    return pixels.astype(np.float64)


def write_picture(path: Path, pixels: np.ndarray, profile: bytes | None = None) -> Path:
    """Write pixels at their own depth, whole or not at all; where they were written (:func:`file_for`).

    ``profile`` is the ICC profile of their colours; only PNG and JPEG get it.
    """
    path = file_for(path, pixels)
    whole = storable(pixels)
    flat = whole[..., 0] if whole.ndim == 3 and whole.shape[2] == 1 else whole
    swapped: Any = flat if flat.ndim == 2 else flat[..., [2, 1, 0, 3][: flat.shape[2]]]
    suffix = path.suffix.lower()
    options = [cv2.IMWRITE_TIFF_COMPRESSION, LZW] if suffix in TIFF else []
    path.parent.mkdir(parents=True, exist_ok=True)
    with landing(path) as temporary:
        data = encoded(np.ascontiguousarray(swapped), suffix, options)
        temporary.write_bytes(with_profile(data, profile) if profile and holds_profile(suffix) else data)
    return path
