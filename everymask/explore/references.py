"""Photos and the reference masks that belong to them, in any format that is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from everymask.errors import EverymaskError, InputError
from everymask.formats import PhotoMasks, read_photos
from everymask.maskset import MaskSet
from everymask.media.photos import photo_size, read_photo

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
MASK_SUFFIXES = (".json", ".png", ".tif", ".tiff", ".txt")


@dataclass(frozen=True)
class Example:
    """A photo, and the masks of each of its annotators; none where there is nothing to compare with."""

    path: Path
    references: tuple[MaskSet, ...] = ()

    @property
    def name(self) -> str:
        return self.path.name

    def read(self) -> np.ndarray:
        """The photo, RGB uint8 [H, W, 3]."""
        return read_photo(self.path)


def find_examples(photos: Path | str, masks: Path | str | None) -> tuple[list[Example], list[str]]:
    """The photos of a folder with their reference masks, and a line for each photo that could not be used.

    ``masks`` is one file for all (COCO, ...) or a folder with a file a photo, named alike: ``NAME.json``,
    ``NAME.png``, ``NAME_0.png``, ``NAME_1.png`` (one an annotator). Without ``masks`` every photo is an
    example. Raises :class:`InputError` where none is left.
    """
    folder = Path(photos).expanduser()
    if not folder.is_dir():
        raise InputError(f"expected a folder of photos, got {str(folder)!r}; name the folder")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES)
    problems: list[str] = []
    if masks is None:
        examples = [Example(path) for path in paths]
    else:
        where = Path(masks).expanduser()
        if not where.exists():
            raise InputError(f"there is no file or folder {str(where)!r} to read reference masks from")
        found = _of_one_file(folder, where) if where.is_file() else _of_folder(paths, where)
        examples, problems = _checked(found)
    if not examples:
        reasons = "; ".join(problems[:3]) or "no photo has masks of its name"
        raise InputError(f"no photo of {str(folder)!r} can be tuned on: {reasons}")
    return examples, problems


def _checked(
    found: Iterator[tuple[Path, list[PhotoMasks] | EverymaskError]],
) -> tuple[list[Example], list[str]]:
    examples, problems = [], []
    for path, entries in found:
        try:
            if isinstance(entries, EverymaskError):
                raise entries
            size = photo_size(path)
            for entry in entries:
                if entry.photo_hw != size:
                    raise InputError(
                        f"its masks are for {entry.photo_hw}, the photo is {size} (height, width)"
                    )
            examples.append(Example(path, tuple(entry.masks for entry in entries)))
        except (EverymaskError, OSError) as error:
            problems.append(f"{path.name}: {error}")
    return examples, problems


def _of_one_file(folder: Path, file: Path) -> Iterator[tuple[Path, list[PhotoMasks]]]:
    for entry in read_photos(file):
        path = folder / entry.photo
        if path.is_file():
            yield path, [entry]


def _of_folder(paths: list[Path], where: Path) -> Iterator[tuple[Path, list[PhotoMasks] | EverymaskError]]:
    files = sorted(file for file in where.iterdir() if file.suffix.lower() in MASK_SUFFIXES)
    taken = set(paths)
    for path in paths:
        own = [file for file in files if file != path and _is_named_after(file, path)]
        if not own or (path.stem.rpartition("_")[2].isdigit() and _is_annotation(path, taken)):
            continue
        try:
            yield path, [entry for file in own for entry in read_photos(file)]
        except EverymaskError as error:
            yield path, error


def _is_named_after(file: Path, photo: Path) -> bool:
    tail = file.stem.removeprefix(photo.stem)
    return file.stem.startswith(photo.stem) and (not tail or (tail[0] == "_" and tail[1:].isdigit()))


def _is_annotation(path: Path, photos: set[Path]) -> bool:
    """NAME_0.png beside NAME.jpg is the photo's annotation, not a photo."""
    stem = path.stem.rpartition("_")[0]
    return any(other.stem == stem for other in photos)
