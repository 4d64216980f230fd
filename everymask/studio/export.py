"""Documents to files: every format of the library, overlays, cut-outs, in one folder.

FOLDER/coco.json, cvat.xml, ...      formats with one file for all photos
FOLDER/<format>/<photo>.<...>        formats with a file a photo
FOLDER/yolo/{images,labels}/         with data.yaml beside them: train on it as it is
FOLDER/overlay/<photo>.jpg, cutouts/<photo>/<number>.png
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from everymask import InputError, Mask, MaskSet, draw_overlay
from everymask.formats import (
    FORMATS,
    Format,
    Losses,
    PhotoMasks,
    WriteOptions,
    categories_of,
    find_format,
    fit,
    write_file,
)
from everymask.formats.classes import Classes, for_yolo
from everymask.formats.yolo import NAMES_FILE, write_names
from everymask.media.draw import cut_out


@dataclass(frozen=True)
class Wanted:
    """What to write."""

    formats: tuple[str, ...] = ("coco",)
    overlay: bool = False
    cutouts: bool = False
    feather_px: float = 0  # how soft the edges of cut-outs are
    overlap: str = "keep"
    rings: str = "bridge"


@dataclass(frozen=True)
class Ready:
    """A photo on its way out."""

    name: str  # with forward slashes
    path: Path
    masks: MaskSet
    pixels: np.ndarray | None  # RGB; needed for overlays and cut-outs
    classes: Classes = field(default_factory=Classes)  # of the file that masks came from, with their numbers

    @property
    def key(self) -> str:
        """The path of its outputs, without a suffix."""
        return PurePosixPath(self.name).with_suffix("").as_posix()


def export(folder: Path, photos: Sequence[Ready], wanted: Wanted) -> dict[str, Losses]:
    """Write everything wanted into an empty folder; what each format could not hold, by its name."""
    if not photos:
        raise InputError("no photo has masks to export yet")
    formats = [find_format(name) for name in wanted.formats]
    records = [
        PhotoMasks(photo.name, photo.masks, source=photo.path, classes=photo.classes) for photo in photos
    ]
    options = WriteOptions(categories_of(records), wanted.rings)
    losses = {
        format_.name: _written(folder, format_, photos, records, wanted, options) for format_ in formats
    }
    for photo in photos:
        if wanted.overlay:
            assert photo.pixels is not None
            _save(folder / "overlay" / f"{photo.key}.jpg", draw_overlay(photo.pixels, photo.masks))
        if wanted.cutouts:
            assert photo.pixels is not None
            for number, mask in enumerate(photo.masks, 1):
                piece = soft_cut_out(photo.pixels, mask, wanted.feather_px)
                _save(folder / "cutouts" / photo.key / f"{number}.png", piece)
    return losses


def _written(
    folder: Path,
    format_: Format,
    photos: Sequence[Ready],
    records: Sequence[PhotoMasks],
    wanted: Wanted,
    options: WriteOptions,
) -> Losses:
    fitted = [fit(record, format_, wanted.overlap) for record in records]
    lost = Losses.total(losses for _, losses in fitted)
    if format_.per == "run":
        stem = "masks" if format_.suffix == f".{format_.name}" else format_.name
        target = folder / f"{stem}{format_.suffix}"
        return lost + write_file(format_, target, [record for record, _ in fitted], options)
    inner = folder / "yolo" / "labels" if format_.name == "yolo" else folder / format_.name
    parts = [
        write_file(format_, inner / f"{photo.key}{format_.suffix}", [record], options)
        for photo, (record, _) in zip(photos, fitted, strict=True)
    ]
    if format_.name == "yolo":
        _make_trainable(folder / "yolo", photos, for_yolo(options.categories))
    return lost + Losses.total(parts)


def _make_trainable(folder: Path, photos: Iterable[Ready], names: Sequence[str]) -> None:
    """Photos beside their labels, and the file of classes: what a YOLO trainer wants to find."""
    write_names(folder / NAMES_FILE, names)
    for photo in photos:
        target = folder / "images" / photo.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photo.path, target)


def soft_cut_out(photo: np.ndarray, mask: Mask, feather_px: float) -> np.ndarray:
    """One object on a transparent ground, RGBA uint8, its edge faded over ``feather_px`` pixels inwards.

    Inwards, so that nothing of the background shines through. 0 is a hard edge.
    """
    piece = cut_out(photo, mask)
    if feather_px <= 0 or piece.size == 0:
        return piece
    inside = np.pad(piece[..., 3], 1)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    piece[..., 3] = np.clip(255 * (depth - 0.5) / feather_px, 0, 255).astype(np.uint8) * (piece[..., 3] > 0)
    return piece


def _save(path: Path, picture: np.ndarray) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jpg":
        Image.fromarray(picture).save(path, quality=92, subsampling=0)
    else:
        Image.fromarray(picture).save(path)


def format_table() -> list[dict[str, object]]:
    """The formats for the page to list."""
    return [
        {"name": format_.name, "for": format_.for_what, "extra": format_.extra}
        for format_ in FORMATS.values()
    ]
