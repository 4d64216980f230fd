"""Documents to files: every format of the library, overlays, cut-outs, in one folder.

FOLDER/coco.json, cvat.xml, ...      formats with one file for all photos
FOLDER/<format>/<photo>.<...>        formats with a file a photo
FOLDER/yolo/{images,labels}/         with data.yaml beside them: train on it as it is; with a share for
                                     validation .../train and .../val
FOLDER/overlay/<photo>.jpg, cutouts/<photo>/<number>.png
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from everymask import InputError, MaskSet, draw_overlay
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
from everymask.formats.folder_names import FolderNames
from everymask.formats.yolo_folder import YoloFolder
from everymask.media.colour_profile import colour_profile
from everymask.media.draw import cut_out

from .soft_edges import feather_of


@dataclass(frozen=True)
class Wanted:
    """What to write."""

    formats: tuple[str, ...] = ("coco",)
    overlay: bool = False
    cutouts: bool = False
    feather_px: float = 0  # how soft the edges of cut-outs are, of masks that do not say it themselves
    overlap: str = "keep"
    rings: str = "bridge"
    val: float = 0.0  # the share of photos that YOLO validates with


@dataclass(frozen=True)
class Ready:
    """A photo on its way out."""

    name: str  # with forward slashes
    path: Path
    masks: MaskSet
    pixels: Callable[[], np.ndarray]  # RGB; asked for where something is drawn, one photo at a time
    classes: Classes = field(default_factory=Classes)  # of the file that masks came from, with their numbers


def export(folder: Path, photos: Sequence[Ready], wanted: Wanted) -> dict[str, Losses]:
    """Write everything wanted into an empty folder; what each format could not hold, by its name."""
    if not photos:
        raise InputError("no photo has masks to export yet")
    formats = [find_format(name) for name in wanted.formats]
    records = [
        PhotoMasks(photo.name, photo.masks, source=photo.path, classes=photo.classes) for photo in photos
    ]
    options = WriteOptions(categories_of(records), wanted.rings)
    names = FolderNames()
    places = [names.new(photo.name, "") for photo in photos]  # a.jpg and a.png do not share one
    losses = {
        format_.name: _written(folder, format_, places, records, wanted, options) for format_ in formats
    }
    for place, photo in zip(places, photos, strict=True):
        if wanted.overlay:
            _save(folder / "overlay" / f"{place}.jpg", draw_overlay(photo.pixels(), photo.masks), photo.path)
        if wanted.cutouts:
            pixels = photo.pixels()
            for number, mask in enumerate(photo.masks, 1):
                piece = cut_out(pixels, mask, feather=feather_of(mask, wanted.feather_px))
                _save(folder / "cutouts" / place / f"{number}.png", piece, photo.path)
    return losses


def _written(
    folder: Path,
    format_: Format,
    places: Sequence[str],
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
    yolo = YoloFolder(folder / "yolo", wanted.val)
    for place, (record, _) in zip(places, fitted, strict=True):
        if format_.name == "yolo":
            target = yolo.label_path(place)
            yolo.put(place, record.source, for_yolo(options.categories))
        else:
            target = folder / format_.name / f"{place}{format_.suffix}"
        lost += write_file(format_, target, [record], options)
    return lost


def _save(path: Path, picture: np.ndarray, photo: Path) -> None:
    from PIL import Image

    profile = colour_profile(photo, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jpg":
        Image.fromarray(picture).save(path, quality=92, subsampling=0, icc_profile=profile)
    else:
        Image.fromarray(picture).save(path, icc_profile=profile)


def format_table() -> list[dict[str, object]]:
    """The formats for the page to list."""
    return [
        {"name": format_.name, "for": format_.for_what, "extra": format_.extra}
        for format_ in FORMATS.values()
    ]
