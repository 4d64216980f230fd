"""COCO json with polygons in the place of RLE, for trainers and tools that know nothing else.

A polygon runs along the pixels' edges; each piece of a mask is one. A hole has no place in the format: it is
joined to its piece by a seam of width zero, which pycocotools fills as meant. What it fills otherwise is
counted. ``rings="largest"`` keeps the largest piece of each mask and fills its holes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..masks.rle import decode
from ..maskset import Mask
from . import coco
from .losses import Kind, Loss, Losses
from .outlines import Polygon, outlines_of
from .record import PhotoMasks, WriteOptions, rle_of_polygons
from .seams import bridged

read = coco.read


def write(path: Path, photos: Iterable[PhotoMasks], options: WriteOptions) -> Losses:
    """All photos in one file, as :func:`everymask.formats.coco.write`."""
    return coco.write_with(path, photos, options, lambda mask: polygons_of(mask, options.rings))


def polygons_of(mask: Mask, rings: str = "bridge") -> tuple[list[list[int]], Losses]:
    """A mask as lists x, y, x, y, ... of pixel corners, and what they say otherwise than it."""
    pieces = outlines_of(mask)
    if not pieces:
        return [], Losses()
    if rings == "largest":
        pieces = [Polygon(max((piece.shell for piece in pieces), key=_area))]
    found = [np.array(_one_ring(piece)).ravel().tolist() for piece in pieces]
    kind: Kind = "parts" if rings == "largest" and len(outlines_of(mask)) > 1 else "holes"
    changed = _changed(mask, found)
    detail = "largest part kept" if kind == "parts" else "seams" if rings == "bridge" else ""
    return found, Losses((Loss(kind, 1, changed, detail),)) if changed else Losses()


def _one_ring(piece: Polygon) -> Any:
    rings = [np.array(ring) for ring in piece.rings]
    return rings[0] if len(rings) == 1 else bridged(rings[0], rings)


def _area(ring: list[tuple[int, int]]) -> float:
    x, y = np.array(ring, float).T
    return float(abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()))


def _changed(mask: Mask, polygons: list[list[int]]) -> int:
    """How many pixels pycocotools fills otherwise; work goes by the mask's own box."""
    rows, columns = mask.extent
    corner = np.array([columns.start, rows.start])
    moved = [(np.array(ring).reshape(-1, 2) - corner).astype(float) for ring in polygons]
    crop = mask.crop()
    height, width = crop.shape
    return int((decode(rle_of_polygons(moved, (height, width))) != crop).sum())
