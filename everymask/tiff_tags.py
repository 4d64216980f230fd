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
PAGES = 64
"""Pages whose kind is looked at: a mask stands right after its picture, or after its overviews."""
_SUBFILE, _PHOTOMETRIC, _MASK_BIT, _MASK = 254, 262, 4, 4


@dataclass(frozen=True)
class _Rows:
    """The first page's entries: tag, type, how many values, and the value or offset that stands there."""

    order: str  # struct's sign of the order of bytes
    width: int  # bits of a value's place
    rows: list[tuple[int, int, int, int]]
    next_page: int
    """Where the next page's entries stand; 0: there is none."""

    @property
    def tags(self) -> dict[int, int]:
        """The value or offset beside each tag."""
        # A short value stands at the beginning of its four (or eight) bytes, whatever the order of bytes.
        shift = {1: self.width - 8, 3: self.width - 16, 4: self.width - 32}
        return {
            tag: value >> shift.get(kind, 0) if self.order == ">" and number == 1 else value
            for tag, kind, number, value in self.rows
        }


def read_tags(file: BinaryIO, page: int = 0) -> dict[int, int]:
    """The tags of a page, from 0, with the value or offset that stands beside them; empty for no TIFF.

    ``file`` is open for reading at its beginning. BigTIFF is read too.
    """
    found = _read_rows(file)
    for _ in range(page):
        found = _read_rows(file, found.next_page) if found is not None and found.next_page else None
    return {} if found is None else found.tags


def has_mask_page(file: BinaryIO) -> bool:
    """Whether a TIFF keeps a mask of where it has data as a page of its own, as cloud-optimised ones do."""
    page, seen = _read_rows(file), 0
    while page is not None and seen < PAGES:
        tags = page.tags
        if tags.get(_SUBFILE, 0) & _MASK_BIT or tags.get(_PHOTOMETRIC) == _MASK:
            return True
        if not page.next_page:
            break
        page, seen = _read_rows(file, page.next_page), seen + 1
    return False


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


def _read_rows(file: BinaryIO, offset: int | None = None) -> _Rows | None:
    """The entries of the page at ``offset``, by default of the first one; None for what is no TIFF."""
    file.seek(0)
    start = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None or len(start) < 16:
        return None
    (version,) = struct.unpack(f"{order}H", start[2:4])
    if version not in (42, 43):
        return None
    big = version == 43
    place, count = (
        struct.Struct(f"{order}{'Q' if big else 'I'}"),
        struct.Struct(f"{order}{'Q' if big else 'H'}"),
    )
    entry = struct.Struct(f"{order}HH{'QQ' if big else 'II'}")
    try:
        file.seek(place.unpack(start[8:16] if big else start[4:8])[0] if offset is None else offset)
        (number,) = count.unpack(file.read(count.size))
        rows = [entry.unpack(file.read(entry.size)) for _ in range(min(number, MOST))]
        after = file.read(place.size)
    except (OSError, struct.error, OverflowError):
        return None
    next_page = place.unpack(after)[0] if number <= MOST and len(after) == place.size else 0
    return _Rows(order, 64 if big else 32, rows, next_page)
