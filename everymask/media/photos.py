"""A photo from a path, an array or a PIL picture as RGB uint8 [H, W, 3], by stated rules.

==========================  =======================================================================
what comes                  what is made of it
==========================  =======================================================================
EXIF, TIFF orientation      applied, for files and PIL pictures alike; H and W are those one sees
grayscale, palette, CMYK,   converted to RGB as Pillow does
YCbCr, bilevel
transparency                dropped, the stored colours stay (as ``PIL.Image.convert("RGB")`` and
                            OpenCV do); with ``background=(r, g, b)`` composed onto that colour
16-bit, 32-bit, float       mapped to 0..255 by ``range``: see :func:`to_bytes`
8-bit                       never remapped
bands of a raster file      ``bands=(4, 3, 2)``, from 1 (extra ``geo``); by default the first three of 3 or 4
pixels without data         (a raster's nodata value or mask, on a map its alpha): do not count for
                            ``range``, become black
several pages or frames     refused unless ``page=`` says which; an MPO file (a phone's JPEG with a
                            preview behind it) and a TIFF's reduced overviews count as one page
hyperstacks                 of ImageJ and OME-TIFF: a page is a time and a depth, ``bands`` are its channels
DICOM                       rescaled as the file says, dark to bright as one sees it; frames are pages
arrays                      (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA
HEIC                        read if the package pillow-heif is installed
==========================  =======================================================================

Refused with a PictureError: what is missing, unreadable, truncated, no picture, without pixels, larger
than Pillow's limit against decompression bombs (178,956,970 pixels; ``PIL.Image.MAX_IMAGE_PIXELS``
moves it), or holds NaN.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from everymask.errors import OptionError, PictureError
from everymask.media.depth import Range, check_range, to_bytes
from everymask.media.picture_files import decoding, photo_size, read_file, upright_pixels
from everymask.media.rasters import Pixels, check_bands

__all__ = ["PhotoLike", "Range", "photo_size", "read_photo", "to_bytes"]

PhotoLike = str | os.PathLike[str] | np.ndarray | Image.Image


def read_photo(
    photo: PhotoLike,
    *,
    range: Range = "percentile",
    page: int | None = None,
    bands: Sequence[int] | None = None,
    background: tuple[int, int, int] | None = None,
) -> np.ndarray:
    """The photo as RGB uint8 [H, W, 3], upright.

    An RGB uint8 array is handed back without a copy, unless it is read-only. ``page`` counts from 0,
    ``bands`` (one or three of a raster file) from 1.
    Raises PictureError, and OptionError for a wrong ``range``, ``bands`` or ``background``.

    >>> read_photo(np.array([[0, 65535]], np.uint16), range="dtype")[0].tolist()
    [[0, 0, 0], [255, 255, 255]]
    """
    return read_pixels(photo, range=range, page=page, bands=bands, background=background).values


def read_pixels(
    photo: PhotoLike,
    *,
    range: Range = "percentile",
    page: int | None = None,
    bands: Sequence[int] | None = None,
    background: tuple[int, int, int] | None = None,
) -> Pixels:
    """As :func:`read_photo`, and where the photo has data: what a raster calls nodata is black and not valid.

    Arrays and PIL pictures are valid everywhere.
    """
    check_range(range)
    _check_background(background)
    if bands is not None:
        check_bands(bands)
        if not isinstance(photo, (str, os.PathLike)):
            raise OptionError(
                "bands= is for files; choose channels of an array yourself: array[..., [3, 2, 1]]"
            )
    valid = None
    if isinstance(photo, np.ndarray):
        pixels = photo
    elif isinstance(photo, Image.Image):
        with decoding("the PIL picture"):
            pixels = upright_pixels(photo)
    elif isinstance(photo, (str, os.PathLike)):
        if "://" in str(photo):
            raise PictureError(f"{photo!r} is a web address; download the picture and pass its path")
        read = read_file(Path(photo).expanduser(), page, bands)
        pixels, valid = read.values, read.valid
    else:
        hint = "; of a torch tensor pass photo.permute(1, 2, 0).numpy()" if hasattr(photo, "permute") else ""
        raise PictureError(
            "a photo must be a path, an RGB array of shape (H, W, 3) or a PIL picture, "
            f"got {type(photo).__name__}{hint}"
        )
    return Pixels(as_rgb(to_bytes(_checked(pixels, valid), range, valid), background), valid)


def _check_background(background: tuple[int, int, int] | None) -> None:
    if background is None:
        return
    if len(background) != 3 or not all(0 <= int(value) <= 255 for value in background):
        raise OptionError(f"background must be (r, g, b) with values 0 to 255, got {background!r}")


def _checked(pixels: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """``pixels`` if they can be a picture, [H, W] or [H, W, 1 | 3 | 4]."""
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)):
        hint = ""
        if pixels.ndim == 3 and pixels.shape[0] in (1, 3, 4) and pixels.shape[2] > 16:
            hint = "; channels come last: array.transpose(1, 2, 0)"
        elif pixels.ndim == 3 and pixels.shape[2] > 4:
            hint = "; choose three of its channels: array[..., :3]"
        raise PictureError(
            f"a photo must have shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {pixels.shape}{hint}"
        )
    if pixels.size == 0:
        raise PictureError(f"a photo must have pixels, got shape {pixels.shape}")
    if pixels.dtype.kind not in "buif":
        raise PictureError(f"a photo must hold integers or floats, got values of type {pixels.dtype}")
    if pixels.dtype.kind == "f" and not np.isfinite(pixels if valid is None else pixels[valid]).all():
        raise PictureError(
            "a photo must hold finite values, got NaN or infinity; in an array, use np.nan_to_num first, "
            "in a GeoTIFF set its nodata value to NaN"
        )
    return pixels


def as_rgb(pixels: np.ndarray, background: tuple[int, int, int] | None = None) -> np.ndarray:
    """uint8 [H, W] or [H, W, 1 | 3 | 4] as contiguous RGB [H, W, 3]."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 4 and background is not None:
        alpha = pixels[..., 3:].astype(np.float32) / 255
        behind = np.array(background, np.float32)
        return (pixels[..., :3] * alpha + behind * (1 - alpha) + 0.5).astype(np.uint8)
    rgb = np.ascontiguousarray(pixels[..., :3])
    return rgb if rgb.flags.writeable else rgb.copy()  # torch warns of read-only memory
