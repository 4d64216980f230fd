"""Masks that are there already, for the photos of a session: beside them, and in files that were named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from everymask.errors import FormatError, InputError, first_few
from everymask.formats import PhotoMasks, read_photos
from everymask.formats.photo_names import ways_to_read
from everymask.formats.sniff import is_mask_folder
from everymask.media.photos import photo_size
from everymask.media.picture_files import PICTURE_SUFFIXES

BESIDE_A_PHOTO = (".json", ".geojson", ".xml", ".txt", ".gpkg", ".parquet")
"""Endings of mask files that are looked for beside a photo of the same name."""
IN_A_FOLDER = {*BESIDE_A_PHOTO, ".png", ".tif", ".tiff"}
"""Endings of mask files in a folder that was named."""


def known_masks(photos: Sequence[tuple[Path, str]], mask_files: Iterable[Path]) -> dict[str, PhotoMasks]:
    """The masks of each photo by its name, with the file's class numbers: from files named, and from those
    beside a photo.

    Files that were named must be readable and hold masks of a photo; of a folder that was named, those that
    are called as a photo must be readable. One that merely lies beside a photo and is no mask file is left
    alone. Raises FormatError.
    """
    found: dict[str, PhotoMasks] = {}
    for path, name in photos:
        for beside in _beside(path):
            try:
                records = read_photos(beside, photo_hw=photo_size(path))
            except InputError:
                continue
            if records:
                found[name] = records[0]
    return found | masks_in(mask_files, photos)


def masks_in(mask_files: Iterable[Path], photos: Sequence[tuple[Path, str]]) -> dict[str, PhotoMasks]:
    """The masks of each photo by its name, in files that were named. Raises as :func:`known_masks`."""
    found: dict[str, PhotoMasks] = {}
    names = _Names(photos)
    for file in mask_files:
        told: list[str] = []
        for each in names.files(file):
            records = read_photos(each, photo_hw=names.size)
            told += [record.photo for record in records]
            found |= {called: record for record in records if (called := names.find(record.photo))}
        if told and not any(names.find(photo) for photo in told):
            here = first_few((name for _, name in photos), 3) or "any photo here"
            raise FormatError(f"{file} holds masks of {first_few(told, 3)}, not of {here}")
    return found


def _beside(photo: Path) -> Iterator[Path]:
    """Files that may hold the masks of a photo: under its name beside it, or where YOLO has its labels."""
    yield from (file for suffix in BESIDE_A_PHOTO if (file := photo.with_suffix(suffix)).is_file())
    if is_mask_folder(photo.with_suffix("")):
        yield photo.with_suffix("")
    parts = photo.absolute().parts
    if "images" in parts[:-1]:
        place = len(parts) - 2 - parts[-2::-1].index("images")
        labels = Path(*parts[:place], "labels", *parts[place + 1 :]).with_suffix(".txt")
        if labels.is_file():
            yield labels


class _Names:
    """The photos of a session by what mask files call them: in full, by the last part, without the ending."""

    def __init__(self, photos: Sequence[tuple[Path, str]]) -> None:
        self._paths = {name: path for path, name in photos}
        self._own = {path for path, _ in photos}  # a folder may hold photos and masks
        self._by_part: dict[str, list[str]] = defaultdict(list)
        for _, name in photos:
            last = PurePosixPath(name)
            for part in {last.name, last.stem}:
                self._by_part[part].append(name)

    def find(self, called: str) -> str | None:
        """The name of the photo. Raises FormatError where several are called so."""
        if called in self._paths:
            return called
        for *_, last in ways_to_read(called):
            plain = PurePosixPath(last)
            parts = [last, *([plain.stem] if plain.suffix.lower() in PICTURE_SUFFIXES else [])]
            for part in parts:
                names = self._by_part.get(part, [])
                if len(names) > 1:
                    raise FormatError(
                        f"masks are of {called}; {first_few(names, 3)} are called so, open one of them"
                    )
                if names:
                    return names[0]
        return None

    def size(self, called: str) -> tuple[int, int] | None:
        """Height and width of a photo, for files that do not say it."""
        name = self.find(called)
        return None if name is None else photo_size(self._paths[name])

    def files(self, named: Path) -> list[Path]:
        """The mask files of what was named: itself, or of a folder with a file (or folder) a photo those."""
        return [named] if named.is_file() else list(self._inside(named)) or [named]

    def _inside(self, folder: Path) -> Iterator[Path]:
        if is_mask_folder(folder):
            yield folder
            return
        for each in sorted(folder.iterdir()) if folder.is_dir() else []:
            if each.is_dir():
                yield from self._inside(each)
            elif each.suffix.lower() in IN_A_FOLDER and each.stem in self._by_part and each not in self._own:
                yield each
