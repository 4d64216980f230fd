"""SA-1B json: one file a photo, ``{"image": {...}, "annotations": [...]}``, as the data set comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..maskset import Mask, MaskSet
from .losses import Losses
from .raster import checked_size
from .record import PhotoMasks, WriteOptions, build_mask, rle_of, scores_of
from .text import entry, read_json, want, write_json


def write(path: Path, photo: PhotoMasks, options: WriteOptions) -> Losses:
    """The photo and its masks with all seven fields. The photo's number is 1: there is one a file."""
    height, width = photo.photo_hw
    image = {"image_id": 1, "width": width, "height": height, "file_name": photo.photo}
    write_json(
        path, {"image": image, "annotations": [_row(i, mask) for i, mask in enumerate(photo.masks, 1)]}
    )
    return Losses()


def _row(number: int, mask: Mask) -> dict[str, Any]:
    box = [float(side) for side in mask.bbox]
    return {"id": number, "segmentation": mask.rle, "bbox": box, "area": mask.area, **scores_of(mask)}


def read(path: Path, photo_hw: tuple[int, int] | None = None) -> list[PhotoMasks]:
    """The masks of the one photo."""
    content = want(read_json(path), dict, str(path))
    image = entry(content, "image", dict, str(path))
    where = f"the image of {path}"
    size = checked_size(entry(image, "height", int, where), entry(image, "width", int, where), where)
    rows = entry(content, "annotations", list, str(path))
    masks = [_mask(row, f"annotation {index} of {path}", size) for index, row in enumerate(rows, 1)]
    return [PhotoMasks(str(image.get("file_name", path.stem)), MaskSet(masks, photo_hw=size))]


def _mask(row: Any, where: str, photo_hw: tuple[int, int]) -> Mask:
    return build_mask(
        rle_of(entry(row, "segmentation", (dict, list), where), where, photo_hw), row, where=where
    )
