"""The bytes of photos, from wherever they are: in parallel, with a limit of time, tried three times."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass

from .listing import Entry
from .shards import read_rows
from .storage import PAUSE_SECONDS, TRIES, Place, told

AT_ONCE = 8
"""Photos of a part that are read at the same time: object storage answers late and in parallel."""
READ_SECONDS = 120.0
"""A read that takes longer has failed."""
TOO_LARGE_TO_SHIP = 512_000_000
"""A photo of more bytes is read where it is segmented."""


@dataclass(frozen=True)
class Fetched:
    """A photo's bytes, or why there are none."""

    content: bytes | None
    error: str = ""
    tries: int = 1
    beside: tuple[tuple[str, bytes], ...] = ()
    """The files that say more of it: names and bytes."""


def fetch(
    entries: Sequence[Entry],
    read: Callable[[Entry], bytes] | None = None,
    seconds: float = READ_SECONDS,
    pause: float = PAUSE_SECONDS,
    largest: float = TOO_LARGE_TO_SHIP,
) -> list[Fetched]:
    """The bytes of each photo, in order; whatever goes wrong is in its place, nothing is raised. One of more
    than ``largest`` bytes comes without them."""
    read = read or _Rows(entries).read
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        return _fetch(entries, read, seconds, pause, largest, pool)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # a read that hangs must not hold the others up


def _fetch(
    entries: Sequence[Entry],
    read: Callable[[Entry], bytes],
    seconds: float,
    pause: float,
    largest: float,
    pool: ThreadPoolExecutor,
) -> list[Fetched]:
    done: dict[int, Fetched] = {}
    errors: dict[int, str] = {}
    open_ = list(range(len(entries)))
    for index in open_:
        if entries[index].size > largest:
            done[index] = Fetched(None, "")
    for attempt in range(1, TRIES + 1):
        open_ = [index for index in open_ if index not in done]
        if not open_:
            break
        if attempt > 1:
            time.sleep(pause * 2 ** (attempt - 2))
        waiting = {index: pool.submit(_read_all, entries[index], read) for index in open_}
        deadline = time.monotonic() + seconds * -(-len(open_) // AT_ONCE)
        for index, future in waiting.items():
            try:
                content, beside = future.result(max(deadline - time.monotonic(), 0.001))
                done[index] = Fetched(content, "", attempt, beside)
            except Late:
                future.cancel()
                errors[index] = f"reading took longer than {seconds:g} s"
            except Exception as error:  # file systems raise errors of their own kinds
                errors[index] = told(error)
    return [done.get(index) or Fetched(None, errors[index], TRIES) for index in range(len(entries))]


def _read_all(entry: Entry, read: Callable[[Entry], bytes]) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
    """The bytes of a photo, and of each file beside it."""
    beside = []
    for each in entry.beside:
        source = entry.source if each.at else f"{entry.source.rpartition('/')[0]}/{each.name}"
        beside.append((each.name, read_whole(Entry(each.name, source, each.at, each.size))))
    return read_whole(entry, read), tuple(beside)


def read_whole(entry: Entry, read: Callable[[Entry], bytes] | None = None) -> bytes:
    """The bytes of one photo, as many as its listing says. Raises OSError."""
    content = (read or read_once)(entry)
    if 0 <= entry.size != len(content) and not entry.at.startswith("row"):
        raise OSError(
            f"{len(content):,} bytes came of {entry.size:,}; "
            "it was cut short, or has changed since it was listed (then start again)"
        )
    if not content:
        raise OSError("it is empty (0 bytes)")
    return content


def read_once(entry: Entry) -> bytes:
    """The bytes of one photo, once. Raises OSError."""
    place = Place(entry.source)
    kind, *where = entry.at.split(" ", 3)
    if kind == "bytes":
        return place.read_part(int(where[0]), int(where[1]))
    if kind == "row":
        return _checked(read_rows(place, int(where[0]), [int(where[1])], where[2])[0])
    return place.read()


def _checked(value: bytes | None) -> bytes:
    if value is None:
        raise OSError("its row holds no picture")
    return value


class _Rows:
    """Reads rows of a row group together: a row group comes whole, whoever asks for one of its rows."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._lock = threading.Lock()
        self._of_group: dict[tuple[str, str, str], list[int]] = {}
        for entry in entries:
            if entry.at.startswith("row "):
                _, group, row, column = entry.at.split(" ", 3)
                self._of_group.setdefault((entry.source, group, column), []).append(int(row))
        self._values: dict[tuple[str, str, str], dict[int, bytes | None]] = {}

    def read(self, entry: Entry) -> bytes:
        if not entry.at.startswith("row "):
            return read_once(entry)
        _, group, row, column = entry.at.split(" ", 3)
        key = (entry.source, group, column)
        with self._lock:
            if key not in self._values:
                rows = self._of_group[key]
                values = read_rows(Place(entry.source), int(group), rows, column)
                self._values[key] = dict(zip(rows, values, strict=True))
        return _checked(self._values[key][int(row)])
