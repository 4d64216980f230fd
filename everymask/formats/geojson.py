"""GeoJSON: a feature a mask, polygons with holes along the pixels' edges.

With a georeference the coordinates are WGS84 longitude and latitude, as RFC 7946 wants; without one they are
pixels (x right, y down), as microscopy tools use GeoJSON. The member ``everymask`` says which, and what it
takes to get the pixels back.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ..maskset import Mask, MaskSet
from .georeference import Georeference
from .losses import Losses
from .outlines import outlines
from .raster import fill_rings
from .record import SIZE_HINT, PhotoMasks, WriteOptions, build_mask, category_of, label_of, scores_of
from .text import entry, read_json, want

WGS84_DECIMALS = 9  # a tenth of a millimetre; more digits only make the file larger


def write(path: Path, photo: PhotoMasks, options: WriteOptions) -> Losses:
    """One FeatureCollection for the photo. Masks without a pixel have no polygon and are left out."""
    height, width = photo.photo_hw
    place = photo.georeference
    frame: dict[str, Any] = {"frame": "wgs84" if place else "pixels", "width": width, "height": height}
    if place:
        frame |= {"affine": list(place.affine), "crs_wkt": place.crs_wkt}
    features = [_feature(mask, number, place) for number, mask in enumerate(photo.masks, 1) if mask.area > 0]
    content = {
        "type": "FeatureCollection",
        "everymask": {"photo": photo.photo, **frame},
        "features": features,
    }
    path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False), "utf-8")
    return Losses()


def _feature(mask: Mask, number: int, place: Georeference | None) -> dict[str, Any]:
    polygons = [[_closed(ring, place) for ring in polygon.rings] for polygon in outlines(mask.segmentation)]
    geometry = (
        {"type": "Polygon", "coordinates": polygons[0]}
        if len(polygons) == 1
        else {"type": "MultiPolygon", "coordinates": polygons}
    )
    properties = {"label": category_of(mask), "area": mask.area, **scores_of(mask)}
    return {"type": "Feature", "id": number, "properties": properties, "geometry": geometry}


def _closed(ring: list[tuple[int, int]], place: Georeference | None) -> list[list[float]]:
    """A ring's coordinates, the first repeated at the end; shells anticlockwise on a map, as the RFC asks."""
    corners = np.array([*ring, ring[0]])
    if place is None:
        return corners.tolist()
    on_map = np.round(place.to_wgs84(corners), WGS84_DECIMALS).tolist()
    return on_map[::-1] if place.mirrors else on_map


def read(path: Path, photo_hw: tuple[int, int] | None = None) -> list[PhotoMasks]:
    """The masks of the one photo; a file by another tool needs ``photo_hw`` and coordinates in pixels."""
    content = want(read_json(path), dict, str(path))
    own = content.get("everymask") or {}
    place = Georeference(tuple(own["affine"]), own["crs_wkt"]) if own.get("frame") == "wgs84" else None
    size = (int(own["height"]), int(own["width"])) if "height" in own else photo_hw
    if size is None:
        raise FormatError(f"{path} does not say how large the photo is; give {SIZE_HINT}")
    features = entry(content, "features", list, str(path))
    masks = [
        _mask(feature, size, place, f"feature {index} of {path}") for index, feature in enumerate(features)
    ]
    return [PhotoMasks(str(own.get("photo", path.stem)), MaskSet(masks, photo_hw=size), place)]


def _mask(feature: Any, photo_hw: tuple[int, int], place: Georeference | None, where: str) -> Mask:
    geometry = entry(feature, "geometry", dict, where)
    kind = entry(geometry, "type", str, where)
    if kind not in {"Polygon", "MultiPolygon"}:
        raise FormatError(f"{where} is a {kind}; only Polygon and MultiPolygon have pixels to read")
    coordinates = entry(geometry, "coordinates", list, where)
    polygons = [coordinates] if kind == "Polygon" else coordinates
    rings = [np.asarray(ring, dtype=float)[:, :2] for polygon in polygons for ring in polygon]
    pixels = fill_rings([place.from_wgs84(ring) for ring in rings] if place else rings, photo_hw)
    properties = feature.get("properties") or {}
    return build_mask(pixels, properties, label_of(properties.get("label")), where)
