"""COCO json: one file for the run, with categories; RLE segmentations.

Traps answered here: ``counts`` is text; ``iscrowd`` is 0 where nobody said otherwise, because trainers drop
1; annotation numbers begin with 1, because COCOeval takes annotation 0 for "no match". Numbers, crowd flags,
attributes and categories that came from a file go back into one (``Mask.attributes``, ``PhotoMasks``).
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO

from ..errors import FormatError
from ..maskset import Mask, MaskSet
from .classes import Classes, distinct
from .losses import Loss, Losses
from .raster import checked_size
from .record import (
    PhotoMasks,
    SizeOf,
    WriteOptions,
    attributes_of,
    build_mask,
    category_of,
    changed_classes,
    label_of,
    pixel_box_xywh,
    plain_attributes,
    rle_of,
    scores_of,
    size_said,
)
from .text import entry, read_json, want

OWN_KEYS = {
    *("id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd", "attributes"),
    *("predicted_iou", "stability_score", "point_coords", "crop_box"),
}
"""What an annotation of the format says; anything else it says is an attribute."""
BESIDE = ("iscrowd", "score", "ignore", "track_id", "keypoints", "num_keypoints")
"""Attributes that COCO's tools look for in the annotation itself, the others under ``attributes``."""


Segmentation = Callable[[Mask], tuple[Any, Losses]]
"""A mask's pixels as the file is to hold them, and what that cost."""


def write(path: Path, photos: Iterable[PhotoMasks], options: WriteOptions) -> Losses:
    """All photos in one file. Annotations are written as they come: a run of any length fits in memory."""
    return write_with(path, photos, options, lambda mask: (mask.rle, Losses()))


def write_with(
    path: Path, photos: Iterable[PhotoMasks], options: WriteOptions, segmentation: Segmentation
) -> Losses:
    """:func:`write` with another form of pixels: RLE, polygons."""
    classes = options.categories
    losses: list[Losses] = []
    # Images come last in the file and with their masks here: their lines wait on the disk.
    with path.open("w", encoding="utf-8") as file, TemporaryFile("w+", encoding="utf-8") as images:
        file.write(
            '{"info":{"description":"masks by everymask","version":"1.0"},"licenses":[],"annotations":['
        )
        separator = "\n"
        for annotation in _annotations(photos, images, classes, losses, segmentation):
            file.write(separator + _compact(annotation))
            separator = ",\n"
        file.write('\n],"images":[')
        images.seek(0)
        shutil.copyfileobj(images, file)
        file.write(f'],"categories":{_compact(categories_rows(classes))}}}\n')
    return Losses.total(losses)


def categories_rows(classes: Classes) -> list[dict[str, Any]]:
    """The categories as COCO's files list them."""
    return [
        {"id": number, "name": name, "supercategory": "", **classes.more.get(name, {})}
        for name, number in classes.numbers.items()
    ]


def _annotations(
    photos: Iterable[PhotoMasks],
    images: TextIO,
    classes: Classes,
    losses: list[Losses],
    segmentation: Segmentation,
) -> Iterator[dict[str, Any]]:
    """The annotations of all photos; each photo is noted in ``images``, each changed number in ``losses``."""
    separator = ""
    of_images, of_masks = Numbers(), Numbers()
    for photo in photos:
        height, width = photo.photo_hw
        image_id = of_images.take(photo.attributes.get("id"))
        more = {name: value for name, value in photo.attributes.items() if name != "id"}
        image = {"id": image_id, "width": width, "height": height, "file_name": photo.photo}
        images.write(separator + _compact({**more, **image}))
        separator = ","
        renumbered = 0
        for mask in photo.masks:
            attributes = plain_attributes(mask)
            wanted = attributes.pop("id", None)
            number = of_masks.take(wanted)
            renumbered += wanted not in (None, number)
            pixels, lost = segmentation(mask)
            if lost:
                losses.append(lost)
            beside = {name: attributes.pop(name) for name in BESIDE if name in attributes}
            yield {
                "id": number,
                "image_id": image_id,
                "category_id": classes.numbers[category_of(mask)],
                "segmentation": pixels,
                "area": mask.area,
                "bbox": pixel_box_xywh(mask),
                "iscrowd": 0,
                **beside,
                **scores_of(mask),
                **({"attributes": attributes} if attributes else {}),
            }
        ids = Losses((Loss("ids", renumbered),)) if renumbered else Losses()
        if lost := ids + changed_classes(photo, classes.numbers):
            losses.append(lost)


class Numbers:
    """Hands out numbers: the one a thing had before where it is free, else the next free one from 1."""

    def __init__(self) -> None:
        self._wanted: set[Any] = set()
        self._next = 1
        """All numbers below are taken: a hundred million of them need no set."""

    def take(self, wanted: Any) -> Any:
        """A number that nobody has: ``wanted``, if it can be."""
        if isinstance(wanted, str):
            free = wanted not in self._wanted
        else:
            free = isinstance(wanted, int) and wanted >= self._next and wanted not in self._wanted
        if free:
            self._wanted.add(wanted)
            return wanted
        while self._next in self._wanted:
            self._wanted.discard(self._next)
            self._next += 1
        self._next += 1
        return self._next - 1


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def read(path: Path, photo_hw: tuple[int, int] | SizeOf | None = None) -> list[PhotoMasks]:
    """The masks of every photo in the file, photos without masks too. Polygons become pixels as
    pycocotools makes them."""
    content = want(read_json(path), dict, str(path))
    classes, names = classes_of(content, path)
    images = entry(content, "images", list, str(path))
    keys = [_key(entry(image, "id", (int, str), f"image {n} of {path}")) for n, image in enumerate(images, 1)]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise FormatError(f"{path} lists two images with the id {twice}; give each its own")
    rows_of_image: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    for index, row in enumerate(entry(content, "annotations", list, str(path)), 1):
        where = f"annotation {index} of {path}"
        rows_of_image[_key(entry(row, "image_id", (int, str), where))].append((where, row))
    if orphans := rows_of_image.keys() - set(keys):
        lost = sum(len(rows_of_image[key]) for key in orphans)
        where = rows_of_image[min(orphans)][0][0]
        raise FormatError(
            f"{where} is of an image that the file does not list (id {min(orphans)}), as are "
            f"{lost - 1} others; "
            "add the images, or remove these annotations"
        )
    return [
        _photo(image, rows_of_image[key], classes, names, photo_hw, f"image {index} of {path}")
        for index, (key, image) in enumerate(zip(keys, images, strict=True), 1)
    ]


def _key(number: int | str) -> str:
    """Numbers written as text mean the same image: 1, "1", "0001" is not."""
    return str(number)


def classes_of(content: dict[str, Any], path: Path) -> tuple[Classes, dict[str, str]]:
    """The categories of a file, and their names by number."""
    rows = want(content.get("categories") or [], list, f"'categories' of {path}")
    pairs = []
    for index, row in enumerate(rows, 1):
        where = f"category {index} of {path}"
        number = entry(row, "id", (int, str), where)
        if not str(number).isdigit():
            raise FormatError(f"the id of {where} must be a whole number from 0, got {number!r}")
        pairs.append((int(number), str(row.get("name", number))))
    names = distinct(pairs)
    more = {
        name: {key: value for key, value in row.items() if key not in ("id", "name")}
        for row, name in zip(rows, names.values(), strict=True)
    }
    numbers = {name: number for number, name in names.items()}
    return Classes(numbers, "coco", more), {str(number): name for number, name in names.items()}


def _photo(
    image: Any,
    rows: list[tuple[str, Any]],
    classes: Classes,
    names: dict[str, str],
    known: tuple[int, int] | SizeOf | None,
    where: str,
) -> PhotoMasks:
    name = entry(image, "file_name", str, where)
    if image.get("height") is None and image.get("width") is None:
        size = size_said(known, name, where)
    else:
        size = checked_size(entry(image, "height", int, where), entry(image, "width", int, where), where)
    masks = [_mask(row, row_where, size, names) for row_where, row in rows]
    own = ("width", "height", "file_name")
    attributes = {key: value for key, value in image.items() if key not in own}
    return PhotoMasks(
        name,
        MaskSet(masks, photo_hw=size),
        classes=classes,
        attributes=attributes,
    )


def _mask(row: Any, where: str, photo_hw: tuple[int, int], names: dict[str, str]) -> Mask:
    if not want(row, dict, where).get("segmentation") and any(row.get("bbox") or ()):
        raise FormatError(
            f"{where} has a box and no pixels; boxes are prompts: everymask predict --box makes masks of them"
        )
    runs = rle_of(entry(row, "segmentation", (dict, list), where), where, photo_hw)
    # 'bbox' counts pixels, Mask.bbox one less: it is made anew.
    values = {name: value for name, value in row.items() if name != "bbox"}
    attributes = {name: row[name] for name in row if name not in OWN_KEYS}
    attributes |= attributes_of(row.get("attributes"), where)
    attributes |= {"id": row["id"]} if "id" in row else {}
    attributes |= {"iscrowd": row["iscrowd"]} if row.get("iscrowd") else {}
    return build_mask(runs, values, _label(row, names, where), where, attributes)


def _label(row: Any, names: dict[str, str], where: str) -> str | None:
    number = row.get("category_id")
    if number is None:
        return None
    if str(number) in names:
        return label_of(names[str(number)])
    if not names:
        return str(number)
    raise FormatError(f"{where} is of category {number!r}, which the file does not list")
