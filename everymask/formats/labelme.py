"""LabelMe json: one file a photo, each mask a shape of type "mask" (a box and a PNG of the box's pixels).

The corner points are pixel indices, both inside the box. Scores are kept as further keys of the shape,
which LabelMe carries along. ``imagePath`` leads from the file to the photo where we know where both lie,
because LabelMe opens the photo with it; the photo's name in the run is kept beside it. Polygons and
rectangles drawn by hand are read as well.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import FormatError
from ..masks.rle import Rle
from ..maskset import Mask, MaskSet
from ..opencv import encoded
from ..pillow import BROKEN, grey_pixels
from .losses import Losses
from .raster import box_ring, checked_ring, checked_size, ellipse_ring, rle_of_rings
from .record import (
    PhotoMasks,
    SizeOf,
    WriteOptions,
    attributes_of,
    build_mask,
    category_of,
    label_of,
    pasted,
    plain_attributes,
    scores_of,
    size_said,
)
from .text import entry, read_json, want, write_json

VERSION = "5.5.0"
"""The LabelMe version whose file layout this is."""
OWN_ATTRIBUTES = ("group_id", "description", "flags")
"""What a shape of LabelMe says of itself besides its label."""
OWN_KEY = "everymask"
"""A further key of the file, which LabelMe carries along."""


def write(path: Path, photo: PhotoMasks, options: WriteOptions) -> Losses:
    """A file that LabelMe opens beside the photo."""
    height, width = photo.photo_hw
    content: dict[str, Any] = {
        "version": VERSION,
        "flags": {},
        "shapes": [_shape(mask) for mask in photo.masks],
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
    attributes = plain_attributes(mask)
    own: dict[str, Any] = {name: attributes.pop(name) for name in OWN_ATTRIBUTES if name in attributes}
    return {
        "label": category_of(mask),
        "points": [[columns.start, rows.start], [columns.stop - 1, rows.stop - 1]],
        "group_id": None,
        "description": "",
        "shape_type": "mask",
        "flags": {},
        "mask": _png_text(mask.crop()),
        **scores_of(mask),
        **own,
        **({"attributes": attributes} if attributes else {}),
    }


def _png_text(pixels: np.ndarray) -> str:
    return base64.b64encode(encoded(pixels.astype(np.uint8))).decode("ascii")


def read(path: Path, photo_hw: tuple[int, int] | SizeOf | None = None) -> list[PhotoMasks]:
    """The masks of the one photo. Shapes without an area (points, lines) are refused, not dropped."""
    content = want(read_json(path), dict, str(path))
    own = want(content.get(OWN_KEY, {}), dict, f"{OWN_KEY!r} of {path}")
    # LabelMe on Windows writes imagePath with backslashes.
    name = str(own.get("photo") or content.get("imagePath") or path.stem).replace("\\", "/")
    size = _size(content, name, photo_hw, path)
    shapes = entry(content, "shapes", list, str(path))
    masks = [_mask(shape, size, f"shape {index} of {path}") for index, shape in enumerate(shapes, 1)]
    return [PhotoMasks(name, MaskSet(masks, photo_hw=size))]


def _size(
    content: dict[str, Any], name: str, known: tuple[int, int] | SizeOf | None, path: Path
) -> tuple[int, int]:
    """What the file says of the photo's size, else the photo inside it, else what the caller says."""
    if content.get("imageHeight") is not None and content.get("imageWidth") is not None:
        return checked_size(content["imageHeight"], content["imageWidth"], str(path))
    if isinstance(data := content.get("imageData"), str):
        try:
            with Image.open(io.BytesIO(base64.b64decode(data))) as photo:
                return photo.height, photo.width
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise FormatError(f"'imageData' of {path} is not a picture in base64") from error
    return size_said(known, name, str(path))


def _mask(shape: Any, photo_hw: tuple[int, int], where: str) -> Mask:
    runs = _runs(want(shape, dict, where), photo_hw, where)
    attributes = attributes_of(shape.get("attributes"), where)
    attributes |= {name: shape[name] for name in OWN_ATTRIBUTES if shape.get(name)}
    return build_mask(runs, shape, label_of(entry(shape, "label", str, where)), where, attributes)


def _runs(shape: dict[str, Any], photo_hw: tuple[int, int], where: str) -> Rle:
    kind = shape.get("shape_type") or "polygon"
    listed = entry(shape, "points", list, where)
    if kind == "mask":
        return _from_png(entry(shape, "mask", str, where), _points(listed, photo_hw, where), photo_hw, where)
    if (kind == "polygon" and len(listed) >= 3) or (kind == "oriented_rectangle" and len(listed) == 4):
        return rle_of_rings([checked_ring(listed, photo_hw, where)], photo_hw)
    if kind == "rectangle" and len(listed) == 2:
        (x0, y0), (x1, y1) = _points(listed, photo_hw, where)
        return rle_of_rings([box_ring(x0, y0, x1, y1)], photo_hw)
    if kind == "circle" and len(listed) == 2:  # its centre, and a point on it
        (x, y), edge = _points(listed, photo_hw, where)
        radius = float(np.hypot(*(edge - (x, y))))
        return rle_of_rings([checked_ring(ellipse_ring(x, y, radius, radius), photo_hw, where)], photo_hw)
    raise FormatError(
        f"{where} is a {kind!r} of {len(listed)} points; "
        "only masks, polygons, rectangles and circles have pixels"
    )


def _points(listed: list[Any], photo_hw: tuple[int, int], where: str) -> np.ndarray:
    return checked_ring(listed, photo_hw, where, fewest=2)


def _from_png(text: str, points: np.ndarray, photo_hw: tuple[int, int], where: str) -> Rle:
    """The PNG of a mask shape, placed at its box in a picture of the photo's size."""
    try:
        crop = grey_pixels(base64.b64decode(text))
    except (binascii.Error, *BROKEN) as error:
        raise FormatError(f"the mask of {where} is not a PNG in base64") from error
    left, top = (int(side) for side in points.min(axis=0))
    return pasted(crop > 0, left, top, photo_hw, where)
