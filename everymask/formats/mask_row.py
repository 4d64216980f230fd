"""A mask as a row of a table: its columns, and the way in and out (Parquet)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..maskset import Mask
from .record import (
    attributes_of,
    build_mask,
    category_of,
    label_of,
    pixel_box_xywh,
    plain_attributes,
    rle_of,
    scores_of,
)


def columns_of_a_mask(pyarrow: Any) -> dict[str, Any]:
    """The columns and their types in ``pyarrow``, which is imported where it is needed."""
    return {
        "bbox": pyarrow.list_(pyarrow.float64(), 4),
        "area": pyarrow.int64(),
        "predicted_iou": pyarrow.float64(),
        "stability_score": pyarrow.float64(),
        "point_coords": pyarrow.list_(pyarrow.list_(pyarrow.float64(), 2)),
        "crop_box": pyarrow.list_(pyarrow.float64(), 4),
        "rle_counts": pyarrow.string(),
        "category": pyarrow.string(),
        "attributes": pyarrow.string(),
    }


def row_of(mask: Mask) -> dict[str, Any]:
    """The values of a mask by column; those that it does not know are absent."""
    return {
        "bbox": pixel_box_xywh(mask),
        "area": mask.area,
        **scores_of(mask),
        "rle_counts": mask.rle["counts"],
        "category": category_of(mask),
        "attributes": json.dumps(plain_attributes(mask), ensure_ascii=False) if mask.attributes else None,
    }


def mask_of(row: Mapping[str, Any], photo_hw: tuple[int, int], where: str) -> Mask:
    """The inverse of :func:`row_of`; ``where`` names the mask for the message of a :class:`FormatError`."""
    runs = rle_of({"size": photo_hw, "counts": row["rle_counts"]}, where, photo_hw)
    values = {name: value for name, value in row.items() if name != "bbox"}
    attributes = attributes_of(json.loads(row.get("attributes") or "{}"), where)
    return build_mask(runs, values, label_of(row.get("category")), where, attributes)
