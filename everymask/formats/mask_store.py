"""Masks on disk, a JSON line each, read when they are asked for: more of them than memory holds.

The first line says what is known of all: the photo's height and width, where it lies, ... For the programs
of this project; the formats of :mod:`everymask.formats` are for others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from ..errors import FormatError
from ..maskset import Mask
from .amg_rle import mask_of, row_of
from .record import plain_attributes

CHUNK = 1 << 24


def write_store(path: Path, header: Mapping[str, Any], masks: Iterable[Mask]) -> None:
    """Write a store; masks are taken one at a time."""
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(_line(header))
        file.writelines(map(_line, map(_row, masks)))


def read_header(path: Path) -> dict[str, Any]:
    """The first line of a store."""
    with path.open("rb") as file:
        return _value(file.readline(), path)


class StoredMasks(Sequence[Mask]):
    """The masks of a store; each is read anew at every call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = read_header(path)
        height, width = self.header["photo_hw"]
        self.photo_hw: tuple[int, int] = (height, width)
        self._starts = _line_starts(path)[1:]

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Mask]:
        with self.path.open("rb") as file:
            file.readline()
            for line in file:
                yield self._mask(line)

    @overload
    def __getitem__(self, index: int) -> Mask: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mask]: ...
    def __getitem__(self, index: int | slice) -> Mask | Sequence[Mask]:
        with self.path.open("rb") as file:
            if isinstance(index, slice):
                return [self._at(file, start) for start in self._starts[index].tolist()]
            return self._at(file, int(self._starts[index]))

    def _at(self, file: Any, start: int) -> Mask:
        file.seek(start)
        return self._mask(file.readline())

    def _mask(self, line: bytes) -> Mask:
        row = _value(line, self.path)
        mask = mask_of(row, str(self.path), self.photo_hw)
        return mask.replace(label=row["label"], attributes=row.get("attributes"))


def _row(mask: Mask) -> dict[str, Any]:
    """A mask in full; what is no number (a score of NaN) is not kept."""
    row = {name: value for name, value in row_of(mask).items() if value == value}
    return {**row, "label": mask.label, "attributes": plain_attributes(mask)}


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"


def _value(line: bytes, path: Path) -> dict[str, Any]:
    try:
        return json.loads(line.decode("utf-8", errors="replace"))
    except ValueError as error:
        raise FormatError(f"{path} was cut short; delete it, and what it held is made anew") from error


def _line_starts(path: Path) -> np.ndarray:
    """Where each line of a file begins, int64."""
    ends, at = [], 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            ends.append(np.flatnonzero(np.frombuffer(chunk, np.uint8) == 10) + at)
            at += len(chunk)
    after = np.concatenate([np.zeros(1, np.int64), *(each + 1 for each in ends)])
    return after[after < at]
