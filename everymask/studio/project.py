"""The project file: photos, their masks and the history of each, in SQLite.

An action is one transaction: the masks it changed, the draft, and a history entry with the patch forward
and backward. The file is synced before the answer goes out, so what was accepted is there after a crash
of the process or of the machine. One process has the file at a time.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from everymask.errors import InputError, SessionError

from .document import Document, Draft, Item, Patch, patch_between, patched

FORMAT = 1
"""Of the file; kept in SQLite's user_version."""

SCHEMA = """
CREATE TABLE photos(
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE,
    done INTEGER NOT NULL DEFAULT 0, masks INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE documents(
    photo INTEGER PRIMARY KEY REFERENCES photos(id), height INTEGER NOT NULL, width INTEGER NOT NULL,
    version INTEGER NOT NULL, head INTEGER NOT NULL, next_id INTEGER NOT NULL,
    mask_order TEXT NOT NULL, draft TEXT NOT NULL
);
CREATE TABLE masks(
    photo INTEGER NOT NULL REFERENCES photos(id), id INTEGER NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY(photo, id)
) WITHOUT ROWID;
CREATE TABLE history(
    photo INTEGER NOT NULL REFERENCES photos(id), seq INTEGER NOT NULL, title TEXT NOT NULL,
    forward TEXT NOT NULL, backward TEXT NOT NULL,
    PRIMARY KEY(photo, seq)
) WITHOUT ROWID;
CREATE TABLE settings(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class StaleError(SessionError):
    """Somebody else changed the photo first; what was asked was not done."""


@dataclass(frozen=True)
class State:
    """The document of a photo as it stands, and where its history is."""

    document: Document
    version: int  # grows by one with every change, undo and redo among them
    head: int  # history entries that are applied
    undo: str | None  # the title of what undo takes back
    redo: str | None  # the title of what redo does again


@dataclass(frozen=True)
class PhotoRow:
    """A photo of the project."""

    id: int
    path: str  # relative to the project's folder, with forward slashes
    done: bool
    masks: int


class Project:
    """An open project file; every method may be called from any thread."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it. Raises SessionError where another process has it, or it is none."""
        self.path = path
        self._lock = threading.RLock()
        self._open: dict[int, State] = {}
        self._moved: tuple[int, State] | None = None  # what a transaction makes of a photo, once it is whole
        try:
            self._db = sqlite3.connect(path, timeout=0.5, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._begin_file()
            self._db.execute("PRAGMA synchronous=FULL")
        except sqlite3.DatabaseError as error:
            raise SessionError(_why_not(path, error)) from error

    def close(self) -> None:
        """Writes the journal into the file and lets go of it."""
        with self._lock:
            self._db.close()

    # --- photos -----------------------------------------------------------------------------------

    def add_photos(self, paths: list[str]) -> list[PhotoRow]:
        """The rows of these photos in their order, made where there are none."""
        with self.transaction():
            self._db.executemany("INSERT OR IGNORE INTO photos(path) VALUES (?)", [(path,) for path in paths])
        by_path = {row.path: row for row in self.photos()}
        return [by_path[path] for path in paths]

    def photos(self) -> list[PhotoRow]:
        """All photos that the file knows."""
        with self._lock:
            rows = self._db.execute("SELECT id, path, done, masks FROM photos ORDER BY id").fetchall()
        return [PhotoRow(id, path, bool(done), masks) for id, path, done, masks in rows]

    def mark_done(self, photo: int, done: bool) -> None:
        """Whether a person has finished the photo."""
        with self.transaction():
            self._db.execute("UPDATE photos SET done = ? WHERE id = ?", (int(done), photo))

    # --- settings ---------------------------------------------------------------------------------

    def setting(self, key: str, default: Any = None) -> Any:
        """A JSON value kept under a name: classes, the photo that was open."""
        with self._lock:
            row = self._db.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
        return default if row is None else json.loads(row[0])

    def set_setting(self, key: str, value: Any) -> None:
        """Keep a JSON value under a name."""
        with self.transaction():
            self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, json.dumps(value)))

    # --- documents --------------------------------------------------------------------------------

    def state(self, photo: int) -> State | None:
        """The document of a photo; None where it was never begun."""
        with self._lock:
            if photo not in self._open:
                found = self._read(photo)
                if found is None:
                    return None
                self._open[photo] = found
            return self._open[photo]

    def begin(self, photo: int, document: Document) -> State:
        """Make the first document of a photo."""
        with self.transaction():
            height, width = document.photo_hw
            values = (photo, height, width, 0, 0, document.next_id, *_loose_ends(document))
            self._db.execute("INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
            self._write_masks(photo, Document(document.photo_hw), document)
        self._open[photo] = State(document, 0, 0, None, None)
        return self._open[photo]

    def commit(self, photo: int, version: int, document: Document, title: str) -> tuple[State, Patch]:
        """Make ``document`` the photo's, with a history entry; what could be redone is forgotten.

        Raises StaleError if the photo is no longer at ``version``.
        """
        with self.transaction():
            state = self._at(photo, version)
            forward = patch_between(state.document, document)
            if not forward:
                return state, forward
            backward = patch_between(document, state.document)
            self._db.execute("DELETE FROM history WHERE photo = ? AND seq > ?", (photo, state.head))
            entry = (photo, state.head + 1, title, json.dumps(forward), json.dumps(backward))
            self._db.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?)", entry)
            return self._move(photo, state, document, state.head + 1), forward

    def undo(self, photo: int, version: int) -> tuple[State, Patch]:
        """Take the last action back. Raises InputError where there is none, StaleError as commit does."""
        return self._travel(photo, version, "backward")

    def redo(self, photo: int, version: int) -> tuple[State, Patch]:
        """Do again what undo took back. Raises as :meth:`undo`."""
        return self._travel(photo, version, "forward")

    def _travel(self, photo: int, version: int, way: str) -> tuple[State, Patch]:
        with self.transaction():
            state = self._at(photo, version)
            seq = state.head + (way == "forward")
            row = self._db.execute(
                f"SELECT {way} FROM history WHERE photo = ? AND seq = ?", (photo, seq)
            ).fetchone()
            if row is None:
                raise InputError(f"there is nothing to {'undo' if way == 'backward' else 'redo'}")
            patch = json.loads(row[0])
            head = seq if way == "forward" else seq - 1
            return self._move(photo, state, patched(state.document, patch), head), patch

    def _at(self, photo: int, version: int) -> State:
        state = self.state(photo)
        if state is None:
            raise SessionError(f"photo {photo} was not opened yet")
        if state.version != version:
            raise StaleError(
                f"the photo was changed elsewhere (version {state.version}, this page knows {version}); "
                "what you see is being brought up to date, do it again then"
            )
        return state

    def _move(self, photo: int, state: State, document: Document, head: int) -> State:
        document = replace(document, next_id=max(document.next_id, state.document.next_id))
        self._write_masks(photo, state.document, document)
        self._db.execute(
            "UPDATE documents SET version = ?, head = ?, next_id = ?, mask_order = ?, draft = ? "
            "WHERE photo = ?",
            (state.version + 1, head, document.next_id, *_loose_ends(document), photo),
        )
        moved = State(document, state.version + 1, head, *self._titles(photo, head))
        self._moved = (photo, moved)
        return moved

    # --- the file ---------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing: what is done within is in the file, synced, when the block ends well."""
        with self._lock:
            self._moved = None
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            if self._moved is not None:
                photo, state = self._moved
                self._open[photo] = state

    def _begin_file(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if (version, tables) != (0, 0) and version != FORMAT:
            raise SessionError(
                f"{self.path.name} is no project of this studio (its format is {version}, expected "
                f"{FORMAT}); choose another file with --project"
            )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("BEGIN EXCLUSIVE")
        if tables == 0:
            for statement in SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {FORMAT}")
        self._db.execute("COMMIT")

    def _read(self, photo: int) -> State | None:
        row = self._db.execute("SELECT * FROM documents WHERE photo = ?", (photo,)).fetchone()
        if row is None:
            return None
        _, height, width, version, head, next_id, order, draft = row
        records = self._db.execute("SELECT record FROM masks WHERE photo = ?", (photo,)).fetchall()
        items = [Item.from_json(json.loads(record), (height, width)) for (record,) in records]
        begun = json.loads(draft)
        document = Document(
            (height, width),
            {item.id: item for item in items},
            None if begun is None else Draft.from_json(begun),
            next_id,
        ).in_order(json.loads(order))
        return State(document, version, head, *self._titles(photo, head))

    def _write_masks(self, photo: int, before: Document, after: Document) -> None:
        patch = patch_between(before, after).get("masks", {})
        gone = [(photo, int(id)) for id, record in patch.items() if record is None]
        self._db.executemany("DELETE FROM masks WHERE photo = ? AND id = ?", gone)
        kept = [(photo, int(id), json.dumps(record)) for id, record in patch.items() if record is not None]
        self._db.executemany("INSERT OR REPLACE INTO masks VALUES (?, ?, ?)", kept)
        if len(before.items) != len(after.items):
            self._db.execute("UPDATE photos SET masks = ? WHERE id = ?", (len(after.items), photo))

    def _titles(self, photo: int, head: int) -> tuple[str | None, str | None]:
        rows = dict(
            self._db.execute(
                "SELECT seq, title FROM history WHERE photo = ? AND seq IN (?, ?)", (photo, head, head + 1)
            ).fetchall()
        )
        return rows.get(head), rows.get(head + 1)


def _loose_ends(document: Document) -> tuple[str, str]:
    """The order of the masks and the draft, as JSON."""
    return json.dumps(list(document.items)), json.dumps(document.draft and document.draft.to_json())


def _why_not(path: Path, error: sqlite3.DatabaseError) -> str:
    if "locked" in str(error):
        return f"another studio has {path.name} open; use its page, or end it first"
    if "not a database" in str(error):
        return f"{path.name} is no project of this studio; choose another file with --project"
    return f"{path} cannot be opened as a project ({error}); choose a place to write to with --project"
