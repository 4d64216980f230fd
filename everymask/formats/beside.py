"""Photos and the mask files that belong to them: one file for all, or a file a photo of the same name."""

from __future__ import annotations

from collections.abc import Collection, Iterator
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
    named = masks_named_after(where)
    stems = {photo.stem for photo in photos}
    for photo in photos:
        own = [file for file in named.get(photo.stem, ()) if file != photo]
        if not own or is_annotation(photo, stems):
            continue
        try:
            yield photo, [entry for file in own for entry in read_photos(file)]
        except EverymaskError as error:
            yield photo, error


def masks_named_after(where: Path) -> dict[str, list[Path]]:
    """The mask files of a folder, by the stem of the photo that each may belong to: NAME_0.png to NAME."""
    found: dict[str, list[Path]] = {}
    for file in sorted(file for file in where.glob("*") if file.suffix.lower() in MASK_SUFFIXES):
        stem, _, number = file.stem.rpartition("_")
        for name in (file.stem, stem) if stem and number.isdigit() else (file.stem,):
            found.setdefault(name, []).append(file)
    return found


def is_annotation(path: Path, photos: Collection[str]) -> bool:
    """Whether NAME_0.png is the annotation of a photo NAME.jpg beside it, not a photo; ``photos`` are stems.

    >>> is_annotation(Path("a_0.png"), {"a", "a_0"}), is_annotation(Path("a_0.jpg"), {"a", "a_0"})
    (True, False)
    """
    name, _, number = path.stem.rpartition("_")
    return path.suffix.lower() in MASK_SUFFIXES and number.isdigit() and name in photos
