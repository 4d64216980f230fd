"""GeoPackage: an SQLite file with a layer ``masks``, a row a mask, geometry in the photo's own CRS.

Written with Python's sqlite3 and shapely's WKB (extra ``geo``) to the OGC GeoPackage 1.3 standard. Without a
georeference the coordinates are pixels with y counting upwards from 0 to -height, in the standard's
"undefined Cartesian" system, so that a GIS shows the picture the right way up.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError, one_line, require
from ..maskset import Mask, MaskSet
from .georeference import Georeference
from .losses import Losses
from .outlines import outlines_of
from .raster import checked_ring, checked_size, rle_of_rings
from .record import (
    PhotoMasks,
    WriteOptions,
    attributes_of,
    build_mask,
    category_of,
    label_of,
    plain_attributes,
    scores_of,
)

APPLICATION_ID = 0x47504B47  # "GPKG"
VERSION = 10300
CARTESIAN = -1  # the standard's number for an undefined Cartesian system
OWN_SRS = 100_000  # our number for a CRS that no registry number is known for
UPWARDS = Georeference((1.0, 0.0, 0.0, 0.0, -1.0, 0.0), "")

TABLES = """
CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY,
  organization TEXT NOT NULL, organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL,
  description TEXT);
CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL,
  identifier TEXT UNIQUE,
  description TEXT DEFAULT '', last_change DATETIME NOT NULL DEFAULT '2000-01-01T00:00:00.000Z',
  min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
  CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL,
  geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL,
  CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name));
CREATE TABLE masks (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom MULTIPOLYGON, label TEXT,
  area INTEGER,
  predicted_iou DOUBLE, stability_score DOUBLE, point_coords TEXT, crop_box TEXT, attributes TEXT);
CREATE TABLE everymask (photo TEXT, width INTEGER, height INTEGER, affine TEXT, crs_wkt TEXT);
"""


def write(path: Path, photo: PhotoMasks, options: WriteOptions) -> Losses:
    """One GeoPackage for the photo."""
    height, width = photo.photo_hw
    place = photo.georeference
    srs = _srs_of(place)
    with closing(sqlite3.connect(path)) as file, file:
        file.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        file.execute(f"PRAGMA user_version = {VERSION}")
        file.executescript(TABLES)
        file.executemany(
            "INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, NULL)", _systems(srs, place)
        )
        rows = _rows(photo, place or UPWARDS, srs)
        bounds = _bounds(place or UPWARDS, width, height)
        file.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, min_x, min_y, max_x, max_y, "
            "srs_id) VALUES ('masks', 'features', 'masks', ?, ?, ?, ?, ?)",
            (*bounds, srs),
        )
        file.execute(
            "INSERT INTO gpkg_geometry_columns VALUES ('masks', 'geom', 'MULTIPOLYGON', ?, 0, 0)", (srs,)
        )
        file.executemany("INSERT INTO masks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        affine, wkt = (json.dumps(place.affine), place.crs_wkt) if place else (None, None)
        file.execute(
            "INSERT INTO everymask VALUES (?, ?, ?, ?, ?)", (photo.photo, width, height, affine, wkt)
        )
    return Losses()


def _srs_of(place: Georeference | None) -> int:
    if place is None or not place.crs_wkt:
        return CARTESIAN
    crs = require("rasterio.crs", "geo", "naming the coordinate system of a GeoPackage").CRS
    return crs.from_wkt(place.crs_wkt).to_epsg() or OWN_SRS


def _systems(srs: int, place: Georeference | None) -> Iterator[tuple[Any, ...]]:
    """The three systems that the standard requires, and ours."""
    wgs84 = (
        'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
        'UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]'
    )
    yield "Undefined cartesian SRS", -1, "NONE", -1, "undefined"
    yield "Undefined geographic SRS", 0, "NONE", 0, "undefined"
    yield "WGS 84 geodetic", 4326, "EPSG", 4326, wgs84
    if place is not None and srs not in (4326, CARTESIAN):
        organisation = "EPSG" if srs != OWN_SRS else "NONE"
        yield f"CRS of the photo ({srs})", srs, organisation, srs, place.crs_wkt


def _rows(photo: PhotoMasks, place: Georeference, srs: int) -> Iterator[tuple[Any, ...]]:
    for number, mask in enumerate(photo.masks, 1):
        fields = scores_of(mask)
        more = json.dumps(plain_attributes(mask), ensure_ascii=False) if mask.attributes else None
        texts = (
            json.dumps(fields[name]) if name in fields else None for name in ("point_coords", "crop_box")
        )
        scores = (fields.get("predicted_iou"), fields.get("stability_score"))
        yield number, _geometry(mask, place, srs), category_of(mask), mask.area, *scores, *texts, more


def _geometry(mask: Mask, place: Georeference, srs: int) -> bytes:
    """The standard's blob: magic, version, flags (little-endian, no envelope), SRS number, then WKB."""
    shapely = require("shapely", "geo", "writing GeoPackage geometry")
    polygons = [
        shapely.Polygon(
            place.to_crs(np.array(polygon.shell)), [place.to_crs(np.array(h)) for h in polygon.holes]
        )
        for polygon in outlines_of(mask)
    ]
    return (
        b"GP" + struct.pack("<BBi", 0, 1, srs) + shapely.to_wkb(shapely.MultiPolygon(polygons), byte_order=1)
    )


def _bounds(place: Georeference, width: int, height: int) -> tuple[float, float, float, float]:
    corners = place.to_crs(np.array([[0, 0], [width, 0], [width, height], [0, height]]))
    return (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())


def read(path: Path, photo_hw: tuple[int, int] | None = None) -> list[PhotoMasks]:
    """The masks of the one photo of a GeoPackage written here."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
            name, width, height, affine, wkt = file.execute("SELECT * FROM everymask").fetchone()
            columns = {row[1] for row in file.execute("PRAGMA table_info(masks)")}
            more = "attributes" if "attributes" in columns else "NULL"  # files of earlier versions
            rows = file.execute(
                "SELECT geom, label, predicted_iou, stability_score, point_coords, crop_box, "
                f"{more} FROM masks ORDER BY fid"
            ).fetchall()
    except (sqlite3.Error, TypeError) as error:
        raise FormatError(
            f"{path} is not a GeoPackage of masks written by everymask: {one_line(error)}"
        ) from error
    height, width = checked_size(height, width, str(path))
    place = Georeference(tuple(json.loads(affine)), wkt) if affine else None
    masks = [
        _mask(row, (height, width), place or UPWARDS, f"mask {number} of {path}")
        for number, row in enumerate(rows, 1)
    ]
    return [PhotoMasks(name, MaskSet(masks, photo_hw=(height, width)), place)]


def _mask(row: tuple[Any, ...], photo_hw: tuple[int, int], place: Georeference, where: str) -> Mask:
    shapely = require("shapely", "geo", "reading GeoPackage geometry")
    blob, label, predicted_iou, stability_score, point_coords, crop_box, more = row
    polygons = shapely.get_parts(shapely.from_wkb(blob[8:]))
    lines = [line for polygon in polygons for line in (polygon.exterior, *polygon.interiors)]
    rings = [checked_ring(place.to_pixels(np.array(line.coords)[:, :2]), photo_hw, where) for line in lines]
    values = {
        "predicted_iou": predicted_iou,
        "stability_score": stability_score,
        "point_coords": point_coords and json.loads(point_coords),
        "crop_box": crop_box and json.loads(crop_box),
    }
    attributes = attributes_of(more and json.loads(more), where)
    return build_mask(rle_of_rings(rings, photo_hw), values, label_of(label), where, attributes)
