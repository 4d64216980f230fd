"""Files beside photos that say more of them, and folders of object storage that they are looked for in."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ..errors import EverymaskError, InputError, one_line
from ..side_files import is_side_file, side_files
from .storage import Place, persistently, told

Facts = Mapping[str, tuple[int, str]]
"""Size and stamp of files by their names."""
STAMPS = ("ETag", "etag", "md5Hash", "md5", "last_modified", "LastModified", "mtime", "updated", "created")
"""What object stores call that which changes with a file; the first one that is there counts."""
AT_ONCE = 16
"""Folders that are listed at the same time."""
WEB = ("http://", "https://")
REMEMBERED = 200_000
"""Side files that are remembered before the folders listed first are forgotten, about 300 bytes each."""


@dataclass(frozen=True, slots=True)
class Beside:
    """A file that says more of a photo: its place on a map, which pixels have no data."""

    name: str
    """Without its folder."""
    at: str = ""
    """Where in the photo's own file, as for the photo; "" for a file of its own in the photo's folder."""
    size: int = -1
    stamp: str = ""


def among(photo: str, folder: Facts) -> Iterator[Beside]:
    """The files that say more of a photo, by its name, among those of its folder."""
    for name in side_files(photo):
        if (facts := folder.get(name)) is not None:
            yield Beside(name, "", *facts)


def local_facts(status: os.stat_result) -> tuple[int, str]:
    """Size and stamp of a file on this machine."""
    return status.st_size, f"{status.st_size}-{status.st_mtime_ns}"


def remote_facts(info: Mapping[str, Any]) -> tuple[int, str]:
    """Size and stamp of a file in object storage, as its listing tells.

    >>> remote_facts({"size": 7, "ETag": '"ab"'})
    (7, '7-"ab"')
    """
    size = info.get("size")
    told_by = next((str(info[name]) for name in STAMPS if info.get(name)), "")
    return (-1 if size is None else int(size)), f"{size}-{told_by}"


def side_facts(listed: Sequence[Mapping[str, Any]]) -> Facts:
    """Of the files of a folder in object storage, those that say more of others."""
    named = ((info["name"].rsplit("/", 1)[-1], info) for info in listed if info["type"] != "directory")
    return {name: remote_facts(info) for name, info in named if is_side_file(name)}


class RemoteFolders:
    """What lies beside photos of object storage that were named one by one: each folder is listed once.

    A folder that cannot be listed counts as one without such files; of the first one a warning says so.
    """

    def __init__(self) -> None:
        self._known: dict[str, Facts] = {}
        self._remembered = 0
        self._warned = False

    def list(self, folders: Collection[str]) -> None:
        """List those that are not known yet, several at a time."""
        new = [address for address in dict.fromkeys(folders) if address not in self._known]
        if not new:
            return
        with ThreadPoolExecutor(min(AT_ONCE, len(new))) as pool:
            for address, found in zip(new, pool.map(_listed, new), strict=True):
                self._learn(address, found, keep=folders)

    def of(self, address: str) -> Facts:
        """The side files of a folder that has just been listed."""
        return self._known[address]

    def _learn(self, address: str, found: Facts | EverymaskError, keep: Collection[str]) -> None:
        if isinstance(found, EverymaskError):
            if not self._warned:
                warnings.warn(
                    f"{one_line(found)}; world files, .aux.xml and .msk beside its photos are not looked "
                    "for, nor in other folders like it",
                    UserWarning,
                    stacklevel=2,
                )
            self._warned = True
            found = {}
        self._known[address] = found
        self._remembered += len(found)
        for old in [*self._known]:
            if self._remembered <= REMEMBERED:
                return
            if old not in keep and self._known[old]:
                self._remembered -= len(self._known.pop(old))


def _listed(address: str) -> Facts | EverymaskError:
    """The side files of a folder, or why they are not known."""
    place = Place(address)
    try:
        files = place.files
    except EverymaskError:  # nothing reads such addresses, which each photo's row says
        return {}
    if address.startswith(WEB):
        return InputError(f"{address} is on a web server, which does not say what a folder holds")
    try:
        found = persistently(lambda: _ls(files, address), f"{address} cannot be listed")
    except EverymaskError as error:
        return error
    return side_facts(found)


def _ls(files: Any, address: str) -> Sequence[Mapping[str, Any]]:
    try:
        return files.ls(address, detail=True, refresh=True)
    except FileNotFoundError:  # as each photo's row says
        return ()
    except OSError:
        raise
    except Exception as error:  # file systems raise errors of their own kinds
        raise OSError(told(error)) from error
