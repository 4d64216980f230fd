"""One model at work: the bytes of a part's photos become its rows."""

from __future__ import annotations

import hashlib
import io
import math
import os
import socket
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import EverymaskError, require
from ..everything.settings import short_hash
from ..formats.photo_rows import PhotoRow, table_bytes
from .air import MOST_LOST, Flight
from .listing import Entry
from .own_process import ProcessDied, in_own_process
from .plan import Unit
from .reading import Fetched, fetch
from .storage import TRIES, Place, told
from .work import Maker, Photos, Work

AHEAD = 2
"""Photos decoded beside the model, for each thread that decodes."""


@dataclass(frozen=True)
class Made:
    """A part's rows, and what to tell of them."""

    unit: str
    content: bytes
    """The Parquet file."""
    photos: int
    masks: int
    failed: tuple[tuple[str, str], ...]
    """Names and reasons."""
    slowest: tuple[str, float]
    """The photo that took longest, and its seconds."""
    seconds: float
    worker: str


@dataclass(frozen=True)
class _Decoded:
    read: Any
    key: str
    seconds: float
    path: Path
    """Its file, there as long as the work needs it."""


@dataclass
class Worker:
    """Makes parts, one after the other, with a loaded model."""

    segmenter: Maker
    air: Place | None = None
    """Where to note what was begun; None: nowhere."""
    reading: Mapping[str, Any] = field(default_factory=dict)
    """How photos are read: ``range``, ``page``, ``bands`` of ``read_pixels``."""
    threads: int = 1
    """That decode photos beside the model."""
    opening: Callable[[], Maker] | None = None
    """Makes the segmenter in another process, for photos that may kill theirs (to be pickled); None: such a
    photo is done here."""
    work: Work = Photos()  # noqa: RUF009 (frozen, without fields)
    """What is done with them."""
    name: str = field(default_factory=lambda: f"{socket.gethostname()}/{os.getpid()}")

    def make(self, unit: Unit, fetched: Sequence[Fetched], kept: bytes | None = None) -> Made:
        """The rows of a part from its photos' bytes. ``kept`` is an earlier file of the part whose good rows
        stay. A photo that fails is a row with its reason; nothing that a photo does is raised."""
        begun = time.monotonic()
        flight = None if self.air is None else Flight(self.air / unit.name)
        if flight is not None:
            flight.begin()
        rows, earlier = [], self._good_rows(kept)
        there = set() if earlier is None else set(earlier.column("ticket").to_pylist())
        todo = [index for index in range(len(unit.entries)) if unit.tickets[index] not in there]
        with tempfile.TemporaryDirectory(prefix="everymask-") as scratch:
            careful = flight is not None and flight.careful  # then one photo at a time, decoding included
            ahead = 0 if careful else AHEAD * self.threads
            for index, waiting in self._decoded(unit, fetched, todo, Path(scratch), ahead):
                rows.append(self._row(unit, index, fetched[index], waiting, flight, Path(scratch)))
        table = self.work.table(rows)
        if earlier is not None:
            table = require("pyarrow", "batch", "a batch").concat_tables([earlier, table])
        made = Made(
            unit.name,
            table_bytes(table),
            len(rows),
            sum(self.work.count(row.masks) for row in rows if row.masks is not None),
            tuple((row.photo, row.error) for row in rows if row.error),
            max(((row.photo, row.seconds) for row in rows), key=lambda each: each[1], default=("", 0.0)),
            time.monotonic() - begun,
            self.name,
        )
        if flight is not None:
            flight.end()
        return made

    def _decoded(
        self, unit: Unit, fetched: Sequence[Fetched], todo: Sequence[int], scratch: Path, ahead: int
    ) -> Iterator[tuple[int, Callable[[], _Decoded]]]:
        """Each photo with what waits for its pixels, some decoded ahead of the model."""

        def job(index: int) -> _Decoded:
            return self._decode(unit.entries[index], fetched[index], scratch / str(index))

        if not ahead:
            yield from ((index, partial(job, index)) for index in todo)
            return
        waiting: deque[tuple[int, Callable[[], _Decoded]]] = deque()
        pool = ThreadPoolExecutor(self.threads)
        try:
            for index in todo:
                waiting.append((index, pool.submit(job, index).result))
                if len(waiting) > ahead:
                    yield waiting.popleft()
            yield from waiting
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _decode(self, entry: Entry, fetched: Fetched, scratch: Path) -> _Decoded:
        """What is read of a photo. Raises as its reader does, OSError for one that did not come."""
        begun = time.monotonic()
        if fetched.error:
            raise OSError(fetched.error)
        if fetched.content is None:
            (fetched,) = fetch([entry], largest=math.inf)
        content = fetched.content
        if content is None:
            raise OSError(fetched.error)
        scratch.mkdir(exist_ok=True)
        stem, suffix = os.path.splitext(entry.name.rsplit("/", 1)[-1])
        path = scratch / f"photo{suffix.lower()}"  # decoders go by it, as they do for segment
        path.write_bytes(content)
        for name, said in fetched.beside:
            (scratch / f"photo{name[len(stem) :].lower()}").write_bytes(said)
        try:
            read = self.work.read(path, self.reading)
        except EverymaskError as error:
            raise type(error)(_named(error, path, entry)) from error
        finally:
            if not self.work.keeps_file:
                path.unlink()
        hashed = hashlib.sha256(content)
        for _, said in fetched.beside:
            hashed.update(said)
        digest = hashed.hexdigest()
        return _Decoded(read, f"{digest[:32]}-{self._params_hash}", time.monotonic() - begun, path)

    @property
    def _params_hash(self) -> str:
        return short_hash(self.segmenter.settings)

    def _row(
        self,
        unit: Unit,
        index: int,
        fetched: Fetched,
        decoded_ahead: Callable[[], _Decoded],
        flight: Flight | None,
        scratch: Path,
    ) -> PhotoRow:
        """The row of one photo, noted in the air while it is made; a suspected one from its own process."""
        if flight is None or not flight.careful:
            return self._made_row(unit, index, fetched, decoded_ahead, scratch)
        if (lost := flight.lost(index)) >= MOST_LOST:
            return _failed(self._empty_row(unit, index), f"{lost} workers were lost while it was tried", lost)
        flight.at(index)
        if lost and self.opening is not None:
            row = self._suspected_row(unit, index, fetched)
        else:
            row = self._made_row(unit, index, fetched, decoded_ahead, scratch)
        flight.over()
        return row

    def _empty_row(self, unit: Unit, index: int) -> PhotoRow:
        entry = unit.entries[index]
        return PhotoRow(unit.tickets[index], entry.name, entry.source, worker=self.name)

    def _suspected_row(self, unit: Unit, index: int, fetched: Fetched) -> PhotoRow:
        """The row from a fresh process that does this photo alone, tried three times."""
        assert self.opening is not None
        alone = Unit(unit.name, (unit.entries[index],), (unit.tickets[index],))
        died = ""
        for _ in range(TRIES):
            try:
                return in_own_process(
                    _row_alone, self.opening, dict(self.reading), self.name, alone, fetched, self.work
                )
            except ProcessDied as error:
                died = str(error)
        reason = f"{TRIES} processes that did nothing else died with it ({died})"
        return _failed(self._empty_row(unit, index), reason, TRIES)

    def _made_row(
        self, unit: Unit, index: int, fetched: Fetched, decoded_ahead: Callable[[], _Decoded], scratch: Path
    ) -> PhotoRow:
        entry, row = unit.entries[index], self._empty_row(unit, index)
        if fetched.error:
            return _failed(row, fetched.error, fetched.tries)
        tries, reason, begun = fetched.tries, "", time.monotonic()
        for attempt in range(TRIES):
            try:
                if attempt:  # what was read may have been broken on its way
                    tries += 1
                    (again,) = fetch([entry])
                    decoded = self._decode(entry, again, scratch / str(index))
                else:
                    decoded = decoded_ahead()
                begun = time.monotonic()
                record = self._answer(entry, decoded)
            except (EverymaskError, OSError, MemoryError) as error:
                reason = told(error)
            except Exception as error:  # a fault of ours or of a library must not end the run, nor be hidden
                reason = f"unexpected {type(error).__name__}: {told(error)}"
            else:
                seconds = round(decoded.seconds + time.monotonic() - begun, 3)
                return replace(row, key=decoded.key, masks=record, tries=tries, seconds=seconds)
        return _failed(row, reason, tries)

    def _good_rows(self, kept: bytes | None) -> Any:
        """The table of an earlier file's rows without an error, or None."""
        if kept is None:
            return None
        parquet = require("pyarrow.parquet", "batch", "a batch")
        table = parquet.read_table(io.BytesIO(kept), schema=self.work.schema())
        return table.filter(table.column("error").is_null())

    def _answer(self, entry: Entry, decoded: _Decoded) -> Any:
        """What the row holds; the file, where the work needs it until here, is gone after."""
        try:
            return self.work.answer(self.segmenter, entry, decoded.read, self._params_hash)
        except EverymaskError as error:
            raise type(error)(_named(error, decoded.path, entry)) from error
        finally:
            decoded.path.unlink(missing_ok=True)

    def alone(self, unit: Unit, fetched: Fetched) -> PhotoRow:
        """The row of a part's only photo, nothing noted."""
        with tempfile.TemporaryDirectory(prefix="everymask-") as scratch:
            job = partial(self._decode, unit.entries[0], fetched, Path(scratch) / "0")
            return self._made_row(unit, 0, fetched, job, Path(scratch))


def _row_alone(
    opening: Callable[[], Maker],
    reading: dict[str, Any],
    name: str,
    unit: Unit,
    fetched: Fetched,
    work: Work,
) -> PhotoRow:
    """What a process of its own does with a photo."""
    return Worker(opening(), None, reading, name=name, work=work).alone(unit, fetched)


def _failed(row: PhotoRow, reason: str, tries: int) -> PhotoRow:
    return replace(row, error=reason, tries=tries)


def _named(error: Exception, path: Path, entry: Entry) -> str:
    """What an error says of a file, with the name by which people know it."""
    return str(error).replace(repr(str(path)), repr(entry.name)).replace(str(path), entry.name)
