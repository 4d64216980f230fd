"""Pictures too large to be held: read window by window, all windows with one mapping to 8 bits.

A scene is a raster that rasterio reads (GeoTIFF, JPEG 2000, VRT, ...) or any photo, held in memory. What the
values mean as grey is settled once, on an overview of up to 2,048 pixels a side, so that no window is
brighter than its neighbour; files that have overviews answer from those.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from everymask.errors import PictureError
from everymask.media.depth import Range, check_range, to_bytes, value_range
from everymask.media.photos import as_rgb, read_pixels
from everymask.media.rasters import Pixels, chosen_bands, has_rasterio, opened, raster_size, read_window
from everymask.orientation import read_orientation, stored_box, turned, upright_hw

OVERVIEW_SIDE = 2048
"""The longest side of the overview that brightness is measured on."""
LARGE = 100_000_000
"""Pixels from which on a picture is worked on in tiles, asked or not."""
RASTER_SUFFIXES = frozenset((".tif", ".tiff", ".jp2", ".vrt", ".img"))
CACHE_MB = 128
"""Decoded blocks that GDAL may keep."""
AT_ONCE = 2**25
"""Bytes that are read at once, at least a block, for an overview that the file does not have."""


class Scene(Protocol):
    """A picture that gives windows of itself."""

    hw: tuple[int, int]
    """Height and width in pixels."""

    def read(self, box_xyxy: tuple[int, int, int, int]) -> Pixels:
        """A window (maximum edges exclusive), RGB uint8 [h, w, 3], and where it has data."""

    def overview(self, side: int) -> Pixels:
        """The whole scene with its longer side at most ``side`` pixels."""

    def close(self) -> None:
        """Close the file."""


class RasterScene:
    """A file that rasterio reads by windows; the whole of it is never in memory."""

    def __init__(
        self, path: str | os.PathLike[str], *, range: Range = "percentile", bands: Sequence[int] | None = None
    ) -> None:
        check_range(range)
        self._name, self._raster = str(path), opened(path)
        try:
            pages = len(self._raster.subdatasets)
            if pages > 1:
                raise PictureError(
                    f"{self._name!r} holds {pages} pictures; name the one you mean by its page"
                )
            self._bands = chosen_bands(self._raster, bands, self._name)
            self._stored_hw: tuple[int, int] = (self._raster.height, self._raster.width)
            self._orientation = read_orientation(Path(path))
            self.hw: tuple[int, int] = upright_hw(self._stored_hw, self._orientation)
            self._range: Range = range
            if range in ("percentile", "minmax") and self._raster.dtypes[self._bands[0] - 1] != "uint8":
                self._range = self._measured(range)
        except BaseException:
            self._raster.close()
            raise

    def read(self, box_xyxy: tuple[int, int, int, int]) -> Pixels:
        from rasterio.windows import Window

        x0, y0, x1, y1 = stored_box(box_xyxy, self._orientation, self.hw)
        return self._seen(self._read(window=Window(x0, y0, x1 - x0, y1 - y0)))

    def overview(self, side: int) -> Pixels:
        return self._seen(self._reduced(side))

    def close(self) -> None:
        self._raster.close()

    def _read(self, **what: Any) -> Pixels:
        import rasterio

        with rasterio.Env(GDAL_CACHEMAX=CACHE_MB):
            return read_window(self._raster, self._bands, self._name, **what)

    def _reduced(self, side: int) -> Pixels:
        """The whole as it is stored at fewer pixels: from overviews, or piece by piece, each block decoded
        once.

        Pieces are read in full and sampled here: GDAL takes twenty times as long for reduced windows.
        """
        from rasterio.windows import Window

        (height, width), (rows, columns) = self._stored_hw, reduced_hw(self._stored_hw, side)
        if rows == height or self._raster.overviews(self._bands[0]):
            return self._read(out_hw=(rows, columns))
        down, across = self._piece_hw()
        y, x = sampled(height, rows), sampled(width, columns)
        strips = []
        for top in range(0, height, down):
            lines = y[(y >= top) & (y < top + down)] - top
            beside = []
            for left in range(0, width if len(lines) else 0, across):
                places = x[(x >= left) & (x < left + across)] - left
                if len(places):
                    window = Window(left, top, min(across, width - left), min(down, height - top))
                    beside.append(_taken(self._read(window=window), lines, places))
            strips += [_joined(beside, 1)] if beside else []
        return _joined(strips, 0)

    def _piece_hw(self) -> tuple[int, int]:
        """Rows and columns, whole blocks, that are read at once."""
        block_rows, block_columns = self._raster.block_shapes[self._bands[0] - 1]
        pixel = sum(np.dtype(kind).itemsize for kind in self._raster.dtypes)
        width = self._stored_hw[1]
        if block_columns >= width:
            return block_rows * max(1, AT_ONCE // (block_rows * width * pixel)), width
        return block_rows, block_columns * max(1, AT_ONCE // (block_rows * block_columns * pixel))

    def _measured(self, range: Range) -> Range:
        """The values that become 0 and 255, by a rule that asks the picture."""
        small = self._reduced(OVERVIEW_SIDE)
        values = small.values if small.valid is None else small.values[small.valid]
        if not values.size:
            return "dtype"  # nothing to see: every tile is left out
        low, high = value_range(values, range)
        return (low, high) if low < high else (low, low + 1)

    def _seen(self, pixels: Pixels) -> Pixels:
        """Stored values upright, in 8 bits."""
        values = turned(pixels.values, self._orientation)
        valid = None if pixels.valid is None else turned(pixels.valid, self._orientation)
        if valid is not None and not valid.any():
            return Pixels(np.zeros((*valid.shape, 3), np.uint8), valid)
        return Pixels(as_rgb(to_bytes(values, self._range, valid)), valid)


def _taken(pixels: Pixels, rows: np.ndarray, columns: np.ndarray) -> Pixels:
    """Some rows and columns of a picture."""
    valid = None if pixels.valid is None else pixels.valid[rows][:, columns]
    return Pixels(pixels.values[rows][:, columns], valid)


def _joined(parts: Sequence[Pixels], axis: int) -> Pixels:
    """Pieces of a picture side by side (axis 1) or below one another (axis 0)."""
    values = np.concatenate([part.values for part in parts], axis)
    known = [np.ones(part.values.shape[:2], bool) if part.valid is None else part.valid for part in parts]
    valid = np.concatenate(known, axis)
    return Pixels(values, None if valid.all() else valid)


class PhotoScene:
    """A photo in memory: its windows are views."""

    def __init__(self, photo: Pixels) -> None:
        self._photo = photo
        self.hw: tuple[int, int] = (photo.values.shape[0], photo.values.shape[1])

    def read(self, box_xyxy: tuple[int, int, int, int]) -> Pixels:
        x0, y0, x1, y1 = box_xyxy
        valid = None if self._photo.valid is None else self._photo.valid[y0:y1, x0:x1]
        whole = valid is None or bool(valid.all())
        return Pixels(self._photo.values[y0:y1, x0:x1], None if whole else valid)

    def overview(self, side: int) -> Pixels:
        rows, columns = (
            sampled(whole, small) for whole, small in zip(self.hw, reduced_hw(self.hw, side), strict=True)
        )
        valid = None if self._photo.valid is None else self._photo.valid[rows][:, columns]
        return Pixels(np.ascontiguousarray(self._photo.values[rows][:, columns]), valid)

    def close(self) -> None:
        """Nothing is open."""


def open_scene(
    path: str | os.PathLike[str],
    *,
    range: Range = "percentile",
    page: int | None = None,
    bands: Sequence[int] | None = None,
) -> Scene:
    """A file as a scene, to be closed by the caller: by windows where rasterio can, else read as a whole."""
    file = Path(path)
    if page is None and file.suffix.lower() in RASTER_SUFFIXES and has_rasterio() and file.is_file():
        return RasterScene(file, range=range, bands=bands)
    return PhotoScene(read_pixels(file, range=range, page=page, bands=bands))


def is_large(path: Path) -> bool:
    """Whether a file is a raster of more than :data:`LARGE` pixels that can be read by windows."""
    if path.suffix.lower() not in RASTER_SUFFIXES or not has_rasterio():
        return False
    try:
        height, width = raster_size(path)
    except PictureError:
        return False  # what is wrong with the file is said where it is read
    return height * width > LARGE


def reduced_hw(hw: tuple[int, int], side: int) -> tuple[int, int]:
    """Height and width with the longer one at most ``side``.

    >>> reduced_hw((4000, 1000), 2000), reduced_hw((30, 20), 2000)
    ((2000, 500), (30, 20))
    """
    scale = min(1.0, side / max(hw))
    return max(1, round(hw[0] * scale)), max(1, round(hw[1] * scale))


def sampled(length: int, count: int) -> np.ndarray:
    """Which of ``length`` pixels stand for ``count`` evenly spread ones, int64 [count].

    >>> sampled(6, 3).tolist()
    [1, 3, 5]
    """
    return ((np.arange(count) + 0.5) * length / count).astype(np.int64)
