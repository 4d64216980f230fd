"""LabelMe json: one file a photo, each mask a shape of type "mask" (a box and a PNG of the box's pixels).

The corner points are pixel indices, both inside the box. Scores are kept as further keys of the shape,
which LabelMe carries along. ``imagePath`` leads from the file to the photo where we know where both lie,
because LabelMe opens the photo with it; the photo's name in the run is kept beside it. Polygons and
rectangles drawn by hand are read as well.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import FormatError
from ..maskset import Mask, MaskSet
from .losses import Losses
from .raster import fill_rings
from .record import PhotoMasks, WriteOptions, build_mask, category_of, label_of, pasted, scores_of
from .text import entry, read_json, want, write_json

VERSION = "5.5.0"
"""The LabelMe version whose file layout this is."""
OWN_KEY = "everymask"
"""A further key of the file, which LabelMe carries along."""


def write(path: Path, photo: PhotoMasks, options: WriteOptions) -> Losses:
    """A file that LabelMe opens beside the photo."""
    height, width = photo.photo_hw
    content: dict[str, Any] = {
        "version": VERSION,
        "flags": {},
        "shapes": [_shape(mask) for mask in photo.masks if mask.area > 0],
        "imagePath": _path_to(photo, options.folder),
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
        OWN_KEY: {"photo": photo.photo},
    }
    write_json(path, content)
    return Losses()


def _path_to(photo: PhotoMasks, folder: Path | None) -> str:
    """The photo as seen from the folder of the file; its name where that cannot be said."""
    if photo.source is None or folder is None:
        return photo.photo
    try:
        return Path(os.path.relpath(photo.source.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on another drive
        return photo.source.absolute().as_posix()


def _shape(mask: Mask) -> dict[str, Any]:
    rows, columns = mask.extent
    return {
        "label": category_of(mask),
        "points": [[columns.start, rows.start], [columns.stop - 1, rows.stop - 1]],
        "group_id": None,
        "description": "",
        "shape_type": "mask",
        "flags": {},
        "mask": _png_text(mask.crop()),
        **scores_of(mask),
    }


def _png_text(pixels: np.ndarray) -> str:
    _, data = cv2.imencode(".png", pixels.astype(np.uint8))
    return base64.b64encode(data.tobytes()).decode("ascii")


def read(path: Path, photo_hw: tuple[int, int] | None = None) -> list[PhotoMasks]:
    """The masks of the one photo. Shapes without an area (points, lines) are refused, not dropped."""
    content = want(read_json(path), dict, str(path))
    size = (entry(content, "imageHeight", int, str(path)), entry(content, "imageWidth", int, str(path)))
    shapes = entry(content, "shapes", list, str(path))
    masks = [_mask(shape, size, f"shape {index} of {path}") for index, shape in enumerate(shapes)]
    own = want(content.get(OWN_KEY, {}), dict, f"{OWN_KEY!r} of {path}")
    name = own.get("photo") or content.get("imagePath") or path.stem
    return [PhotoMasks(str(name), MaskSet(masks, photo_hw=size))]


def _mask(shape: Any, photo_hw: tuple[int, int], where: str) -> Mask:
    pixels = _pixels(shape, photo_hw, where)
    return build_mask(pixels, shape, label_of(entry(shape, "label", str, where)), where)


def _pixels(shape: Any, photo_hw: tuple[int, int], where: str) -> np.ndarray:
    kind = shape.get("shape_type", "polygon") if isinstance(shape, dict) else None
    points = np.asarray(entry(shape, "points", list, where), dtype=float).reshape(-1, 2)
    if kind == "mask":
        return _from_png(entry(shape, "mask", str, where), points, photo_hw, where)
    if kind == "polygon" and len(points) >= 3:
        return fill_rings([points], photo_hw)
    if kind == "rectangle" and len(points) == 2:
        (x0, y0), (x1, y1) = points
        return fill_rings([np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])], photo_hw)
    raise FormatError(
        f"{where} is a {kind!r} of {len(points)} points; only masks, polygons and rectangles have pixels"
    )


def _from_png(text: str, points: np.ndarray, photo_hw: tuple[int, int], where: str) -> np.ndarray:
    """The PNG of a mask shape, placed at its box in a picture of the photo's size."""
    try:
        crop = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_GRAYSCALE)
    except (binascii.Error, cv2.error) as error:
        raise FormatError(f"the mask of {where} is not a PNG in base64") from error
    if crop is None:
        raise FormatError(f"the mask of {where} is not a PNG in base64")
    left, top = (int(side) for side in points.min(axis=0))
    return pasted(crop > 0, left, top, photo_hw, where)
