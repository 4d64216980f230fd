"""From the words on a command line to a list of photos, each with a name and a place for its outputs."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path, PurePosixPath

from ...errors import InputError

PICTURE_SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"),
    *(".heic", ".heif", ".avif", ".jp2", ".ppm", ".pgm", ".pnm"),
}
"""What a folder is searched for. Files named one by one may be called anything."""


@dataclass(frozen=True)
class Photo:
    """One input: what to read, what to call it in files, and where its outputs go."""

    path: Path
    name: str
    """As written into files: relative to the folder that was given, with forward slashes."""
    key: str
    """The relative path of its outputs, without a suffix; no two photos share one."""

    @property
    def source(self) -> str:
        """What identifies the photo across runs."""
        return str(self.path.absolute())


@dataclass(frozen=True)
class _Found:
    path: Path
    name: str


def find_photos(
    words: Sequence[str],
    *,
    recursive: bool = False,
    listed: Iterable[str] = (),
    skip: frozenset[Path] = frozenset(),
    taken: Mapping[str, tuple[str, str]] | None = None,
) -> list[Photo]:
    """The photos meant by files, folders, globs, and ``-`` for the paths in ``listed``, each once, in order.

    ``skip`` are folders (absolute) not to look into: the outputs of earlier runs. ``taken`` gives the name
    and key of photos (by ``Photo.source``) that had theirs before; they keep them. Raises
    :class:`InputError` for a word that means nothing.
    """
    found: dict[str, _Found] = {}
    for word in words:
        for each in _of_word(word, recursive, listed, skip):
            found.setdefault(str(each.path.absolute()), each)
    return _named(list(found.values()), taken or {})


def _of_word(word: str, recursive: bool, listed: Iterable[str], skip: frozenset[Path]) -> Iterator[_Found]:
    if word == "-":
        for line in listed:
            if line.strip():
                yield from _of_word(line.rstrip("\r\n"), recursive, (), skip)
        return
    path = Path(word)
    if path.is_dir():
        yield from _of_folder(path, path, recursive, skip)
    elif path.exists() or path.is_symlink():
        yield _Found(path, path.name)
    elif matches := sorted(glob.glob(word, recursive=True)):
        for match in matches:
            if not Path(match).is_dir():
                yield _Found(Path(match), Path(match).name)
    else:
        kind = "matches nothing" if glob.has_magic(word) else "is neither a file nor a folder"
        raise InputError(f"{word!r} {kind}; give photos, folders, globs, or - for a list on stdin")


def _of_folder(folder: Path, root: Path, recursive: bool, skip: frozenset[Path]) -> Iterator[_Found]:
    """The pictures of a folder by name. A subfolder called like one is handed on: reading it says so."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if entry.name.startswith(".") or path.absolute() in skip:
            continue
        if path.suffix.lower() in PICTURE_SUFFIXES:
            yield _Found(path, path.relative_to(root).as_posix())
        elif recursive and entry.is_dir():
            yield from _of_folder(path, root, recursive, skip)


def _named(found: list[_Found], taken: Mapping[str, tuple[str, str]]) -> list[Photo]:
    """Names and keys, those of ``taken`` first, so that a photo keeps its place from run to run."""
    sources = [str(each.path.absolute()) for each in found]
    names = _distinct_names(found, {name for name, _ in taken.values()} if taken else set(), sources, taken)
    keys = Keys(key for _, key in taken.values())
    return [
        Photo(each.path, *taken[source]) if source in taken else Photo(each.path, name, keys.new(name))
        for each, source, name in zip(found, sources, names, strict=True)
    ]


def _distinct_names(
    found: list[_Found], used: set[str], sources: list[str], taken: Mapping[str, tuple[str, str]]
) -> list[str]:
    """The short names where they are distinct; where they are not, paths from the folder all inputs share."""
    fresh = [each.name for each, source in zip(found, sources, strict=True) if source not in taken]
    uses = Counter([*fresh, *used])
    if not uses or max(uses.values()) == 1:
        return [each.name for each in found]
    shared = os.path.commonpath([os.path.dirname(source) for source in sources])
    return [
        each.name if uses[each.name] <= 1 else Path(os.path.relpath(source, shared)).as_posix()
        for each, source in zip(found, sources, strict=True)
    ]


class Keys:
    """Hands out output paths that differ by more than case, none of them a folder of another."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()
        for key in taken:
            self._take(key)

    def new(self, name: str) -> str:
        """A key for a photo of this name: its stem, or the nearest free thing."""
        path = PurePosixPath(_without_tricks(name))
        stem, kind = path.with_suffix("").as_posix(), path.suffix[1:].lower()
        flat = stem.replace("/", "_")
        plain = (stem, f"{stem}_{kind}", flat, f"{flat}_{kind}")
        numbered = (f"{flat}_{kind}_{number}" for number in count(2))
        key = next(each for each in chain(plain, numbered) if self._free(each))
        self._take(key)
        return key

    def _free(self, key: str) -> bool:
        plain = key.casefold()
        return plain not in self._files | self._folders and not set(_parents(plain)) & self._files

    def _take(self, key: str) -> None:
        self._files.add(key.casefold())
        self._folders.update(_parents(key.casefold()))


def _without_tricks(name: str) -> str:
    """A relative path that stays where it is put, of characters that every system has in file names.

    >>> _without_tricks("../a/b:c.jpg"), _without_tricks("/data/?d=x.jpg")
    ('a/b_c.jpg', 'data/_d=x.jpg')
    """
    plain = "".join("_" if char in ':*?"<>|' or ord(char) < 32 else char for char in name.replace("\\", "/"))
    return "/".join(part for part in plain.split("/") if part not in ("", ".", "..")) or "photo"


def _parents(key: str) -> list[str]:
    return [parent.as_posix() for parent in PurePosixPath(key).parents][:-1]
