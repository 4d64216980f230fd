"""Masks of one photo as COCO annotations in memory, as pycocotools and trainers take them.

For files of many photos see ``formats/coco.py``: these are its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import FormatError
from ..formats.record import build_mask, category_of, label_of, pixel_box_xywh, rle_of, scores_of
from ..maskset import MaskSet


def to_coco(
    masks: MaskSet, image_id: int = 1, categories: Mapping[str, int] | None = None, first_id: int = 1
) -> list[dict[str, Any]]:
    """A list of annotations with id, image_id, category_id, segmentation (RLE), area, bbox, iscrowd, scores.

    ``categories`` gives each label's number; by default the sorted labels from 1 (``object`` stands for no
    label). ``first_id`` is the first annotation's id. Raises :class:`FormatError` for a label without a
    number.
    """
    names = sorted({category_of(mask) for mask in masks})
    numbers = {name: number for number, name in enumerate(names, 1)} if categories is None else categories
    unknown = [name for name in names if name not in numbers]
    if unknown:
        raise FormatError(f"categories must have a number for {unknown}, got {dict(numbers)}")
    return [
        {
            "id": number,
            "image_id": image_id,
            "category_id": numbers[category_of(mask)],
            "segmentation": mask.rle,
            "area": mask.area,
            "bbox": pixel_box_xywh(mask),
            "iscrowd": 0,
            **scores_of(mask),
        }
        for number, mask in enumerate(masks, first_id)
    ]


def from_coco(
    annotations: Iterable[Mapping[str, Any]],
    photo_hw: tuple[int, int],
    categories: Mapping[int, str] | None = None,
) -> MaskSet:
    """The masks of one photo's annotations; ``categories`` names their numbers.

    Segmentations are RLE or polygons (as pycocotools fills them) of a photo of ``photo_hw`` (height, width).
    Raises :class:`FormatError` for a malformed one.
    """
    names = categories or {}
    masks = []
    for number, row in enumerate(annotations, 1):
        where = f"annotation {number}"
        if "segmentation" not in row:
            raise FormatError(f"{where} must have a segmentation, got the keys {sorted(row)}")
        values = {name: value for name, value in row.items() if name != "bbox"}
        label = label_of(names.get(row.get("category_id", -1)))
        masks.append(build_mask(rle_of(row["segmentation"], where, photo_hw), values, label, where))
    return MaskSet(masks, photo_hw)
