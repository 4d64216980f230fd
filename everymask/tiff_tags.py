"""The tags of a TIFF, read by ourselves: what a file says of itself, whatever can open it."""

from __future__ import annotations

import struct
from typing import BinaryIO

MOST = 4096
"""Tags that are read; files have some twenty."""


def read_tags(file: BinaryIO) -> dict[int, int]:
    """The tags of the first page with the value or offset that stands beside them; empty for no TIFF.

    ``file`` is open for reading at its beginning. BigTIFF is read too.
    """
    start = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None or len(start) < 16:
        return {}
    (version,) = struct.unpack(f"{order}H", start[2:4])
    if version not in (42, 43):
        return {}
    big = version == 43
    try:
        (offset,) = struct.unpack(f"{order}{'Q' if big else 'I'}", start[8:16] if big else start[4:8])
        file.seek(offset)
        (count,) = struct.unpack(f"{order}{'Q' if big else 'H'}", file.read(8 if big else 2))
        entry = struct.Struct(f"{order}HH{'QQ' if big else 'II'}")
        rows = [entry.unpack(file.read(entry.size)) for _ in range(min(count, MOST))]
    except (OSError, struct.error, OverflowError):
        return {}
    # A short value stands at the beginning of its four (or eight) bytes, whatever the order of bytes.
    width = 64 if big else 32
    shift = {1: width - 8, 3: width - 16, 4: width - 32}
    return {
        tag: value >> shift.get(kind, 0) if order == ">" and number == 1 else value
        for tag, kind, number, value in rows
    }
