"""What the model remembered of a clip after each step: snapshots of the tracker's session by what the record
said then.

After undo, redo, a crash or a day the session is put back as it was, and goes on to the same masks. The
snapshots lie in a file of their own beside the project (``PROJECT.memory``), which may be deleted: the
session is then made anew from the masks, which is near, not equal. Snapshots share their tensors, so one more
costs what is new in it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any
from weakref import ref

import torch
from torch import Tensor

from everymask.video.snapshot import Snapshot

FRAMES_KEPT = 2
"""Snapshots after frames of a run: one for each side of the moment at which the frame is in the record."""
LIMIT_BYTES = 1_500_000_000
"""Of tensors in the file, for each clip; beyond it the oldest snapshots go. One more costs what is new in it,
with nano 0.04 MB for a click and 0.15 MB for a tracked frame of an object."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS tensors(
    id INTEGER PRIMARY KEY, clip INTEGER NOT NULL,
    dtype TEXT NOT NULL, shape TEXT NOT NULL, data BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS snapshots(
    id INTEGER PRIMARY KEY, clip INTEGER NOT NULL, stands TEXT NOT NULL, step INTEGER NOT NULL,
    objects TEXT NOT NULL, tensors TEXT NOT NULL
);
"""


class Digest:
    """What a record says of prompts and masks, as a short text; equal texts, equal records."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Any, int]] = {}

    def __call__(self, values: Mapping[str, Any]) -> str:
        """The digest; what was looked at before is not looked at again."""
        total = 0
        for key, value in values.items():
            if value is None or not key.startswith(("prompt/", "mask/")):
                continue
            known = self._known.get(key)
            if known is None or known[0] is not value:
                text = json.dumps([key, value], sort_keys=True).encode()
                known = self._known[key] = value, int.from_bytes(blake2b(text, digest_size=16).digest())
            total += known[1]
        return f"{total % 2**128:032x}"


@dataclass(frozen=True)
class _Kept:
    """A snapshot in the file."""

    id: int
    stands: str
    step: bool
    tensors: Mapping[str, int]  # rows by name


class ClipMemory:
    """The snapshots of one clip. One thread at a time."""

    def __init__(self, path: Path, clip: int) -> None:
        """``path`` is the file, made when the first snapshot is kept."""
        self._path, self._clip = path, clip
        self._db: sqlite3.Connection | None = None
        self._closed = False
        self._kept: list[_Kept] = []  # the oldest first
        self._rows: dict[int, tuple[ref[Tensor], int]] = {}  # of living tensors that are in the file, by id
        self._sizes: dict[int, int] = {}  # bytes by row
        if path.is_file():
            with self._reading():
                self._learn(self._open())

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return not self._kept

    def keep(self, stands: str, snapshot: Snapshot, step: bool) -> None:
        """Keep a snapshot; ``stands`` is what the record says, ``step`` whether a person's step ends here.

        Where the file cannot be written nothing is kept.
        """
        with self._reading():
            db = self._open()
            with db:
                rows = {name: self._row(db, tensor) for name, tensor in snapshot.tensors.items()}
                values = (self._clip, stands, int(step), json.dumps(snapshot.objects), json.dumps(rows))
                done = db.execute(
                    "INSERT INTO snapshots(clip, stands, step, objects, tensors) VALUES (?, ?, ?, ?, ?)",
                    values,
                )
                assert done.lastrowid is not None
                self._kept.append(_Kept(done.lastrowid, stands, step, rows))
                self._drop_old(db)

    def at(self, stands: str, device: torch.device) -> Snapshot | None:
        """The newest snapshot of a record that said this; None where none was kept."""
        found = next((each for each in reversed(self._kept) if each.stands == stands), None)
        if found is None:
            return None
        with self._reading():
            db = self._open()
            (objects,) = db.execute("SELECT objects FROM snapshots WHERE id = ?", (found.id,)).fetchone()
            living = ((row, tensor()) for tensor, row in self._rows.values())
            here = {row: tensor for row, tensor in living if tensor is not None}
            for row in set(found.tensors.values()) - here.keys():
                here[row] = self._read(db, row, device)
            return Snapshot(json.loads(objects), {name: here[row] for name, row in found.tensors.items()})
        return None

    def close(self) -> None:
        """Let go of the file for good: from now on nothing is kept, nor found."""
        self._closed = True
        self._let_go()

    # --- the file ---------------------------------------------------------------------------------

    def _let_go(self) -> None:
        if self._db is not None:
            self._db.close()
        self._db = None

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise ValueError("closed")
        if self._db is None:
            self._db = sqlite3.connect(self._path, timeout=5, check_same_thread=False)
            # A killed process loses nothing so; after a power cut a broken file is begun anew.
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.executescript(SCHEMA)
        return self._db

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """A file that is broken, or cannot be written, holds no snapshots: nobody's work depends on it."""
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, TypeError, KeyError):
            self._let_go()
            if self._closed:
                return
            self._kept, self._rows, self._sizes = [], {}, {}
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _learn(self, db: sqlite3.Connection) -> None:
        found = db.execute(
            "SELECT id, stands, step, tensors FROM snapshots WHERE clip = ? ORDER BY id", (self._clip,)
        )
        self._kept = [_Kept(id, stands, bool(step), json.loads(rows)) for id, stands, step, rows in found]
        sizes = db.execute("SELECT id, length(data) FROM tensors WHERE clip = ?", (self._clip,))
        self._sizes = dict(sizes.fetchall())

    def _row(self, db: sqlite3.Connection, tensor: Tensor) -> int:
        """Where a tensor is in the file; it is written where it was not."""
        known = self._rows.get(id(tensor))
        if known is not None and known[0]() is tensor:
            return known[1]
        data = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        dtype = str(tensor.dtype).removeprefix("torch.")
        values = (self._clip, dtype, json.dumps(list(tensor.shape)), data)
        done = db.execute("INSERT INTO tensors(clip, dtype, shape, data) VALUES (?, ?, ?, ?)", values)
        assert done.lastrowid is not None
        self._rows[id(tensor)] = ref(tensor), done.lastrowid
        self._sizes[done.lastrowid] = len(data)
        return done.lastrowid

    def _read(self, db: sqlite3.Connection, row: int, device: torch.device) -> Tensor:
        dtype, shape, data = db.execute(
            "SELECT dtype, shape, data FROM tensors WHERE id = ?", (row,)
        ).fetchone()
        flat = torch.frombuffer(bytearray(data), dtype=getattr(torch, dtype))
        tensor = flat.reshape(json.loads(shape)).to(device)
        self._rows[id(tensor)] = ref(tensor), row
        return tensor

    def _drop_old(self, db: sqlite3.Connection) -> None:
        """Leave the newest snapshots, as many as are kept, and their tensors."""
        stay: list[_Kept] = []
        known: set[str] = set()  # what the record said, in those that stay
        rows: set[int] = set()
        frames = size = 0
        for each in reversed(self._kept):
            more = set(each.tensors.values()) - rows
            weight = sum(self._sizes[row] for row in more)
            too_much = bool(stay) and size + weight > LIMIT_BYTES
            if each.stands in known or too_much or (not each.step and frames == FRAMES_KEPT):
                continue
            frames += not each.step
            size += weight
            stay.append(each)
            known.add(each.stands)
            rows |= more
        stay.reverse()
        ids = {each.id for each in stay}
        gone = [(each.id,) for each in self._kept if each.id not in ids]
        dead = [(row,) for row in self._sizes if row not in rows]
        db.executemany("DELETE FROM snapshots WHERE id = ?", gone)
        db.executemany("DELETE FROM tensors WHERE id = ?", dead)
        self._kept = stay
        self._sizes = {row: size for row, size in self._sizes.items() if row in rows}
        self._rows = {key: pair for key, pair in self._rows.items() if pair[1] in rows}
