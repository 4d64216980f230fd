"""Finds the photos that mask files speak of, however these write their paths, in one folder."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...formats import PhotoMasks
from ...formats.georeference import Georeference, read_georeference
from ...formats.photo_names import Parts, ways_to_read
from ...media.photos import photo_size, read_photo
from ...media.picture_files import PICTURE_SUFFIXES
from .inputs import OUTPUT_FOLDERS, pictures_within


class PhotoFinder:
    """The photos of a folder and those below, found by what mask files call them.

    Of several photos of one name that is meant whose folders agree most with what the mask file says, else
    the one least deep; pictures that everymask drew come last. Where two are left, sizes decide.
    """

    def __init__(self, folder: Path | None, skip: frozenset[Path] = frozenset()) -> None:
        if folder is not None and not folder.is_dir():
            raise InputError(f"--photos must be a folder, {str(folder)!r} is none")
        self._folder = folder
        self._by_name: defaultdict[str, list[Parts]] = defaultdict(list)
        """Places below the folder by their last part, with and without its suffix."""
        for path in pictures_within(folder, skip) if folder else ():
            parts = path.relative_to(folder).parts  # type: ignore[arg-type]
            self._by_name[parts[-1]].append(parts)
            self._by_name[_stem(parts[-1])].append(parts)

    @property
    def folder(self) -> Path | None:
        """Where it looks."""
        return self._folder

    def _meant(self, name: str) -> list[Path]:
        """The photos that a name fits best: none, one, or several that it does not tell apart."""
        if self._folder is None:
            return []
        for wanted in ways_to_read(name):
            places = self._by_name.get(wanted[-1]) or self._by_name.get(_stem(wanted[-1])) or []
            if places:
                best = min(_rank(wanted, place) for place in places)
                return [self._folder.joinpath(*place) for place in places if _rank(wanted, place) == best]
        return []

    def find(self, name: str, photo_hw: tuple[int, int] | None = None) -> Path | None:
        """The photo of this name, with or without its suffix; of several the one of this size."""
        meant = self._meant(name)
        if len(meant) > 1:
            meant = [path for path in meant if photo_size(path) == photo_hw]
        return meant[0] if len(meant) == 1 else None

    def size(self, name: str) -> tuple[int, int] | None:
        """Height and width of the photo of this name, where there is one.

        Raises :class:`InputError` where there are several, of different sizes.
        """
        meant = self._meant(name)
        sizes = {photo_size(path) for path in meant}
        if len(sizes) > 1:
            raise InputError(self._several(name, meant))
        return sizes.pop() if sizes else None

    def place(self, name: str) -> Georeference | None:
        """Where the photo of this name lies on the map, where there is one that says it."""
        path = self.find(name)
        return None if path is None else read_georeference(path)

    def named(self, record: PhotoMasks) -> PhotoMasks:
        """The record with its photo's full name and georeference, where the photo is found."""
        path = self.find(record.photo, record.photo_hw)
        if path is None or self._folder is None:
            return record
        name = path.relative_to(self._folder).as_posix()
        place = record.georeference or read_georeference(path)
        return replace(record, photo=name, georeference=place, source=path)

    def check(self, record: PhotoMasks) -> Path:
        """The photo of a record. Raises :class:`InputError` when it is not there or has another size."""
        path = self.find(record.photo, record.photo_hw)
        if path is None:
            meant = self._meant(record.photo)
            raise InputError(self._several(record.photo, meant) if meant else self._not_there(record.photo))
        height, width = photo_size(path)
        if (height, width) != record.photo_hw:
            raise InputError(
                f"{path} is {width} x {height}, its masks are "
                f"{record.photo_hw[1]} x {record.photo_hw[0]}; was the photo resized?"
            )
        return path

    def pixels(self, record: PhotoMasks) -> np.ndarray:
        """The photo of a record, RGB, read anew each time: thousands do not fit in memory."""
        return read_photo(self.check(record))

    def _not_there(self, name: str) -> str:
        needed = f"drawing needs the photo {name!r}"
        if self._folder is None:
            return f"{needed}; say where the photos are: --photos FOLDER"
        return f"{needed}, which is not in {self._folder}; name another --photos FOLDER"

    def _several(self, name: str, meant: list[Path]) -> str:
        listed = ", ".join(str(path) for path in meant[:3]) + (", ..." if len(meant) > 3 else "")
        return f"{name!r} may be {len(meant)} photos ({listed}); name the folder of the right one in --photos"


def _stem(name: str) -> str:
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in PICTURE_SUFFIXES else name


def _rank(wanted: Parts, place: Parts) -> tuple[bool, int, bool, int]:
    """How badly a place fits: another ending, fewer folders that agree from the end, drawn by us, deep."""
    agreed = 0
    for mine, theirs in zip(reversed(place[:-1]), reversed(wanted[:-1]), strict=False):
        if mine != theirs:
            break
        agreed += 1
    has_suffix = _stem(wanted[-1]) != wanted[-1]
    is_output = not OUTPUT_FOLDERS.isdisjoint(place[:-1])
    return has_suffix and place[-1] != wanted[-1], -agreed, is_output, len(place)
