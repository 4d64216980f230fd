"""From the words on a command line to a list of photos, each with a name and a place for its outputs."""

from __future__ import annotations

import glob
import os
import posixpath
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain, count
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...formats import FORMATS
from ...formats.folder_names import safe_path
from ...media.picture_files import PICTURE_SUFFIXES

OWN_FOLDER = ".everymask"
"""What commands keep of a run, in its output folder: the folder is known by it."""
OUTPUT_FOLDERS = frozenset((*FORMATS, "overlay", "cutouts", "colour_map", "masks"))
"""Folders in an output folder that hold what was written."""
Places = Mapping[str, tuple[str, str]]
"""Name and key of photos by ``Photo.source``."""


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
    source: str  # as Photo.source


def find_photos(
    words: Sequence[str],
    *,
    recursive: bool = False,
    listed: Iterable[str] = (),
    skip: frozenset[Path] = frozenset(),
    taken: Places | Callable[[Iterable[tuple[str, Path]]], Places] | None = None,
) -> list[Photo]:
    """The photos meant by files, folders, globs, and ``-`` for the paths in ``listed``, each once, in order.

    ``skip`` are folders (absolute) not to look into; what earlier runs wrote into other folders is left out
    as well. ``taken`` gives the name and key of photos (by ``Photo.source``) that had theirs before; they
    keep them; it may be a function of the names and paths found. Raises :class:`InputError` for a word that
    means nothing.
    """
    found: dict[str, _Found] = {}
    for word in words:
        for each in _of_word(word, recursive, listed, skip):
            found.setdefault(os.path.normcase(each.source), each)
    places = taken((each.name, each.path) for each in found.values()) if callable(taken) else taken
    return _named(list(found.values()), places or {})


def _of_word(word: str, recursive: bool, listed: Iterable[str], skip: frozenset[Path]) -> Iterator[_Found]:
    if word == "-":
        for line in listed:
            if line.strip():
                yield from _of_word(line.rstrip("\r\n"), recursive, (), skip)
        return
    path = direct(Path(word))
    if path.is_dir():
        yield from _of_folder(path, recursive, skip)
    elif path.exists() or path.is_symlink():
        yield _Found(path, printable(path.name), str(path.absolute()))
    elif matches := sorted(glob.glob(word, recursive=True)):
        for match in matches:
            if not Path(match).is_dir():
                path = direct(Path(match))
                yield _Found(path, printable(Path(match).name), str(path.absolute()))
    else:
        kind = "matches nothing" if glob.has_magic(word) else "is neither a file nor a folder"
        raise InputError(f"{word!r} {kind}; give photos, folders, globs, or - for a list on stdin")


def direct(path: Path) -> Path:
    """The same place without ``..``, which would make one photo look like two."""
    if ".." not in path.parts:
        return path
    plain = Path(os.path.normpath(path))
    try:  # "link/.." is the folder of what the link leads to
        return plain if os.path.samefile(plain, path) else path.parent.resolve() / path.name
    except OSError:
        return path


def _of_folder(
    folder: Path, recursive: bool, skip: frozenset[Path], inside: str = "", above: tuple[str, ...] = ()
) -> Iterator[_Found]:
    """The pictures of a folder by name. A subfolder called like one is handed on: reading it says so.

    ``inside`` is the folder as seen from the one that was named, ``above`` the real paths from there to
    here: a link that leads back to one of them is not followed.
    """
    above = (*above, os.path.realpath(folder))
    absolute = folder.absolute()
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    holds_outputs = any(entry.name == OWN_FOLDER for entry in entries)
    for entry in entries:
        if entry.name.startswith(".") or (skip and absolute / entry.name in skip):
            continue
        if os.path.splitext(entry.name)[1].lower() in PICTURE_SUFFIXES:
            source = os.path.join(absolute, entry.name)
            yield _Found(Path(entry.path), printable(inside + entry.name), source)
            continue
        if not recursive or not _is_folder(entry) or os.path.realpath(entry.path) in above:
            continue
        if not (holds_outputs and entry.name in OUTPUT_FOLDERS):
            yield from _of_folder(Path(entry.path), recursive, skip, f"{inside}{entry.name}/", above)


def pictures_within(folder: Path, skip: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """All pictures of a folder and those below, without what earlier runs wrote there."""
    return (found.path for found in _of_folder(folder, True, skip) if found.path.is_file())


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def printable(name: str) -> str:
    """A file name as text that every format can hold: bytes that are no UTF-8 as ``%E9``.

    >>> printable("caf\\udce9.jpg"), printable("café 100%.jpg")
    ('caf%E9.jpg', 'café 100%.jpg')
    """
    if name.isascii():
        return name
    return "".join(f"%{ord(char) - 0xDC00:02X}" if "\udc80" <= char <= "\udcff" else char for char in name)


def _named(found: list[_Found], taken: Places) -> list[Photo]:
    """Names and keys, those of ``taken`` first, so that a photo keeps its place from run to run."""
    sources = [each.source for each in found]
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
    apart = paths_from_what_is_shared(sources)
    return [each.name if uses[each.name] <= 1 else name for each, name in zip(found, apart, strict=True)]


def paths_from_what_is_shared(sources: Sequence[str], rules: Any = os.path) -> list[str]:
    """Whole paths as seen from the folder that all share, with forward slashes; whole where they share none.

    ``rules`` is ``os.path``, or ``ntpath`` for those of Windows.

    >>> paths_from_what_is_shared(["/in/a/x.jpg", "/in/b/x.jpg"])
    ['a/x.jpg', 'b/x.jpg']
    """
    try:
        shared = rules.commonpath([rules.dirname(source) for source in sources])
    except ValueError:  # on several drives
        return [source.replace(rules.sep, "/") for source in sources]
    return [rules.relpath(source, shared).replace(rules.sep, "/") for source in sources]


class Keys:
    """Hands out output paths that differ by more than case, none of them a folder of another."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._files: set[str] = set()
        self._next: defaultdict[str, int] = defaultdict(lambda: 2)
        self._folders: set[str] = set()
        for key in taken:
            self._take(key)

    def new(self, name: str) -> str:
        """A key for a photo of this name: its stem, or the nearest free thing."""
        stem, suffix = posixpath.splitext(safe_path(name))
        stem, kind = safe_path(stem), suffix[1:].lower()
        if self._free(stem):
            self._take(stem)
            return stem
        flat = stem.replace("/", "_")
        plain = (f"{stem}_{kind}", flat, f"{flat}_{kind}")
        first = self._next[f"{flat}_{kind}".casefold()]  # numbers below were tried for earlier photos
        numbered = ((f"{flat}_{kind}_{number}", number) for number in count(first))
        key, number = next(
            each for each in chain(((each, 0) for each in plain), numbered) if self._free(each[0])
        )
        if number:
            self._next[f"{flat}_{kind}".casefold()] = number + 1
        self._take(key)
        return key

    def _free(self, key: str) -> bool:
        plain = key.casefold()
        if plain in self._files or plain in self._folders:
            return False
        return self._files.isdisjoint(_folders_above(plain))

    def _take(self, key: str) -> None:
        plain = key.casefold()
        self._files.add(plain)
        self._folders.update(_folders_above(plain))


def _folders_above(key: str) -> tuple[str, ...]:
    """The folders of a key: for a/b/c, a and a/b."""
    return _with_those_above(key.rpartition("/")[0])


@lru_cache(maxsize=1024)
def _with_those_above(folder: str) -> tuple[str, ...]:
    return tuple(accumulate(folder.split("/"), "{}/{}".format)) if folder else ()
