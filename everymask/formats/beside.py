"""Photos and the mask files that belong to them: one file for all, or a file a photo of the same name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import EverymaskError
from .convert import read_photos
from .record import PhotoMasks

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
MASK_SUFFIXES = (".json", ".png", ".tif", ".tiff", ".txt")

Paired = tuple[Path, list[PhotoMasks] | EverymaskError]


def photos_in(folder: Path) -> list[Path]:
    """The photos of a folder, by name; annotations that are pictures count too."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in PHOTO_SUFFIXES)


def photos_with_masks(folder: Path, masks: Path) -> Iterator[Paired]:
    """Each photo of a folder that has masks, with one entry an annotator, or the error that came instead.

    ``masks`` is one file for all photos (COCO, ...), or a folder with files named after them: ``NAME.json``,
    ``NAME.png``, ``NAME_0.png``, ``NAME_1.png``.
    """
    return _of_one_file(folder, masks) if masks.is_file() else _of_folder(photos_in(folder), masks)


def _of_one_file(folder: Path, file: Path) -> Iterator[Paired]:
    for entry in read_photos(file):
        path = folder / entry.photo
        if path.is_file():
            yield path, [entry]


def _of_folder(photos: list[Path], where: Path) -> Iterator[Paired]:
    files = sorted(file for file in where.glob("*") if file.suffix.lower() in MASK_SUFFIXES)
    for photo in photos:
        own = [file for file in files if file != photo and _is_named_after(file, photo)]
        if not own or _is_annotation(photo, photos):
            continue
        try:
            yield photo, [entry for file in own for entry in read_photos(file)]
        except EverymaskError as error:
            yield photo, error


def _is_named_after(file: Path, photo: Path) -> bool:
    tail = file.stem.removeprefix(photo.stem)
    return file.stem.startswith(photo.stem) and (not tail or (tail[0] == "_" and tail[1:].isdigit()))


def _is_annotation(path: Path, photos: list[Path]) -> bool:
    """NAME_0.png beside NAME.jpg is the photo's annotation, not a photo."""
    stem, _, number = path.stem.rpartition("_")
    return number.isdigit() and any(other.stem == stem for other in photos)
