"""Names of files made after photos, that every system can have, none twice."""

from __future__ import annotations

from itertools import count
from pathlib import PurePosixPath

FORBIDDEN = frozenset(':*?"<>|') | {chr(number) for number in range(32)}
"""Characters that Windows has in no file name."""
_PLAIN = str.maketrans({**dict.fromkeys(FORBIDDEN, "_"), "\\": "/"})
PORTS = {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}
RESERVED = PORTS | {"con", "prn", "aux", "nul"}
"""Devices there, whatever follows after a dot."""
_DEVICES = {name[:3] for name in RESERVED}


def safe_path(name: str) -> str:
    """A relative path, with forward slashes, that stays where it is put and that every system can have.

    >>> safe_path("../a/b:c.jpg"), safe_path("/data/?d=x.jpg"), safe_path("c:/in/con.jpg"), safe_path("a. /b")
    ('a/b_c.jpg', 'data/_d=x.jpg', 'c_/in/con_.jpg', 'a_/b')
    """
    parts = name.translate(_PLAIN).split("/")
    return "/".join([_safe(part) for part in parts if part not in ("", ".", "..")]) or "photo"


def _safe(part: str) -> str:
    """One step of a path. Windows drops dots and spaces at an end, so that two names could be one."""
    if part[:3].casefold() in _DEVICES:
        stem, dot, rest = part.partition(".")
        if stem.rstrip(" ").casefold() in RESERVED:
            part = f"{stem}_{dot}{rest}"
    kept = part.rstrip(". ")
    return part if kept == part else f"{kept}_"


class FolderNames:
    """Hands out relative paths; the same stem (``a.jpg``, ``a.png``) gets a number.

    >>> names = FolderNames()
    >>> names.new("in/a.jpg", ".png"), names.new("in/A.png", ".png"), names.new("../b", ".png")
    ('in/a.png', 'in/A_2.png', 'b.png')
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, photo: str, suffix: str) -> str:
        """The path of the file for a photo, with forward slashes."""
        stem = safe_path(PurePosixPath(safe_path(photo)).with_suffix("").as_posix())
        tries = (stem if number == 1 else f"{stem}_{number}" for number in count(1))
        name = next(each for each in tries if each.casefold() not in self._taken)
        self._taken.add(name.casefold())
        return f"{name}{suffix}"
