"""COCO json: one file for the run, with categories; RLE segmentations.

Traps answered here: ``counts`` is text; ``iscrowd`` is 0, because trainers drop 1; numbers begin with
1, because COCOeval takes annotation 0 for "no match".
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..maskset import Mask, MaskSet
from .losses import Losses
from .record import (
    PhotoMasks,
    WriteOptions,
    build_mask,
    category_of,
    label_of,
    pixel_box_xywh,
    rle_of,
    scores_of,
)
from .text import entry, read_json, want


def write(path: Path, photos: Iterable[PhotoMasks], options: WriteOptions) -> Losses:
    """All photos in one file. Annotations are written as they come: a run of any length fits in memory."""
    numbers = {name: number for number, name in enumerate(options.categories, 1)}
    images: list[dict[str, Any]] = []
    with path.open("w", encoding="utf-8") as file:
        file.write(
            '{"info":{"description":"masks by everymask","version":"1.0"},"licenses":[],"annotations":['
        )
        separator = "\n"
        for annotation in _annotations(photos, images, numbers):
            file.write(separator + _compact(annotation))
            separator = ",\n"
        categories = [{"id": number, "name": name, "supercategory": ""} for name, number in numbers.items()]
        file.write(f'\n],"images":{_compact(images)},"categories":{_compact(categories)}}}\n')
    return Losses()


def _annotations(
    photos: Iterable[PhotoMasks], images: list[dict[str, Any]], numbers: dict[str, int]
) -> Iterator[dict[str, Any]]:
    """The annotations of all photos; each photo is noted in ``images`` on the way."""
    number = 0
    for image_id, photo in enumerate(photos, 1):
        height, width = photo.photo_hw
        images.append({"id": image_id, "width": width, "height": height, "file_name": photo.photo})
        for mask in photo.masks:
            number += 1
            yield {
                "id": number,
                "image_id": image_id,
                "category_id": numbers[category_of(mask)],
                "segmentation": mask.rle,
                "area": mask.area,
                "bbox": pixel_box_xywh(mask),
                "iscrowd": 0,
                **scores_of(mask),
            }


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def read(path: Path, photo_hw: tuple[int, int] | None = None) -> list[PhotoMasks]:
    """The masks of every photo in the file, photos without masks too. Polygons become pixels as
    pycocotools makes them."""
    content = want(read_json(path), dict, str(path))
    names = {row["id"]: str(row.get("name", row["id"])) for row in content.get("categories", [])}
    rows_of_image = defaultdict(list)
    for index, row in enumerate(entry(content, "annotations", list, str(path))):
        where = f"annotation {index} of {path}"
        rows_of_image[entry(row, "image_id", (int, str), where)].append((where, row))
    return [
        _photo(image, rows_of_image[image["id"]], names, f"image {index} of {path}")
        for index, image in enumerate(entry(content, "images", list, str(path)))
    ]


def _photo(image: Any, rows: list[tuple[str, Any]], names: dict[Any, str], where: str) -> PhotoMasks:
    size = (entry(image, "height", int, where), entry(image, "width", int, where))
    masks = [_mask(row, row_where, size, names) for row_where, row in rows]
    return PhotoMasks(entry(image, "file_name", str, where), MaskSet(masks, photo_hw=size))


def _mask(row: Any, where: str, photo_hw: tuple[int, int], names: dict[Any, str]) -> Mask:
    runs = rle_of(entry(row, "segmentation", (dict, list), where), where, photo_hw)
    values = {
        name: value for name, value in row.items() if name != "bbox"
    }  # counts pixels; Mask.bbox one less
    return build_mask(runs, values, label_of(names.get(row.get("category_id"))), where)
