"""Where a photo lies on the earth: its affine map and coordinate system, from a GeoTIFF (extra ``geo``)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import FormatError, one_line, require
from ..tiff_tags import read_tags

MODEL_TAGS = {33550, 34264}
"""TIFF tags that place a picture: ModelPixelScale, ModelTransformation."""


@dataclass(frozen=True)
class Georeference:
    """The map from pixel corners (x right, y down) to coordinates of ``crs_wkt``."""

    affine: tuple[float, float, float, float, float, float]
    """a, b, c, d, e, f: X = a x + b y + c and Y = d x + e y + f."""
    crs_wkt: str
    """"" for a photo that says its scale and corner and not in which system."""

    @property
    def mirrors(self) -> bool:
        """Whether the map is a mirror image of the pixels; with north up it is: y counts upwards there."""
        a, b, _, d, e, _ = self.affine
        return a * e - b * d < 0

    def to_crs(self, points_xy: np.ndarray) -> np.ndarray:
        """Pixel corners [N, 2] to coordinates of the CRS [N, 2], float64."""
        a, b, c, d, e, f = self.affine
        return np.asarray(points_xy, dtype=np.float64) @ np.array([[a, d], [b, e]]) + (c, f)

    def to_pixels(self, points_crs: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`to_crs`."""
        a, b, c, d, e, f = self.affine
        return (np.asarray(points_crs, dtype=np.float64) - (c, f)) @ np.linalg.inv([[a, d], [b, e]])

    def to_map(self, points_xy: np.ndarray) -> np.ndarray:
        """Pixel corners [N, 2] as GeoJSON has them: longitude and latitude, or the file's own coordinates
        where their system is not known."""
        return self.to_wgs84(points_xy) if self.crs_wkt else self.to_crs(points_xy)

    def from_map(self, points: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`to_map`."""
        return self.from_wgs84(points) if self.crs_wkt else self.to_pixels(points)

    def to_wgs84(self, points_xy: np.ndarray) -> np.ndarray:
        """Pixel corners [N, 2] to (longitude, latitude) in degrees [N, 2]."""
        return _warp(self.to_crs(points_xy), self.crs_wkt, "OGC:CRS84")

    def from_wgs84(self, points_lon_lat: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`to_wgs84`."""
        return self.from_crs(points_lon_lat, "OGC:CRS84")

    def from_crs(self, points: np.ndarray, crs: str) -> np.ndarray:
        """Coordinates [N, 2] in a system that rasterio knows by this name, to pixel corners [N, 2]."""
        return self.to_pixels(_warp(points, crs, self.crs_wkt))


def _warp(points: np.ndarray, source: str, target: str) -> np.ndarray:
    warp = require("rasterio.warp", "geo", "turning coordinates of one map into another's")
    crs = require("rasterio.crs", "geo", "reading coordinate systems").CRS
    points = np.asarray(points, dtype=np.float64)
    x, y = warp.transform(
        crs.from_user_input(source), crs.from_user_input(target), points[:, 0], points[:, 1]
    )
    return np.column_stack([x, y])


def has_georeference(path: Path) -> bool:
    """Whether a file is a TIFF that says where it lies; needs no extra, and no library that can open it."""
    if path.suffix.lower() not in {".tif", ".tiff"}:
        return False
    try:
        with path.open("rb") as file:
            return bool(MODEL_TAGS & read_tags(file).keys())
    except OSError:
        return False  # what is wrong with the file is said where it is read


def read_georeference(path: Path) -> Georeference | None:
    """The georeference of a GeoTIFF, or None for a picture without one.

    Raises :class:`MissingExtraError` for a GeoTIFF when rasterio is not installed.
    """
    if not has_georeference(path):
        return None
    rasterio = require("rasterio", "geo", f"keeping the place of {path.name} on the map")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rasterio warns of tags that we look at ourselves
        try:
            with rasterio.open(path) as picture:
                if picture.transform.is_identity:
                    return None
                wkt = "" if picture.crs is None else picture.crs.to_wkt()
                return Georeference(tuple(picture.transform)[:6], wkt)
        except rasterio.errors.RasterioError as error:
            raise FormatError(f"the georeference of {path} cannot be read: {one_line(error)}") from error
