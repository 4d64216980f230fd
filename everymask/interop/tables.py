"""Masks as a pandas table: a row a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import FormatError, require
from ..formats.record import SCORES, build_mask, pixel_box_xywh, rle_of
from ..maskset import MaskSet

if TYPE_CHECKING:
    import pandas

COLUMNS = (
    "label",
    "area",
    "x",
    "y",
    "width",
    "height",
    "predicted_iou",
    "stability_score",
    "point_coords",
    "crop_box",
    "segmentation",
)


def to_pandas(masks: MaskSet) -> pandas.DataFrame:
    """A row a mask, numbered from 1 as in pictures and files.

    ``x``, ``y``, ``width`` and ``height`` count pixels; ``segmentation`` is COCO's RLE, a dict. What a mask
    does not know is missing (None or NaN).
    """
    pandas = require("pandas", "notebook", "a table of masks")
    rows = [
        [
            mask.label,
            mask.area,
            *pixel_box_xywh(mask),
            *(getattr(mask, name) for name in SCORES),
            mask.rle,
        ]
        for mask in masks
    ]
    index = pandas.RangeIndex(1, len(rows) + 1, name="mask")
    return pandas.DataFrame(rows, columns=list(COLUMNS), index=index)


def from_pandas(table: pandas.DataFrame, photo_hw: tuple[int, int] | None = None) -> MaskSet:
    """The masks of a table with a column ``segmentation`` (COCO's RLE); the other columns may be missing.

    ``photo_hw`` (height, width) is needed for a table without a row. Raises :class:`FormatError` where the
    column is missing or a row holds no RLE.
    """
    pandas = require("pandas", "notebook", "a table of masks")
    if "segmentation" not in table.columns:
        raise FormatError(
            "a table of masks needs the column 'segmentation' (COCO RLE), "
            f"got {list(map(str, table.columns))}"
        )
    masks = []
    for number, row in enumerate(table.to_dict("records"), 1):
        where = f"row {number}"
        known = {str(name): value for name, value in row.items() if not _missing(pandas, value)}
        segmentation = known.get("segmentation")
        if not isinstance(segmentation, dict):
            raise FormatError(f"{where} must hold an RLE dict in 'segmentation', got {segmentation!r}")
        label = known.get("label")
        masks.append(
            build_mask(
                rle_of(segmentation, where, photo_hw),
                {name: known[name] for name in SCORES if name in known},
                None if label is None else str(label),
                where,
            )
        )
    return MaskSet(masks, photo_hw)


def _missing(pandas: Any, value: Any) -> bool:
    return value is None or (pandas.api.types.is_scalar(value) and bool(pandas.isna(value)))
