"""Small files beside a picture that say more of it: where it lies on a map, which pixels have no data."""

from __future__ import annotations

import os
from pathlib import Path

MOST = 1 << 20
"""Bytes of a description that are looked at."""


def world_files(name: str) -> list[str]:
    """What the six numbers that place a picture may be called.

    >>> world_files("a.jpg")
    ['a.jgw', 'a.jpgw', 'a.wld', 'a.JGW', 'a.JPGW', 'a.WLD']
    """
    stem, suffix = os.path.splitext(name)
    kind = suffix[1:].lower()
    if not 3 <= len(kind) <= 4:
        return []
    ends = [f"{kind[0]}{kind[-1]}w", f"{kind}w", "wld"]
    return [f"{stem}.{end}" for end in (*ends, *(each.upper() for each in ends))]


def side_files(name: str) -> list[str]:
    """All names that count beside a picture: world files, GDAL's description, a mask of its data."""
    return [*world_files(name), f"{name}.aux.xml", f"{name}.msk"]


def is_side_file(name: str) -> bool:
    """Whether a file may say more of a picture, by its name."""
    lower = name.lower()
    return lower.endswith((".aux.xml", ".msk", ".wld")) or (
        lower.endswith("w") and len(lower.rpartition(".")[2]) in (3, 4, 5)
    )


def described(path: Path) -> bytes:
    """GDAL's description beside a picture (``photo.png.aux.xml``); b"" where there is none."""
    try:
        with path.with_name(f"{path.name}.aux.xml").open("rb") as file:
            return file.read(MOST)
    except OSError:
        return b""
