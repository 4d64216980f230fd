"""Which photos are to be done, and in which parts: written before the work, read again to go on.

A plan only grows. Photos found for the first time are grouped into parts and appended; a part keeps its name
and its photos for good, so that whoever makes it, and however often, writes the same rows to the same place.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import astuple, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BatchError, require
from .beside import Beside
from .keys import EMPTY, KEY, KeyMap, KeySet, as_keys, ticket
from .listing import Entry
from .manifest import Manifest
from .storage import Place, persistently

PARTS_PER_SHARD = 256
"""Parts planned in one file."""
LISTED_AT_ONCE = 100_000


@dataclass(frozen=True)
class PartSize:
    """How photos are grouped into parts: as many as fit both limits, at least one."""

    photos: int = 64
    bytes: int = 32_000_000
    """Of their files: what is read, and held, together."""


@dataclass(frozen=True)
class Unit:
    """One part to be made."""

    name: str
    entries: tuple[Entry, ...]
    tickets: tuple[bytes, ...]


@dataclass(frozen=True)
class Pending:
    """The parts of one shard of the plan that have not landed."""

    shard: Place
    numbers: tuple[int, ...]
    without: tuple[bytes, ...] = ()
    """Tickets in them that are superseded."""

    def units(self) -> Iterator[Unit]:
        """The parts with their photos."""
        yield from read_units(self.shard, set(self.numbers), set(self.without))


@dataclass
class Plan:
    """What there is to do."""

    photos: int = 0
    """All that are planned, done or not."""
    done: int = 0
    """Photos of parts that have landed."""
    added: int = 0
    """Photos planned now."""
    changed: int = 0
    """Photos planned anew because their files have changed."""
    pending: list[Pending] = field(default_factory=list)

    @property
    def parts(self) -> int:
        """Parts to be made."""
        return sum(len(each.numbers) for each in self.pending)


def make_plan(
    manifest: Manifest,
    entries: Iterable[Entry],
    size: PartSize = PartSize(),
    watch: Callable[[int], None] = lambda listed: None,
    *,
    write: bool = True,
) -> Plan:
    """Append the photos among ``entries`` that are not planned, and say what has not landed.

    With ``write`` off nothing is appended: new photos are counted, and in no part.
    Memory: 16 bytes for a planned photo, and some for a listed one that is new. Raises :class:`BatchError`.
    """
    folder = manifest.place / "plan"
    known = _Known.read(manifest)
    plan = Plan()
    with tempfile.TemporaryDirectory(prefix="everymask-plan-") as scratch:
        new = _NewShards(Path(scratch), size)
        fresh = KeySet()
        listed = 0
        for chunk in _chunks(entries, LISTED_AT_ONCE):
            keys = as_keys(ticket(each.name, each.stamp) for each in chunk)
            _, first = np.unique(keys, return_index=True)
            once = np.zeros(len(keys), bool)
            once[first] = True
            wanted = once & ~known.tickets.see(keys) & ~fresh.has(keys)
            fresh.add(keys[wanted])
            for index in np.flatnonzero(wanted):
                new.add(chunk[index], keys[index].tobytes())
            listed += len(chunk)
            watch(listed)
        new.close()
        plan.added = new.photos
        if not write:
            _collect(manifest, plan, known)
            plan.photos += new.photos
            return plan
        plan.changed = _supersede(manifest, known, new) if new.photos else 0
        for number, file in enumerate(new.files, len(known.shards)):
            _create(folder / f"{number:06d}.parquet", file.read_bytes())
    _collect(manifest, plan, _Known.read(manifest, with_tickets=False) if new.files else known)
    return plan


def _create(place: Place, content: bytes) -> None:
    if not persistently(lambda: place.create(content), f"cannot write {place}"):
        raise BatchError(
            f"another run has planned into {place} meanwhile; start again, with one run at a time"
        )


def _chunks(entries: Iterable[Entry], count: int) -> Iterator[list[Entry]]:
    chunk: list[Entry] = []
    for entry in entries:
        chunk.append(entry)
        if len(chunk) == count:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _NewShards:
    """Groups photos into parts, parts into files on this machine's disk."""

    def __init__(self, scratch: Path, size: PartSize) -> None:
        self.files: list[Path] = []
        self.photos = 0
        self._scratch, self._size = scratch, size
        self._rows: list[tuple[int, bytes, Entry]] = []
        self._unit, self._in_unit, self._bytes = 0, 0, 0

    def add(self, entry: Entry, key: bytes) -> None:
        size = max(entry.size, 0)
        if self._in_unit and (self._in_unit >= self._size.photos or self._bytes + size > self._size.bytes):
            self._unit, self._in_unit, self._bytes = self._unit + 1, 0, 0
            if self._unit == PARTS_PER_SHARD:
                self.close()
        self._rows.append((self._unit, key, entry))
        self._in_unit += 1
        self._bytes += size
        self.photos += 1

    def close(self) -> None:
        if self._rows:
            path = self._scratch / f"{len(self.files)}.parquet"
            path.write_bytes(_shard_bytes(self._rows))
            self.files.append(path)
        self._rows, self._unit, self._in_unit, self._bytes = [], 0, 0, 0


def _shard_bytes(rows: list[tuple[int, bytes, Entry]]) -> bytes:
    pyarrow = require("pyarrow", "batch", "planning a batch")
    parquet = require("pyarrow.parquet", "batch", "planning a batch")
    units, keys, entries = zip(*rows, strict=True)
    # File names may be no UTF-8: kept as the bytes they are.
    text = {
        name: pyarrow.array(
            [getattr(each, name).encode(errors="surrogateescape") for each in entries], pyarrow.binary()
        )
        for name in ("name", "source", "at", "stamp")
    }
    table = pyarrow.table(
        {
            "unit": pyarrow.array(units, pyarrow.int32()),
            "ticket": pyarrow.array(keys, pyarrow.binary(16)),
            **text,
            "size": pyarrow.array([each.size for each in entries], pyarrow.int64()),
            "beside": pyarrow.array([_beside_as_text(each) for each in entries], pyarrow.string()),
        }
    )
    file = io.BytesIO()
    parquet.write_table(table, file, compression="zstd", row_group_size=1 << 20)
    return file.getvalue()


def _beside_as_text(entry: Entry) -> str | None:
    return json.dumps([astuple(each) for each in entry.beside]) if entry.beside else None


def _columns(shard: Place, names: list[str]) -> Any:
    parquet = require("pyarrow.parquet", "batch", "planning a batch")
    content = persistently(shard.read, f"cannot read {shard}")
    with parquet.ParquetFile(io.BytesIO(content)) as file:
        return file.read([name for name in names if name in file.schema_arrow.names])  # older plans lack some


def read_units(shard: Place, numbers: Collection[int], without: Collection[bytes] = ()) -> Iterator[Unit]:
    """Some parts of one file of a plan, with their photos; one whose photos are all superseded is none."""
    rows = _columns(shard, ["unit", "ticket", "name", "source", "at", "stamp", "size", "beside"]).to_pylist()
    entries: dict[int, list[Entry]] = {}
    tickets: dict[int, list[bytes]] = {}
    for row in rows:
        if row["unit"] not in numbers or row["ticket"] in without:
            continue
        name, source, at, stamp = (
            row[each].decode(errors="surrogateescape") for each in ("name", "source", "at", "stamp")
        )
        beside = tuple(Beside(*each) for each in json.loads(row.get("beside") or "[]"))
        entries.setdefault(row["unit"], []).append(Entry(name, source, at, row["size"], stamp, beside))
        tickets.setdefault(row["unit"], []).append(row["ticket"])
    for number, of_unit in entries.items():
        yield Unit(unit_name(shard, number), tuple(of_unit), tuple(tickets[number]))


def unit_name(shard: Place, number: int) -> str:
    """The name of a part, from the file of the plan that holds it.

    >>> unit_name(Place("/out/batch-0/plan/000012.parquet"), 3)
    '000012-0003'
    """
    return f"{shard.name.removesuffix('.parquet')}-{number:04d}"


@dataclass
class _Known:
    """What is planned already."""

    shards: list[Place]
    units: list[np.ndarray]
    """Of each shard: the part of each photo, int32 [N]."""
    keys: list[np.ndarray]
    """Of each shard: the ticket of each photo [N]; none where a shard has nothing superseded (and they were
    not asked for)."""
    tickets: KeyMap
    superseded: KeySet

    @classmethod
    def read(cls, manifest: Manifest, with_tickets: bool = True) -> _Known:
        folder = manifest.place / "plan"
        names = persistently(folder.names, f"cannot list {folder}")
        shards = [folder / name for name in names if name.endswith(".parquet")]
        gone = manifest.place / "superseded"
        superseded = KeySet()
        for name in persistently(gone.names, f"cannot list {gone}"):
            keys = np.frombuffer(persistently((gone / name).read, f"cannot read {gone / name}"), KEY)
            superseded.add(np.unique(keys[~superseded.has(keys)]))
        units, keys_of = [], []
        for shard in shards:
            table = _columns(shard, ["unit", "ticket"])
            units.append(table.column("unit").to_numpy())
            keys_of.append(as_keys(table.column("ticket").to_pylist()))
        every = np.concatenate(keys_of) if keys_of and with_tickets else EMPTY
        return cls(shards, units, keys_of, KeyMap(every), superseded)


def _supersede(manifest: Manifest, known: _Known, new: _NewShards) -> int:
    """Note the planned photos whose names came again with another stamp, and take their rows out of parts
    that have landed; how many. Noted before the new ones are planned: a run killed between does it again."""
    gone = KeySet(known.tickets.unseen())
    if not len(gone):
        return 0
    names = KeySet()
    for file in new.files:
        again = as_keys(
            ticket(name.decode(errors="surrogateescape"), "") for name in _names(Place(str(file)))
        )
        names.add(np.unique(again[~names.has(again)]))
    landed = set((manifest.place / "parts").names())
    found: list[np.ndarray] = []
    for shard, keys, units in zip(known.shards, known.keys, known.units, strict=True):
        maybe = np.flatnonzero(gone.has(keys) & ~known.superseded.has(keys))
        if not len(maybe):
            continue
        listed = _names(shard)
        here = as_keys(ticket(listed[index].decode(errors="surrogateescape"), "") for index in maybe)
        hit = maybe[names.has(here)]
        found.append(keys[hit])
        for number in np.unique(units[hit]):
            part = manifest.part(unit_name(shard, int(number)))
            if part.name in landed:
                _take_out(part, {keys[index].tobytes() for index in hit[units[hit] == number]})
    keys = np.concatenate(found) if found else EMPTY
    if len(keys):
        note = manifest.place / "superseded" / hashlib.sha256(keys.tobytes()).hexdigest()[:16]
        persistently(partial(note.write, keys.tobytes()), f"cannot write {note}")
    return len(keys)


def _names(shard: Place) -> list[bytes]:
    return _columns(shard, ["name"]).column("name").to_pylist()


def _take_out(part: Place, tickets: set[bytes]) -> None:
    """Rewrite a part without some of its rows."""
    from ..formats.photo_rows import table_bytes

    parquet = require("pyarrow.parquet", "batch", "planning a batch")
    pyarrow = require("pyarrow", "batch", "planning a batch")
    table = parquet.read_table(io.BytesIO(persistently(part.read, f"cannot read {part}")))
    stays = pyarrow.array(
        [value not in tickets for value in table.column("ticket").to_pylist()], pyarrow.bool_()
    )
    persistently(partial(part.write, table_bytes(table.filter(stays))), f"cannot write {part}")


def _collect(manifest: Manifest, plan: Plan, known: _Known) -> None:
    """Count, and find the parts that have not landed."""
    folder = manifest.place / "parts"
    landed = set(persistently(folder.names, f"cannot list {folder}"))
    for shard, units, keys in zip(known.shards, known.units, known.keys, strict=True):
        alive = ~known.superseded.has(keys)
        counts = np.bincount(units[alive], minlength=int(units.max(initial=-1)) + 1)
        done = np.array(
            [f"{unit_name(shard, number)}.parquet" in landed for number in range(len(counts))], bool
        )
        plan.photos += int(counts.sum())
        plan.done += int(counts[done].sum())
        todo = np.flatnonzero(~done & (counts > 0))
        if len(todo):
            without = tuple(key.tobytes() for key in keys[~alive])
            plan.pending.append(Pending(shard, tuple(todo.tolist()), without))
