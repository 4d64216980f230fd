"""Where a photo lies on the earth: its affine map and coordinate system, from a GeoTIFF (extra ``geo``)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import FormatError, one_line, require
from ..orientation import read_orientation, upright_affine
from ..quiet import ignoring
from ..side_files import described, world_files
from ..tiff_tags import read_tags

MODEL_TAGS = {33550, 33922, 34264, 50844}
"""TIFF tags that place a picture: ModelPixelScale, ModelTiepoint, ModelTransformation, RPCCoefficient."""
JPEG2000_MARKS = (b"\xb1\x4b\xf8\xbd\x08\x3d\x4b\x43\xa5\xae\x8c\xd7\xd5\xa6\xce\x03", b"gml.data")
"""In the boxes of a JPEG 2000 that lies on a map: GeoJP2's UUID, GMLJP2's label."""
DESCRIBED_PLACES = (b"<GeoTransform>", b"<GCPList")
"""In GDAL's description of a picture that lies on a map."""
NEAR = 0.25
"""Pixels that ground control points may lie off an affine map for it to stand for them."""


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
    rasterio = require("rasterio", "geo", "turning coordinates of one map into another's")
    warp = require("rasterio.warp", "geo", "turning coordinates of one map into another's")
    points = np.asarray(points, dtype=np.float64)
    with rasterio.Env():  # outside of one, GDAL prints its errors
        systems = []
        for name in (source, target):
            try:
                systems.append(rasterio.crs.CRS.from_user_input(name))
            except rasterio.errors.CRSError as error:
                raise FormatError(
                    f"there is no coordinate system {name[:60]!r}; name one by its EPSG number, as "
                    "urn:ogc:def:crs:EPSG::4326"
                ) from error
        try:
            x, y = warp.transform(*systems, points[:, 0], points[:, 1])
        except Exception as error:  # GDAL's own errors, of which rasterio makes none of its own
            raise FormatError(f"coordinates lie beyond the photo's map: {one_line(error)}") from error
    return np.column_stack([x, y])


def has_georeference(path: Path) -> bool:
    """Whether a file says where it lies; needs no extra, and no library that can open it.

    A TIFF and a JPEG 2000 say so themselves, of any picture a world file or GDAL's description beside it may.
    """
    kind = path.suffix.lower()
    if kind in {".vrt", ".img"} or any(path.with_name(name).exists() for name in world_files(path.name)):
        return True
    if any(word in described(path) for word in DESCRIBED_PLACES):
        return True
    try:
        with path.open("rb") as file:
            if kind in {".tif", ".tiff"}:
                return bool(MODEL_TAGS & read_tags(file).keys())
            if kind in {".jp2", ".j2k"}:
                start = file.read(1 << 16)
                return any(mark in start for mark in JPEG2000_MARKS)
    except OSError:
        pass  # what is wrong with the file is said where it is read
    return False


def read_georeference(path: Path) -> Georeference | None:
    """The georeference of a GeoTIFF or another picture that lies on a map, or None.

    It maps the pixels as they are read, which are turned by the file's orientation. Ground control points
    count where an affine map stands for them; of others, and of rational functions, a warning says that they
    are not used.
    Raises :class:`MissingExtraError` for a picture with a place when rasterio is not installed.
    """
    if not has_georeference(path):
        return None
    rasterio = require("rasterio", "geo", f"keeping the place of {path.name} on the map")
    with ignoring():  # rasterio warns of tags that we look at ourselves
        try:
            with rasterio.open(path) as picture:
                transform, crs, (points, their_crs) = picture.transform, picture.crs, picture.gcps
                has_rpcs, stored_hw = picture.rpcs is not None, picture.shape
        except rasterio.errors.RasterioError as error:
            raise FormatError(f"the georeference of {path} cannot be read: {one_line(error)}") from error
    affine = None if transform.is_identity else tuple(transform)[:6]
    if affine is None:
        affine, crs = _affine_through([(each.col, each.row, each.x, each.y) for each in points]), their_crs
    if affine is not None:  # of the stored pixels
        seen = upright_affine(affine, read_orientation(path), stored_hw)
        return Georeference(seen, "" if crs is None else crs.to_wkt())
    if points or has_rpcs:
        by = "ground control points" if points else "rational functions"
        warnings.warn(
            f"{path.name} lies on the map by {by}, which are not used: its masks are in pixels; gdalwarp "
            "makes a GeoTIFF of it",
            UserWarning,
            stacklevel=2,
        )
    return None


def _affine_through(
    points: list[tuple[float, float, float, float]],
) -> tuple[float, float, float, float, float, float] | None:
    """The affine map through ground control points (column, row, X, Y), or None where they are not on one."""
    if len(points) < 3:
        return None
    pixels, there = np.array(points)[:, :2], np.array(points)[:, 2:]
    middle = there.mean(axis=0)
    known = np.column_stack([pixels, np.ones(len(pixels))])
    solved, _, rank, _ = np.linalg.lstsq(known, there - middle, rcond=None)
    if rank < 3 or abs(np.linalg.det(solved[:2])) == 0:
        return None
    off = (known @ solved - (there - middle)) @ np.linalg.inv(solved[:2])
    if np.abs(off).max() > NEAR:
        return None
    (a, d), (b, e), (c, f) = solved.tolist()
    return a, b, c + float(middle[0]), d, e, f + float(middle[1])
