"""Rasters of the geosciences through rasterio (extra ``geo``): any depth, any bands, pixels without data.

A satellite's scene is a TIFF that picture libraries read wrongly or not at all: 12 bands of 16 bits, stored
one after the other, with a value that means "nothing was measured here".
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from everymask.errors import OptionError, PictureError, one_line, require
from everymask.quiet import ignoring
from everymask.side_files import described
from everymask.tiff_tags import has_mask_page, read_tags

NODATA_TAG = 42113  # GDAL_NODATA
SAMPLES_TAG = 277  # SamplesPerPixel
EXTRA_SAMPLES_TAG = 338
ALPHA = (1, 2)  # values of ExtraSamples
MAP_TAGS = {33550, 33922, 34264}  # ModelPixelScale, ModelTiepoint, ModelTransformation
OTHER_RASTERS = frozenset((".vrt", ".img"))
"""Rasters that no picture library knows by their content."""


@dataclass(frozen=True)
class Pixels:
    """A picture, and where something was measured: as a file holds it, or made RGB uint8."""

    values: np.ndarray  # [H, W] or [H, W, C]
    valid: np.ndarray | None = None
    """Where something was measured, bool [H, W]; None: everywhere."""


def is_scene(path: Path) -> bool:
    """Whether a file says what only rasterio reads: pixels without data, or more than four bands.

    Pixels without data are named by a value, by a mask in a page or beside the file, or on a map by alpha.
    """
    if path.suffix.lower() in OTHER_RASTERS or path.with_name(f"{path.name}.msk").exists():
        return True
    if b"<NoDataValue>" in described(path):
        return True
    try:
        with path.open("rb") as file:
            tags = read_tags(file)
            on_a_map = bool(MAP_TAGS & tags.keys())
            if NODATA_TAG in tags or tags.get(SAMPLES_TAG, 1) > 4:
                return True
            if on_a_map and tags.get(EXTRA_SAMPLES_TAG) in ALPHA and tags.get(SAMPLES_TAG) in (2, 4):
                return True
            return bool(tags) and has_mask_page(file)
    except OSError:
        return False


def has_rasterio() -> bool:
    """Whether the extra ``geo`` is installed."""
    import importlib.util

    return importlib.util.find_spec("rasterio") is not None


def opened(path: str | os.PathLike[str], page: int | None = None) -> Any:
    """The file as a rasterio dataset, to be closed by the caller; ``page`` of a TIFF counts from 0.

    Raises PictureError, MissingExtraError.
    """
    rasterio = require("rasterio", "geo", f"reading {Path(path).name}")
    with ignoring():  # of files without a place on the map, which is said elsewhere
        try:
            return rasterio.open(path if page is None else f"GTIFF_DIR:{page + 1}:{path}")
        except rasterio.errors.RasterioError as error:
            raise PictureError(f"{str(path)!r} cannot be decoded: {one_line(error)}") from error


def raster_size(path: Path) -> tuple[int, int]:
    """Height and width."""
    with opened(path) as raster:
        return raster.height, raster.width


def raster_pages(path: Path) -> int:
    """Pages of the file, without overviews and masks."""
    with opened(path) as raster:
        return max(1, len(raster.subdatasets))


def read_raster(
    path: str | os.PathLike[str], bands: Sequence[int] | None = None, page: int | None = None
) -> Pixels:
    """One or three bands of a raster, [H, W] or [H, W, 3], and where they have data.

    ``bands`` count from 1 (``(4, 3, 2)`` is a false colour picture); by default the only one, or the first
    three of three or four; ``page`` of a TIFF counts from 0. Raises PictureError where bands or pages leave a
    choice, and OptionError for a band that is not there.
    """
    with opened(path) as raster:
        if page is None and (pages := len(raster.subdatasets)) > 1:
            raise PictureError(
                f"{str(path)!r} holds {pages} pages or frames; pass page=0 to page={pages - 1} "
                f"(--page 1 to --page {pages} in the shell)"
            )
        if not page:  # the first one, with its mask and overviews
            return read_window(raster, chosen_bands(raster, bands, str(path)), str(path))
    with opened(path, page) as raster:
        return read_window(raster, chosen_bands(raster, bands, str(path)), str(path))


def read_window(
    raster: Any, bands: Sequence[int], name: str, window: Any = None, out_hw: tuple[int, int] | None = None
) -> Pixels:
    """Bands of an opened raster, of a rasterio window alone; ``out_hw`` reads fewer pixels, from overviews
    where the file has them."""
    chosen = list(bands)
    shape = None if out_hw is None else (len(chosen), *out_hw)
    rasterio = require("rasterio", "geo", f"reading {Path(name).name}")
    try:
        with rasterio.Env():  # outside of one, GDAL prints its errors
            values = raster.read(chosen, window=window, out_shape=shape)
            valid = (raster.read_masks(chosen, window=window, out_shape=shape) > 0).all(axis=0)
            table = _colours(raster) if len(chosen) == 1 else None
    except Exception as error:  # GDAL raises RasterioIOError, MemoryError, ValueError, ...
        why = error.__cause__ or error  # rasterio says "See previous exception for details"
        raise PictureError(f"{name!r} cannot be decoded: {one_line(why)}") from error
    if values.dtype.kind == "c":
        raise PictureError(f"{name!r} holds complex numbers; write their amplitude and pass that")
    if values.dtype.kind == "f":
        valid &= np.isfinite(values).all(axis=0)
    picture = values[0] if len(chosen) == 1 else np.moveaxis(values, 0, -1)
    if table is not None:
        picture = table[picture]
    return Pixels(picture, None if valid.all() else valid)


def chosen_bands(raster: Any, bands: Sequence[int] | None, name: str) -> list[int]:
    """The numbers of the bands to read: those asked for, or the picture's own. Raises as read_raster."""
    count = raster.count
    if bands is not None:
        chosen = check_bands(bands)
        if max(chosen) > count:
            raise OptionError(f"{name!r} has {count} bands, there is no band {max(chosen)}")
        return list(chosen)
    alpha = sum(each.name == "alpha" for each in raster.colorinterp)
    colours = count - alpha
    if colours == 1:
        return [1]
    if colours in (3, 4):
        return [1, 2, 3]
    if count == 2:
        raise PictureError(
            f"{name!r} has 2 bands; say which is the picture: bands=(1,), or --bands 1 in the shell"
        )
    raise PictureError(
        f"{name!r} has {count} bands; say which three make the picture: bands=(3, 2, 1), "
        "or --bands 3,2,1 in the shell"
    )


def check_bands(bands: Sequence[int]) -> tuple[int, ...]:
    """One or three band numbers from 1. Raises OptionError."""
    try:
        numbers = tuple(bands)
    except TypeError:
        numbers = ()
    whole = all(isinstance(each, int | np.integer) and not isinstance(each, bool) for each in numbers)
    if len(numbers) not in (1, 3) or not whole or min(numbers) < 1:
        raise OptionError(f"bands must be one or three numbers from 1, such as (4, 3, 2), got {bands!r}")
    return numbers


def _colours(raster: Any) -> np.ndarray | None:
    """The palette of a raster of numbers, uint8 [256, 3], or None."""
    if raster.colorinterp[0].name != "palette" or raster.dtypes[0] != "uint8":
        return None
    table = np.zeros((256, 3), np.uint8)
    for number, colour in raster.colormap(1).items():
        table[number] = colour[:3]
    return table
