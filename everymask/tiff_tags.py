"""The tags of a TIFF, read by ourselves: what a file says of itself, whatever can open it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

DESCRIPTION = 270  # ImageDescription
LONGEST = 1 << 24
"""Bytes of a description that are read: OME's XML can be long."""
MOST = 4096
"""Tags that are read; files have some twenty."""


@dataclass(frozen=True)
class _Rows:
    """The first page's entries: tag, type, how many values, and the value or offset that stands there."""

    order: str  # struct's sign of the order of bytes
    width: int  # bits of a value's place
    rows: list[tuple[int, int, int, int]]


def read_tags(file: BinaryIO) -> dict[int, int]:
    """The tags of the first page with the value or offset that stands beside them; empty for no TIFF.

    ``file`` is open for reading at its beginning. BigTIFF is read too.
    """
    page = _read_rows(file)
    if page is None:
        return {}
    # A short value stands at the beginning of its four (or eight) bytes, whatever the order of bytes.
    shift = {1: page.width - 8, 3: page.width - 16, 4: page.width - 32}
    return {
        tag: value >> shift.get(kind, 0) if page.order == ">" and number == 1 else value
        for tag, kind, number, value in page.rows
    }


def read_description(file: BinaryIO) -> str:
    """What a TIFF's first page says of itself in words (ImageDescription); "" where it says nothing."""
    page = _read_rows(file)
    for tag, kind, number, value in page.rows if page else ():
        if tag == DESCRIPTION and kind == 2 and 4 < number < LONGEST:
            try:
                file.seek(value)
                return file.read(number).rstrip(b"\0").decode("utf-8", "replace")
            except (OSError, OverflowError):
                return ""
    return ""


def _read_rows(file: BinaryIO) -> _Rows | None:
    start = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None or len(start) < 16:
        return None
    (version,) = struct.unpack(f"{order}H", start[2:4])
    if version not in (42, 43):
        return None
    big = version == 43
    try:
        (offset,) = struct.unpack(f"{order}{'Q' if big else 'I'}", start[8:16] if big else start[4:8])
        file.seek(offset)
        (count,) = struct.unpack(f"{order}{'Q' if big else 'H'}", file.read(8 if big else 2))
        entry = struct.Struct(f"{order}HH{'QQ' if big else 'II'}")
        rows = [entry.unpack(file.read(entry.size)) for _ in range(min(count, MOST))]
    except (OSError, struct.error, OverflowError):
        return None
    return _Rows(order, 64 if big else 32, rows)
