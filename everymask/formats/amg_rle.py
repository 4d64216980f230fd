"""amg RLE: ``<stem>.json``, the bare list of dicts that amg.py writes with ``--convert-to-rle``.

All seven fields of a mask, COCO RLE with text counts. Not in it: the photo's name, labels, and the
photo's size when there is no mask.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import FormatError
from ..maskset import Mask, MaskSet
from .losses import Losses
from .record import SIZE_HINT, PhotoMasks, WriteOptions, build_mask, rle_of, scores_of
from .text import entry, read_json, want, write_json


def write(path: Path, photo: PhotoMasks, options: WriteOptions) -> Losses:
    """One JSON list of the generator's dicts, in the generator's key order."""
    write_json(path, [row_of(mask) for mask in photo.masks])
    return Losses()


def read(path: Path, photo_hw: tuple[int, int] | None = None) -> list[PhotoMasks]:
    """The masks of the one photo. An empty list does not say the photo's size: ``photo_hw`` must."""
    rows = want(read_json(path), list, str(path))
    masks = [mask_of(row, f"mask {index} of {path}", photo_hw) for index, row in enumerate(rows, 1)]
    return [PhotoMasks(path.stem, MaskSet(masks, photo_hw=common_size(masks, photo_hw, path)))]


def row_of(mask: Mask) -> dict[str, Any]:
    """The generator's dict of one mask."""
    fields = scores_of(mask)
    first = {"segmentation": mask.rle, "area": mask.area, "bbox": [float(side) for side in mask.bbox]}
    order = ("predicted_iou", "point_coords", "stability_score", "crop_box")
    return first | {name: fields[name] for name in order if name in fields}


def mask_of(row: Any, where: str, photo_hw: tuple[int, int] | None) -> Mask:
    """The mask of one dict of the generator."""
    return build_mask(
        rle_of(entry(row, "segmentation", (dict, list), where), where, photo_hw), row, where=where
    )


def common_size(masks: list[Mask], photo_hw: tuple[int, int] | None, path: Path) -> tuple[int, int]:
    """The one size of all masks, or the given one where there is no mask."""
    sizes = {mask.size for mask in masks} | ({photo_hw} if photo_hw else set())
    if len(sizes) == 1:
        return sizes.pop()
    if not sizes:
        raise FormatError(f"{path} has no masks and so does not say the photo's size; give {SIZE_HINT}")
    raise FormatError(f"the masks of {path} must all have the photo's size, got {sorted(sizes)}")
