"""Every candidate of a run with its logits, in bounded memory: what findings are made of.

Letters used in shapes: K candidates, h x w mask logits, k x l the part of them that is kept.
"""

from __future__ import annotations

import tempfile
import weakref
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import IO

import numpy as np
import torch
from torch import Tensor

from everymask.masks.cells import Patch

BYTES_KEPT = 1 << 28
"""Logits that are held in memory; from there on they go into a temporary file."""

BLOCK = 1 << 21
"""Values that are held together: reading some of many candidates takes a step for each block."""


class LogitStore:
    """Float32 values one after the other, in memory up to a limit and in a temporary file beyond it.

    The file has no name and is gone with the store.
    """

    def __init__(self, bytes_kept: int = BYTES_KEPT) -> None:
        self._limit = bytes_kept
        self._starts: list[int] = []
        self._parts: list[np.ndarray] = []  # memory-mapped ones first
        self._mapped = 0  # how many of them are
        self._length = 0
        self._file: IO[bytes] | None = None

    @classmethod
    def of(cls, values: np.ndarray, bytes_kept: int = BYTES_KEPT) -> LogitStore:
        """A store that begins with ``values`` float32 [n], memory-mapped from a file."""
        store = cls(bytes_kept)
        if len(values):
            store._starts, store._parts, store._mapped = [0], [values], 1
            store._length = len(values)
        return store

    def __len__(self) -> int:
        return self._length

    @property
    def bytes_in_memory(self) -> int:
        """Memory that is held; what lies in files does not count."""
        return 4 * (self._length - self._starts[self._mapped]) if self._mapped < len(self._parts) else 0

    def add(self, values: np.ndarray) -> int:
        """Where ``values`` float32 [n] begin among all."""
        start = self._length
        if len(values):
            self._block(len(values))[: len(values)] = values
            self._length += len(values)
            if self.bytes_in_memory > self._limit:
                self._spill()
        return start

    def _block(self, count: int) -> np.ndarray:
        """Room for ``count`` values in a row."""
        if self._mapped < len(self._parts):
            used = self._length - self._starts[-1]
            if used + count <= len(self._parts[-1]):
                return self._parts[-1][used:]
            self._parts[-1] = self._parts[-1][:used]
        self._starts.append(self._length)
        self._parts.append(np.empty(max(BLOCK, count), np.float32))
        return self._parts[-1]

    def read(self, start: int, count: int) -> np.ndarray:
        """``count`` values that were added together, a view."""
        if count == 0:
            return np.zeros(0, np.float32)
        part = bisect_right(self._starts, start) - 1
        begin = start - self._starts[part]
        return self._parts[part][begin : begin + count]

    def take(self, start: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """The values at ``offsets`` int64 [m, k] behind each of m starts, float32 [m, k]."""
        if len(self._parts) == 1:
            return self._parts[0].take(start[:, None] + offsets)
        found = np.zeros(offsets.shape, np.float32)
        parts = np.searchsorted(self._starts, start, "right") - 1
        for part in np.unique(parts).tolist() if offsets.size else ():
            which = np.flatnonzero(parts == part)
            begin = (start[which] - self._starts[part])[:, None]
            found[which] = self._parts[part].take(begin + offsets[which])
        return found

    def parts(self) -> Iterator[np.ndarray]:
        """All values, part by part."""
        for start, part in zip(self._starts, self._parts, strict=True):
            yield part[: self._length - start]

    def _spill(self) -> None:
        """What is in memory goes to the end of the file and is mapped from there, as one part."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="everymask")  # noqa: SIM115
            weakref.finalize(self, self._file.close)
        waiting = list(self.parts())[self._mapped :]
        offset = self._file.seek(0, 2)
        for part in waiting:
            self._file.write(np.ascontiguousarray(part).data)
        self._file.flush()
        count = sum(len(part) for part in waiting)
        joined = np.memmap(self._file, np.float32, "r", offset, (count,))
        start = self._starts[self._mapped]
        self._starts[self._mapped :] = [start]
        self._parts[self._mapped :] = [joined]
        self._mapped += 1


@dataclass(frozen=True)
class Columns:
    """What is known of K candidates besides their logits, in the order in which they were found."""

    crop: np.ndarray  # int64 [K] number of the crop
    point_xy: np.ndarray  # [K, 2] photo pixels, in the type the family computes points in
    iou: np.ndarray  # float32 [K] predicted
    start: np.ndarray  # int64 [K] of the logits in the store
    yxhw: np.ndarray  # int64 [K, 4] which part of all logits is kept
    tolerance: np.ndarray  # float32 [K] of pixels interpolated from them
    row_peaks: np.ndarray  # float32 [K, h] the largest logit of each row
    column_peaks: np.ndarray  # float32 [K, w]
    row_floors: np.ndarray  # float32 [K, h - 1] what all four logits of the best square of two rows reach
    column_floors: np.ndarray  # float32 [K, w - 1]

    @classmethod
    def empty(cls) -> Columns:
        """Of no candidates."""
        whole, real = np.zeros(0, np.int64), np.zeros(0, np.float32)
        return cls(
            crop=whole,
            point_xy=np.zeros((0, 2)),
            iou=real,
            start=whole,
            yxhw=np.zeros((0, 4), np.int64),
            tolerance=real,
            row_peaks=np.zeros((0, 0), np.float32),
            column_peaks=np.zeros((0, 0), np.float32),
            row_floors=np.zeros((0, 0), np.float32),
            column_floors=np.zeros((0, 0), np.float32),
        )

    @classmethod
    def joined(cls, parts: Sequence[Columns]) -> Columns:
        """All of these, one after the other."""
        parts = [part for part in parts if len(part.iou)]
        if not parts:
            return cls.empty()
        names = [each.name for each in fields(cls)]
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def floors_of(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the best square of four logits reaches with all four, of each two rows [h - 1], columns [w - 1].

    >>> floors_of(np.array([[1.0, 5.0, 6.0], [2.0, 4.0, 7.0]]))
    (array([4.]), array([1., 4.]))
    """
    least = np.minimum(logits[:-1], logits[1:])
    least = np.minimum(least[:, :-1], least[:, 1:])
    return least.max(axis=1), least.max(axis=0)


@dataclass
class CandidatePool:
    """Candidates that are added tile by tile; their logits [h, w] are given back whole.

    Of a candidate's logits the rectangle around those above ``lowest`` is kept. What lies outside comes
    back as ``outside``, which is lower: whoever asks about a threshold of ``lowest`` or more cannot tell.
    """

    logits_hw: tuple[int, int]
    lowest: float
    store: LogitStore = field(default_factory=LogitStore)
    _parts: list[Columns] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.columns.iou)

    @property
    def columns(self) -> Columns:
        """Of all candidates."""
        return self._parts[0] if self._parts else Columns.empty()

    @property
    def outside(self) -> float:
        """What stands for logits that were not kept."""
        return self.lowest - 1.0 if np.isfinite(self.lowest) else 0.0

    def stored(self, crop: int, point_xy: np.ndarray, iou: np.ndarray, patches: Sequence[Patch]) -> Columns:
        """k candidates of a crop whose logits are put into the store, for :meth:`take`.

        ``point_xy`` [k, 2] in photo pixels, ``iou`` [k].
        """
        values = [patch.values.cpu().numpy() for patch in patches]
        sizes = np.array([value.size for value in values], np.int64)
        flat = np.concatenate([value.reshape(-1) for value in values]) if values else np.zeros(0, np.float32)
        start = self.store.add(flat) + np.cumsum(sizes) - sizes
        yxhw = [(p.y, p.x, *v.shape) for p, v in zip(patches, values, strict=True)]
        height, width = self.logits_hw
        rows = np.full((len(values), height), self.outside, np.float32)
        columns = np.full((len(values), width), self.outside, np.float32)
        row_floors, column_floors = rows[:, 1:].copy(), columns[:, 1:].copy()
        for number, (patch, value) in enumerate(zip(patches, values, strict=True)):
            tall, wide = value.shape
            if value.size:
                rows[number, patch.y : patch.y + tall] = value.max(axis=1)
                columns[number, patch.x : patch.x + wide] = value.max(axis=0)
            if min(tall, wide) > 1:
                by_row, by_column = floors_of(value)
                row_floors[number, patch.y : patch.y + tall - 1] = by_row
                column_floors[number, patch.x : patch.x + wide - 1] = by_column
        return Columns(
            crop=np.full(len(values), crop, np.int64),
            point_xy=point_xy,
            iou=iou.astype(np.float32),
            start=start,
            yxhw=np.array(yxhw, np.int64).reshape(-1, 4),
            tolerance=np.array([patch.tolerance for patch in patches], np.float32),
            row_peaks=rows,
            column_peaks=columns,
            row_floors=row_floors,
            column_floors=column_floors,
        )

    def take(self, more: Sequence[Columns]) -> None:
        """Candidates that :meth:`stored` gave, after those that are there."""
        self._parts = [Columns.joined([*self._parts, *more])]

    def find_floors(self) -> None:
        """Make the floors of all candidates of their logits, where a file did not have them."""
        height, width = self.logits_hw
        rows = np.full((len(self), height - 1), self.outside, np.float32)
        columns = np.full((len(self), width - 1), self.outside, np.float32)
        for number in range(len(self)):
            rows[number], columns[number] = floors_of(self.logits(np.array([number]))[0].numpy())
        self._parts = [replace(self.columns, row_floors=rows, column_floors=columns)]

    def logits(self, numbers: np.ndarray) -> Tensor:
        """Of the candidates with these numbers [m], float32 [m, h, w]."""
        columns = self.columns
        whole = np.full((len(numbers), *self.logits_hw), self.outside, np.float32)
        for one, number in zip(whole, numbers.tolist(), strict=True):
            y, x, height, width = columns.yxhw[number].tolist()
            values = self.store.read(int(columns.start[number]), height * width)
            one[y : y + height, x : x + width] = values.reshape(height, width)
        return torch.from_numpy(whole)

    def value_at(self, numbers: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The logits of candidates [m] at one place each, float32 [m]."""
        columns = self.columns
        top, left, height, width = columns.yxhw[numbers].T
        inside = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
        found = np.full(len(numbers), self.outside, np.float32)
        offsets = ((y - top) * width + x - left)[inside]
        found[inside] = self.store.take(columns.start[numbers[inside]], offsets[:, None])[:, 0]
        return found

    def lines(self, numbers: np.ndarray, places: np.ndarray, rows: bool) -> np.ndarray:
        """One row of the logits of each candidate [m], float32 [m, w]; or one column, [m, h]."""
        columns = self.columns
        top, left, height, width = columns.yxhw[numbers].T
        first, length, begin, size = (top, height, left, width) if rows else (left, width, top, height)
        along = np.arange(self.logits_hw[1] if rows else self.logits_hw[0])[None]
        inside = (along >= begin[:, None]) & (along < (begin + size)[:, None])
        inside &= ((places >= first) & (places < first + length))[:, None]
        offsets = (
            ((places - top) * width - left)[:, None] + along
            if rows
            else (along - top[:, None]) * width[:, None] + (places - left)[:, None]
        )
        offsets[~inside] = 0
        some = (height * width) > 0
        found = np.full(offsets.shape, self.outside, np.float32)
        found[some] = self.store.take(columns.start[numbers[some]], offsets[some])
        found[~inside] = self.outside
        return found
