"""Panoptic COCO: a folder with ``panoptic.json`` and, in ``panoptic/``, a PNG a photo, a colour a segment.

A segment's number is R + 256 G + 65536 B of its colour, black is nothing. A pixel has one segment, so masks
must not overlap: :func:`everymask.formats.fit` sees to it. What a category is (``isthing``) comes back into
the file it came from; new ones are things.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import FormatError, one_line
from ..masks.rle import encode_at
from ..maskset import Mask, MaskSet
from .classes import Classes
from .coco import Numbers, categories_rows, classes_of
from .folder_names import FolderNames
from .losses import Loss, Losses
from .raster import checked_size
from .record import (
    PhotoMasks,
    WriteOptions,
    build_mask,
    category_of,
    changed_classes,
    label_of,
    pixel_box_xywh,
)
from .text import entry, read_json, want, write_json

JSON, PICTURES = "panoptic.json", "panoptic"
MOST = 256**3 - 1


def write(path: Path, photos: Iterable[PhotoMasks], options: WriteOptions) -> Losses:
    """The folder, one photo at a time."""
    (path / PICTURES).mkdir(parents=True)
    classes, names = options.categories, FolderNames()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    losses: list[Losses] = []
    of_images = Numbers()
    for photo in photos:
        height, width = photo.photo_hw
        if len(photo.masks) > MOST:
            raise FormatError(
                f"a panoptic PNG holds {MOST:,} segments, {photo.photo} has {len(photo.masks):,}"
            )
        wanted = photo.attributes.get("id")
        image_id = of_images.take(wanted)
        more = {name: value for name, value in photo.attributes.items() if name != "id"}
        images.append({**more, "id": image_id, "width": width, "height": height, "file_name": photo.photo})
        picture = path / PICTURES / names.new(photo.photo, ".png")
        picture.parent.mkdir(parents=True, exist_ok=True)
        _save(picture, photo.masks)
        segments = [_segment(number, mask, classes) for number, mask in enumerate(photo.masks, 1)]
        file_name = picture.relative_to(path / PICTURES).as_posix()
        annotations.append({"image_id": image_id, "file_name": file_name, "segments_info": segments})
        losses.append(changed_classes(photo, classes.numbers))
        if wanted not in (None, image_id):
            losses.append(Losses((Loss("ids", len(photo.masks)),)))
    categories = [{"isthing": 1, **row} for row in categories_rows(classes)]
    info = {"description": "masks by everymask", "version": "1.0"}
    content = {"info": info, "images": images, "annotations": annotations, "categories": categories}
    write_json(path / JSON, content)
    return Losses.total(losses)


def _segment(number: int, mask: Mask, classes: Classes) -> dict[str, Any]:
    return {
        "id": number,
        "category_id": classes.numbers[category_of(mask)],
        "area": mask.area,
        "bbox": pixel_box_xywh(mask),
        "iscrowd": int(bool(mask.attributes.get("iscrowd"))),
    }


def _save(path: Path, masks: MaskSet) -> None:
    pixels = np.zeros((*masks.photo_hw, 3), np.uint8)
    for number, mask in enumerate(masks, 1):
        pixels[mask.extent][mask.crop()] = (number % 256, number // 256 % 256, number // 65536)
    Image.fromarray(pixels).save(path, compress_level=3)


def read(path: Path, photo_hw: tuple[int, int] | None = None) -> list[PhotoMasks]:
    """The masks of every photo. ``path`` is the folder, or the JSON file; its PNGs lie in a folder beside it,
    named as the file (as COCO's own) or ``panoptic``."""
    file = path / JSON if path.is_dir() else path
    content = want(read_json(file), dict, str(file))
    classes, names = classes_of(content, file)
    images = {}
    for number, image in enumerate(entry(content, "images", list, str(file))):
        images[str(entry(image, "id", (int, str), f"image {number} of {file}"))] = image
    pictures = file.with_suffix("") if file.with_suffix("").is_dir() else file.parent / PICTURES
    rows = entry(content, "annotations", list, str(file))
    return [
        _photo(row, images, pictures, classes, names, f"annotation {number} of {file}")
        for number, row in enumerate(rows)
    ]


def _photo(
    row: Any, images: dict[str, Any], pictures: Path, classes: Classes, names: dict[str, str], where: str
) -> PhotoMasks:
    number = str(entry(row, "image_id", (int, str), where))
    if number not in images:
        raise FormatError(f"{where} is of an image that the file does not list (id {number})")
    image = images[number]
    size = checked_size(entry(image, "height", int, where), entry(image, "width", int, where), where)
    ids = _ids(pictures / entry(row, "file_name", str, where))
    if ids.shape != size:
        raise FormatError(
            f"the PNG of {where} is of {ids.shape[0]} x {ids.shape[1]} pixels (height x width), its image of "
            f"{size[0]} x {size[1]}"
        )
    masks = list(_masks(entry(row, "segments_info", list, where), ids, names, where))
    known = ("width", "height", "file_name")
    attributes = {name: value for name, value in image.items() if name not in known}
    return PhotoMasks(
        entry(image, "file_name", str, where),
        MaskSet(masks, photo_hw=size),
        classes=classes,
        attributes=attributes,
    )


def _ids(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            colours = np.asarray(picture.convert("RGB")).astype(np.int64)
    except FileNotFoundError:
        raise FormatError(f"the PNG {path} is not there") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FormatError(f"{path} is not a readable PNG: {one_line(error)}") from error
    return colours @ np.array([1, 256, 65536])


def _masks(rows: list[Any], ids: np.ndarray, names: dict[str, str], where: str) -> Iterator[Mask]:
    order = np.argsort(ids, axis=None, kind="stable")
    values, starts = np.unique(ids.ravel()[order], return_index=True)
    pixels_of = dict(zip(values.tolist(), np.split(order, starts[1:]), strict=True))
    for index, row in enumerate(rows):
        what = f"segment {index} of {where}"
        number = entry(row, "id", int, what)
        if number not in pixels_of or number == 0:
            raise FormatError(f"{what} has no pixel of its colour in the PNG (id {number})")
        category = str(entry(row, "category_id", (int, str), what))
        if category not in names:
            raise FormatError(f"{what} is of category {category}, which the file does not list")
        y, x = np.divmod(pixels_of.pop(number), ids.shape[1])
        crop = np.zeros((x.max() - x.min() + 1, y.max() - y.min() + 1), bool)
        crop[x - x.min(), y - y.min()] = True
        runs = encode_at(crop, (int(x.min()), int(y.min())), (ids.shape[0], ids.shape[1]))
        crowd = {"iscrowd": 1} if row.get("iscrowd") else None
        yield build_mask(runs, {}, label_of(names[category]), what, crowd)
    left = [number for number in pixels_of if number]
    if left:
        raise FormatError(f"the PNG of {where} has a colour that no segment has (id {left[0]})")
