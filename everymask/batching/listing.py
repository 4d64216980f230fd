"""From what people name (folders, globs, lists, shards) to a stream of photos, one entry each.

Nothing here holds the whole list: ten million photos pass through one at a time.
"""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from ..errors import InputError
from ..everything.settings import short_hash
from ..media.picture_files import PICTURE_SUFFIXES
from ..side_files import is_side_file, side_files
from .beside import Beside, Facts, RemoteFolders, among, local_facts, remote_facts, side_facts
from .shards import SHARD_SUFFIXES, Member, photos_in_parquet, photos_in_tar
from .storage import Place, told

MAGIC = frozenset("*?[")
LOOKED_FOR_AT_ONCE = 1000
"""Photos of a list whose folders in object storage are listed together."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One photo to be done."""

    name: str
    """What it is called in the rows: relative, with forward slashes; unique within a run."""
    source: str
    """The address of the file that it is in."""
    at: str = ""
    """Where in the file: "" all of it, ``bytes 512 2048``, ``row 0 17 image``."""
    size: int = -1
    """Bytes to be read; -1 where the listing does not say."""
    stamp: str = ""
    """What changes when the photo is changed; "" where the listing does not say."""
    beside: tuple[Beside, ...] = ()
    alone: bool = False
    """Whether it was named without its folder, in which the files beside it have still to be looked for."""

    @property
    def folder(self) -> str:
        """The address of what its file is in."""
        return self.source.rpartition("/")[0]

    def with_beside(self, files: Iterable[Beside]) -> Entry:
        """It with the files beside it, which its stamp then says too."""
        found = tuple(files)
        if not found:
            return replace(self, alone=False) if self.alone else self
        stamps = short_hash({each.name: each.stamp for each in found})
        return replace(self, beside=found, stamp=f"{self.stamp}-{stamps}", alone=False)


@dataclass(frozen=True)
class Search:
    """How inputs are searched."""

    recursive: bool = False
    column: str | None = None
    """Of Parquet files: the column with the pictures or their addresses."""
    skip: tuple[str, ...] = ()
    """Folders (addresses) not to look into."""
    suffixes: frozenset[str] = frozenset(PICTURE_SUFFIXES)
    """Of the files that are meant in folders and tar shards."""
    side_files: bool = True
    """Whether photos in object storage that are named one by one need the files beside them: their folders
    are listed for that."""


def find_entries(
    inputs: Sequence[str], listed: Iterable[str] = (), search: Search = Search()
) -> Iterator[Entry]:
    """The photos meant by ``inputs``, in order: folders, globs, photos, ``.tar`` and ``.parquet`` shards,
    ``.txt`` files with an address a line, and ``-`` for the addresses in ``listed``.

    Raises :class:`InputError` for a word that means nothing. A photo that two words mean comes twice.
    """
    entries = _meant(inputs, listed, search)
    return _with_files_beside(entries) if search.side_files else entries


def _meant(inputs: Sequence[str], listed: Iterable[str], search: Search) -> Iterator[Entry]:
    prefixes = _prefixes(inputs)
    for word, prefix in zip(inputs, prefixes, strict=True):
        if word == "-":
            yield from _of_lines(listed, search)
        else:
            yield from _of_word(word, prefix, search)


def _prefixes(inputs: Sequence[str]) -> list[str]:
    """What names begin with, so that photos of two inputs do not share one: nothing for a single input."""
    if len(inputs) < 2:
        return [""] * len(inputs)
    lasts = [word.rstrip("/").rsplit("/", 1)[-1] for word in inputs]
    if len(set(lasts)) == len(lasts):
        return [f"{last}/" for last in lasts]
    return [f"{plain_name(word)}/" for word in inputs]


def plain_name(address: str) -> str:
    """An address as the name of a photo.

    >>> plain_name("s3://bucket/a.jpg"), plain_name("/data/a.jpg"), plain_name("../a.jpg")
    ('bucket/a.jpg', 'data/a.jpg', 'a.jpg')
    """
    _, _, rest = address.rpartition("://")
    parts = rest.replace("\\", "/").split("/")
    return printable("/".join(part for part in parts if part not in ("", ".", "..")))


def printable(name: str) -> str:
    """A file name as text that every format can hold: bytes that are no UTF-8 as ``%E9``."""
    return "".join(f"%{ord(char) - 0xDC00:02X}" if "\udc80" <= char <= "\udcff" else char for char in name)


def _of_word(word: str, prefix: str, search: Search) -> Iterator[Entry]:
    place = Place.of(word)
    if place.is_local and place.path.is_dir():
        yield from _of_local_folder(place, prefix, search)
    elif place.is_local and place.path.exists():
        yield from _of_file(place, prefix or None, local_facts(os.stat(place.path)), search)
    elif MAGIC & set(place.name) or MAGIC & set(word):
        yield from _of_glob(word, place, prefix, search)
    elif place.is_local:
        raise InputError(
            f"{word!r} is neither a file nor a folder; give photos, folders, globs, shards or lists"
        )
    else:
        yield from _of_remote(place, prefix, search)


def _of_file(place: Place, prefix: str | None, facts: tuple[int, str], search: Search) -> Iterator[Entry]:
    """The photos of one file that was named: a photo, a shard or a list. ``prefix`` None: the file's own name
    is name enough."""
    if place.name.endswith(".txt"):
        text = place.read().decode("utf-8", errors="surrogateescape")
        yield from _of_lines(text.splitlines(), search)
        return
    name = (prefix or "") + printable(place.name) if prefix is None else prefix.rstrip("/")
    yield from _photos_of(place, name, facts, search)


def _photos_of(
    place: Place, name: str, facts: tuple[int, str], search: Search, folder: Facts | None = None
) -> Iterator[Entry]:
    """The entries of one file called ``name``: itself, or those of a shard.

    ``folder`` are the files that it lies among; None: they are looked for one by one on this machine, and
    later in object storage.
    """
    size, stamp = facts
    suffix = os.path.splitext(place.name)[1].lower()
    if suffix == ".tar":
        for member in photos_in_tar(place, search.suffixes):
            one = Entry(f"{name}/{printable(member.name)}", place.address, *_in_tar(member, stamp))
            yield one.with_beside(
                Beside(each.name.rsplit("/", 1)[-1], *_in_tar(each, stamp)) for each in member.beside
            )
    elif suffix == ".parquet":
        for row in photos_in_parquet(place, search.column):
            if row.address:
                yield from _of_lines([row.address], search)
            else:
                yield Entry(f"{name}/{row.number}", place.address, row.at, row.size, f"{stamp}-{row.at}")
    else:
        entry = Entry(name, place.address, "", size, stamp)
        if folder is not None:
            yield entry.with_beside(among(place.name, folder))
        elif place.is_local:
            yield entry.with_beside(_beside_here(place.path))
        else:
            yield replace(entry, alone=True)


def _in_tar(member: Member, stamp: str) -> tuple[str, int, str]:
    """Where a file of a shard is, its size and its stamp."""
    return f"bytes {member.start} {member.size}", member.size, f"{stamp}-{member.start}-{member.size}"


def _with_files_beside(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The same photos, those that were named alone with the files beside them."""
    entries, folders = iter(entries), RemoteFolders()
    while chunk := list(islice(entries, LOOKED_FOR_AT_ONCE)):
        folders.list([each.folder for each in chunk if each.alone])
        for each in chunk:
            name = each.source.rpartition("/")[2]
            yield each.with_beside(among(name, folders.of(each.folder))) if each.alone else each


def _beside_here(photo: Path) -> Iterator[Beside]:
    """The files that say more of a photo on this machine."""
    for name in side_files(photo.name):
        with contextlib.suppress(OSError):
            yield Beside(name, "", *local_facts(os.stat(photo.with_name(name))))


def _of_lines(lines: Iterable[str], search: Search) -> Iterator[Entry]:
    """One entry a line; a photo is asked for its stamp where that costs nothing, on this machine."""
    for line in lines:
        if not (word := line.strip("\r\n")).strip():
            continue
        place = Place.of(word)
        facts = (-1, "")
        if place.is_local:
            with contextlib.suppress(OSError):  # reading it says what is wrong, in its row
                facts = local_facts(os.stat(place.path))
            if place.path.is_dir():
                yield from _of_local_folder(place, f"{plain_name(word)}/", search)
                continue
        yield from _photos_of(place, plain_name(word), facts, search)


def _of_local_folder(
    folder: Place, prefix: str, search: Search, above: tuple[str, ...] = ()
) -> Iterator[Entry]:
    """The photos of a folder by name; a link that leads back to a folder above is not followed."""
    above = (*above, os.path.realpath(folder.address))
    found = sorted(os.scandir(folder.address), key=lambda each: each.name)
    sides = {
        each.name: local_facts(each.stat()) for each in found if is_side_file(each.name) and each.is_file()
    }
    for entry in found:
        place = Place(entry.path)
        if entry.name.startswith(".") or place.address in search.skip:
            continue
        suffix = os.path.splitext(entry.name)[1].lower()
        if entry.is_dir():
            if search.recursive and os.path.realpath(entry.path) not in above:
                yield from _of_local_folder(place, f"{prefix}{printable(entry.name)}/", search, above)
        elif suffix in search.suffixes or suffix == ".tar":
            try:
                facts = local_facts(entry.stat())
            except OSError:  # a link to nowhere: reading it says so, in its row
                facts = (-1, "")
            yield from _photos_of(place, prefix + printable(entry.name), facts, search, sides)


def _of_glob(word: str, place: Place, prefix: str, search: Search) -> Iterator[Entry]:
    root = place.address[: min(place.address.find(char) for char in MAGIC if char in place.address)]
    base = root.rpartition("/")[0]
    if place.is_local:
        found = [(each, None) for each in sorted(glob.glob(place.address, recursive=True))]
    else:
        found = sorted(place.files.glob(place.address, detail=True).items(), key=lambda each: each[0])
    nothing, folder, sides = True, "", None
    for address, info in found:
        match = Place.of(address) if info is None else _remote(place, address)
        if match.path.is_dir() if info is None else info["type"] == "directory":
            continue
        facts = local_facts(os.stat(match.path)) if info is None else remote_facts(info)
        nothing = False
        if info is not None and (of_match := match.address.rpartition("/")[0]) != folder:
            folder = of_match
            sides = side_facts(place.files.ls(folder, detail=True))
        yield from _photos_of(match, prefix + printable(match.address[len(base) + 1 :]), facts, search, sides)
    if nothing:
        raise InputError(f"{word!r} matches nothing; give photos, folders, globs, shards or lists")


def _remote(place: Place, address: str) -> Place:
    """The place of what a remote file system calls ``address``, without its protocol."""
    return Place(
        address if "://" in address else f"{place.address.partition('://')[0]}://{address.lstrip('/')}"
    )


def _of_remote(place: Place, prefix: str, search: Search) -> Iterator[Entry]:
    """A file or a folder in object storage."""
    try:
        if place.name.lower().endswith((*search.suffixes, *SHARD_SUFFIXES, ".txt")):
            info = place.files.info(place.address)
            if info["type"] != "directory":
                yield from _of_file(place, prefix or None, remote_facts(info), search)
                return
        yield from _of_remote_folder(place, prefix, search)
    except FileNotFoundError:
        raise InputError(f"there is nothing at {place}") from None
    except OSError as error:
        raise InputError(f"{place} cannot be listed: {told(error)}") from error


def _of_remote_folder(folder: Place, prefix: str, search: Search) -> Iterator[Entry]:
    found = folder.files.ls(folder.address, detail=True, refresh=True)
    sides = side_facts(found)
    for info in sorted(found, key=lambda each: each["name"]):
        place = _remote(folder, info["name"].rstrip("/"))
        name = place.name
        if name.startswith(".") or place.address in search.skip or place == folder:
            continue
        if info["type"] == "directory":
            if search.recursive:
                yield from _of_remote_folder(place, f"{prefix}{name}/", search)
        elif fnmatch.fnmatch(name.lower(), "*.tar") or os.path.splitext(name)[1].lower() in search.suffixes:
            yield from _photos_of(place, prefix + name, remote_facts(info), search, sides)
