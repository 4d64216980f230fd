"""Masks as shapely geometries, in pixels of the photo (x right, y down)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormatError, InputError, require
from ..formats.outlines import outlines
from ..formats.raster import fill_rings
from ..maskset import Mask, MaskSet

if TYPE_CHECKING:
    from shapely import MultiPolygon


def to_shapely(masks: MaskSet) -> list[MultiPolygon]:
    """A MultiPolygon a mask along its pixels' edges: its area is the number of pixels.

    Pixel (x, y) covers the square from (x, y) to (x + 1, y + 1). An empty mask gives an empty geometry.
    """
    shapely = require("shapely", "geo", "masks as geometries")
    return [_multipolygon(shapely, mask) for mask in masks]


def from_shapely(
    geometries: Iterable[Any], photo_hw: tuple[int, int], labels: Sequence[str | None] | None = None
) -> MaskSet:
    """Masks of ``photo_hw`` (height, width) from Polygons and MultiPolygons in pixels.

    A pixel belongs to a mask if its centre lies inside; what lies beyond the photo is cut off. Raises
    :class:`FormatError` for points, lines and coordinates that are not finite.
    """
    items = list(geometries)
    if labels is not None and len(labels) != len(items):
        raise InputError(f"labels must have one entry a geometry, {len(items)}; got {len(labels)}")
    masks = []
    for number, geometry in enumerate(items, 1):
        rings = _rings(geometry, number)
        pixels = fill_rings(rings, photo_hw) if rings else np.zeros(photo_hw, bool)
        masks.append(Mask.from_segmentation(pixels, label=None if labels is None else labels[number - 1]))
    return MaskSet(masks, photo_hw)


def _multipolygon(shapely: Any, mask: Mask) -> Any:
    rows, columns = mask.extent
    offset = np.array([columns.start, rows.start])
    return shapely.MultiPolygon(
        [
            (np.add(polygon.shell, offset), [np.add(hole, offset) for hole in polygon.holes])
            for polygon in (outlines(mask.crop()) if mask.area else ())
        ]
    )


def _rings(geometry: Any, number: int) -> list[np.ndarray]:
    kind = getattr(geometry, "geom_type", type(geometry).__name__)
    if kind not in ("Polygon", "MultiPolygon"):
        raise FormatError(f"geometry {number} must be a Polygon or a MultiPolygon, got {kind}")
    parts = geometry.geoms if kind == "MultiPolygon" else [geometry]
    rings = [
        np.asarray(ring.coords, np.float64)[:, :2]
        for part in parts
        if not part.is_empty
        for ring in (part.exterior, *part.interiors)
    ]
    if not all(np.isfinite(ring).all() for ring in rings):
        raise FormatError(f"geometry {number} has coordinates that are not finite; drop or mend it")
    return rings
