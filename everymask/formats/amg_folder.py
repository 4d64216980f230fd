"""amg folder: ``<stem>/<i>.png`` (0 / 255) and ``metadata.csv``, what amg.py writes by default."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ..maskset import Mask, MaskSet
from ..opencv import encoded
from ..pillow import BROKEN, grey_pixels
from .amg_rle import common_size
from .losses import Losses
from .record import PhotoMasks, WriteOptions, build_mask

METADATA = "metadata.csv"
COLUMNS = (
    *("id", "area", "bbox_x0", "bbox_y0", "bbox_w", "bbox_h", "point_input_x", "point_input_y"),
    *("predicted_iou", "stability_score", "crop_box_x0", "crop_box_y0", "crop_box_w", "crop_box_h"),
)


def write(path: Path, photo: PhotoMasks, options: WriteOptions) -> Losses:
    """A folder with one PNG a mask and the table of their values."""
    path.mkdir()
    with (path / METADATA).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for index, mask in enumerate(photo.masks):
            pixels = mask.segmentation.astype(np.uint8) * 255
            (path / f"{index}.png").write_bytes(encoded(pixels))
            table.writerow(row_of(index, mask))
    return Losses()


def row_of(index: int, mask: Mask) -> list[Any]:
    """The row of one mask; a value it does not have is an empty cell."""
    point = mask.point_coords[0] if mask.point_coords else ("", "")
    crop = mask.crop_box if mask.crop_box else ("",) * 4
    scores = ["" if score is None else score for score in (mask.predicted_iou, mask.stability_score)]
    return [index, mask.area, *mask.bbox, *point, *scores, *crop]


def read(path: Path, photo_hw: tuple[int, int] | None = None) -> list[PhotoMasks]:
    """The masks of the one photo. A folder without masks does not say its size: ``photo_hw`` must."""
    masks = [build_mask(_pixels(path / f"{row['id']}.png"), _values(row, path)) for row in _rows(path)]
    return [PhotoMasks(path.name, MaskSet(masks, photo_hw=common_size(masks, photo_hw, path)))]


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with (path / METADATA).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise FormatError(f"{path} has no readable {METADATA}: {error.strerror or error}") from error
    if rows and not {"id"} <= set(rows[0]):
        raise FormatError(f"{path / METADATA} must have the columns of amg.py, got {', '.join(rows[0])}")
    return rows


def _pixels(path: Path) -> np.ndarray:
    try:
        return grey_pixels(path)
    except BROKEN as error:
        raise FormatError(f"{path} is named in {METADATA} but is not a readable PNG") from error


def _values(row: Mapping[str, str], path: Path) -> dict[str, Any]:
    point = _numbers(row, ("point_input_x", "point_input_y"), path)
    crop = _numbers(row, ("crop_box_x0", "crop_box_y0", "crop_box_w", "crop_box_h"), path)
    predicted = _numbers(row, ("predicted_iou",), path)
    stability = _numbers(row, ("stability_score",), path)
    return {
        "predicted_iou": predicted and predicted[0],
        "stability_score": stability and stability[0],
        "point_coords": point and [point],
        "crop_box": crop,
        "bbox": _numbers(row, ("bbox_x0", "bbox_y0", "bbox_w", "bbox_h"), path),
    }


def _numbers(row: Mapping[str, str], names: tuple[str, ...], path: Path) -> list[float] | None:
    """The numbers of some cells, or None where one of them is empty."""
    cells = [row.get(name) or "" for name in names]
    if not all(cells):
        return None
    try:
        return [float(cell) for cell in cells]
    except ValueError as error:
        raise FormatError(
            f"{names[0]} of mask {row['id']} in {path / METADATA} is not a number: {error}"
        ) from error
