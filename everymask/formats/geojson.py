"""GeoJSON: a feature a mask, polygons with holes along the pixels' edges.

With a georeference the coordinates are WGS84 longitude and latitude, as RFC 7946 wants (the photo's own map
coordinates where it does not say their system); without one they are pixels (x right, y down), as microscopy
tools use GeoJSON. The member ``everymask`` says which, and what it
takes to get the pixels back.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ..maskset import Mask, MaskSet
from .georeference import Georeference
from .losses import Losses
from .outlines import outlines_of
from .raster import checked_pairs, checked_ring, checked_size, rle_of_rings
from .record import (
    SCORES,
    SIZE_HINT,
    PhotoMasks,
    WriteOptions,
    build_mask,
    category_of,
    label_of,
    plain_attributes,
    scores_of,
)
from .text import entry, read_json, want

WGS84_DECIMALS = 9  # a tenth of a millimetre; more digits only make the file larger


def write(path: Path, photo: PhotoMasks, options: WriteOptions) -> Losses:
    """One FeatureCollection for the photo."""
    height, width = photo.photo_hw
    place = photo.georeference
    name = "pixels" if place is None else "wgs84" if place.crs_wkt else "map"
    frame: dict[str, Any] = {"frame": name, "width": width, "height": height}
    if place:
        frame |= {"affine": list(place.affine), "crs_wkt": place.crs_wkt}
    own = _compact({"photo": photo.photo, **frame})
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{{"type":"FeatureCollection","everymask":{own},"features":[')
        for number, mask in enumerate(photo.masks, 1):
            file.write("," * (number > 1) + "\n" + _compact(_feature(mask, number, place)))
        file.write("\n]}\n")
    return Losses()


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _feature(mask: Mask, number: int, place: Georeference | None) -> dict[str, Any]:
    polygons = [[_closed(ring, place) for ring in polygon.rings] for polygon in outlines_of(mask)]
    geometry = (
        {"type": "Polygon", "coordinates": polygons[0]}
        if len(polygons) == 1
        else {"type": "MultiPolygon", "coordinates": polygons}
    )
    properties = {**plain_attributes(mask), "label": category_of(mask), "area": mask.area, **scores_of(mask)}
    return {"type": "Feature", "id": number, "properties": properties, "geometry": geometry}


def _closed(ring: list[tuple[int, int]], place: Georeference | None) -> list[list[float]]:
    """A ring's coordinates, the first repeated at the end; shells anticlockwise on a map, as the RFC asks."""
    corners = np.array([*ring, ring[0]])
    if place is None:
        return corners.tolist()
    on_map = np.round(place.to_map(corners), WGS84_DECIMALS).tolist()
    return on_map[::-1] if place.mirrors else on_map


def read(
    path: Path, photo_hw: tuple[int, int] | None = None, georeference: Georeference | None = None
) -> list[PhotoMasks]:
    """The masks of the one photo.

    A file by another tool needs ``photo_hw``. Its coordinates are pixels (QuPath), or places on the map
    (QGIS: a ``crs`` member, or degrees as RFC 7946 wants them), which need the photo's ``georeference``.
    """
    content = want(_collected(read_json(path)), dict, str(path))
    own = want(content.get("everymask") or {}, dict, f"'everymask' of {path}")
    size = checked_size(own["height"], own.get("width"), str(path)) if "height" in own else photo_hw
    if size is None:
        raise FormatError(f"{path} does not say how large the photo is; give {SIZE_HINT}")
    features = entry(content, "features", list, str(path))
    rings = [_rings(feature, f"feature {n} of {path}") for n, feature in enumerate(features, 1)]
    place = _own_place(own, path) or (georeference if not own else None)
    to_pixels = _frame(content, own, place, rings, size, path)
    masks = [
        _mask(feature, each, size, to_pixels, f"feature {index} of {path}")
        for index, (feature, each) in enumerate(zip(features, rings, strict=True), 1)
    ]
    if masks and not own and not any(mask.area for mask in masks):
        raise FormatError(
            f"no polygon of {path} has a pixel of the photo of {size[1]} x {size[0]}; are its coordinates "
            "degrees, or another photo's?"
        )
    return [PhotoMasks(str(own.get("photo", path.stem)), MaskSet(masks, photo_hw=size), place)]


def _collected(content: Any) -> Any:
    """A lone feature, or QuPath's list of them, as a collection."""
    if isinstance(content, dict) and content.get("type") == "Feature":
        return {"features": [content]}
    return {"features": content} if isinstance(content, list) else content


def _own_place(own: dict[str, Any], path: Path) -> Georeference | None:
    if own.get("frame") not in ("wgs84", "map"):
        return None
    affine = checked_pairs(entry(own, "affine", list, str(path)), str(path)).ravel().tolist()
    a, b, c, d, e, f = affine
    return Georeference((a, b, c, d, e, f), entry(own, "crs_wkt", str, str(path)))


ToPixels = Callable[[np.ndarray], np.ndarray]


def _frame(
    content: dict[str, Any],
    own: dict[str, Any],
    place: Georeference | None,
    rings: list[list[np.ndarray]],
    photo_hw: tuple[int, int],
    path: Path,
) -> ToPixels:
    """What makes pixels of the file's coordinates."""
    if own:
        return place.from_map if place else lambda ring: ring
    crs = _named_crs(content)
    if crs is None and not _could_be_degrees(rings, place, photo_hw):
        return lambda ring: ring
    if place is None or not place.crs_wkt:
        raise FormatError(
            f"{path} has coordinates on the map ({crs or 'degrees'}), not pixels; "
            "say where the photo lies: give its GeoTIFF's folder with --photos, or georeference= in Python"
        )
    found = place
    return lambda ring: found.from_crs(ring, crs or "OGC:CRS84")


def _named_crs(content: dict[str, Any]) -> str | None:
    """The coordinate system that a file names, as QGIS and GDAL do; rasterio reads such names."""
    crs = content.get("crs")
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if not isinstance(name, str):
        return None
    return "OGC:CRS84" if name.endswith("CRS84") else name


def _could_be_degrees(
    rings: list[list[np.ndarray]], place: Georeference | None, photo_hw: tuple[int, int]
) -> bool:
    """Whether a file that names no system holds degrees: all in range, and within the photo on the map."""
    corners = [ring for each in rings for ring in each]
    if place is None or not place.crs_wkt or not corners:
        return False
    points = np.concatenate(corners)
    if (np.abs(points) > (180, 90)).any():
        return False
    inside = place.from_wgs84(points)
    return bool(((inside > -1) & (inside < np.array(photo_hw[::-1]) + 1)).all(axis=1).mean() > 0.5)


def _rings(feature: Any, where: str) -> list[np.ndarray]:
    """The rings of a feature, in the file's coordinates."""
    if want(feature, dict, where).get("geometry") is None:
        raise FormatError(f"{where} has no geometry; delete that feature, or draw what it means")
    geometry = entry(feature, "geometry", dict, where)
    kind = entry(geometry, "type", str, where)
    if kind not in {"Polygon", "MultiPolygon"}:
        raise FormatError(f"{where} is a {kind}; only Polygon and MultiPolygon have pixels to read")
    coordinates = entry(geometry, "coordinates", list, where)
    polygons = [coordinates] if kind == "Polygon" else coordinates
    return [checked_pairs(ring, where) for polygon in polygons for ring in want(polygon, list, where)]


def _mask(
    feature: dict[str, Any],
    rings: list[np.ndarray],
    photo_hw: tuple[int, int],
    to_pixels: ToPixels,
    where: str,
) -> Mask:
    runs = rle_of_rings([checked_ring(to_pixels(ring), photo_hw, where) for ring in rings], photo_hw)
    properties = want(feature.get("properties") or {}, dict, where)
    known = {*SCORES, "label", "area", "bbox", "classification", "objectType"}
    attributes = {name: value for name, value in properties.items() if name not in known}
    return build_mask(runs, properties, label_of(_label(properties)), where, attributes)


def _label(properties: dict[str, Any]) -> str | None:
    """The class of a feature: ours, or QuPath's ``classification``."""
    label = properties.get("label")
    if label is None:
        label = properties.get("classification")
        if isinstance(label, dict):  # QuPath from 0.6 on names each part of a derived class
            parts = label.get("names")
            label = ": ".join(map(str, parts)) if isinstance(parts, list) else label.get("name")
    return None if label is None else str(label)
