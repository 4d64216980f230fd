"""The project file: photos, their masks and the history of each, in SQLite.

An action is one transaction: the masks it changed, the draft, and a history entry with the patch forward
and backward. The file is synced before the answer goes out, so what was accepted is there after a crash
of the process or of the machine. One process has the file at a time.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from everymask.errors import InputError, SessionError

from .beyond import Beyond
from .classes import ClassRow, class_patch, class_patched
from .document import Document, Draft, Item, Patch, patch_between, patched
from .renaming import FROM_FILES, rename

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
        self._outdated: set[int] = set()  # other photos that it changes
        self._was_renamed = False
        self._rereaders: list[Callable[[], None]] = []
        with ExitStack() as opened:
            try:
                self._db = sqlite3.connect(path, timeout=0.5, check_same_thread=False, isolation_level=None)
                opened.callback(self._db.close)
                self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
                self._begin_file()
                self._db.execute("PRAGMA synchronous=FULL")
            except sqlite3.DatabaseError as error:
                raise SessionError(_why_not(path, error)) from error
            opened.pop_all()

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

    def is_done(self, photo: int) -> bool:
        """Whether a person has finished the photo."""
        with self._lock:
            (done,) = self._db.execute("SELECT done FROM photos WHERE id = ?", (photo,)).fetchone()
        return bool(done)

    def mark_done(self, photo: int, done: bool) -> None:
        """Say so of a photo that cannot be opened; of others it is a step of their history."""
        with self.transaction():
            self._mark_done(photo, done)

    def _mark_done(self, photo: int, done: bool) -> None:
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
            self._set_setting(key, value)

    def _set_setting(self, key: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, json.dumps(value)))

    def classes(self) -> list[ClassRow]:
        """Names and colours of the classes, in the order of their number keys."""
        return self.setting("classes", [])

    def called_now(self, label: str | None) -> str | None:
        """How the class of a mask file is called by now, after it was renamed here."""
        return label if label is None else self.setting(FROM_FILES, {}).get(label, label)

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

    def commit(
        self, photo: int, version: int, document: Document, title: str, beyond: Beyond | None = None
    ) -> tuple[State, Patch]:
        """Make ``document`` the photo's, with a history entry; what could be redone is forgotten.

        ``beyond`` is what changes beside it. Raises StaleError if the photo is no longer at ``version``.
        """
        with self.transaction():
            state = self._at(photo, version)
            changed = beyond or {}
            if changed.get("done") == self.is_done(photo):
                changed = {key: value for key, value in changed.items() if key != "done"}
            forward = patch_between(state.document, document) | changed
            if not forward:
                return state, forward
            backward = patch_between(document, state.document) | self.change_beyond(changed, photo)
            self._db.execute("DELETE FROM history WHERE photo = ? AND seq > ?", (photo, state.head))
            entry = (photo, state.head + 1, title, json.dumps(forward), json.dumps(backward))
            self._db.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?)", entry)
            return self._moved_to(photo, state, document, state.head + 1, forward)

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
                f"SELECT {way}, forward, backward FROM history WHERE photo = ? AND seq = ?", (photo, seq)
            ).fetchone()
            if row is None:
                raise InputError(f"there is nothing to {'undo' if way == 'backward' else 'redo'}")
            patch = json.loads(row[0])
            self.change_beyond(patch, photo)
            if "renamed" in patch:  # the entry itself stays what it was
                self._db.execute(
                    "UPDATE history SET forward = ?, backward = ? WHERE photo = ? AND seq = ?",
                    (row[1], row[2], photo, seq),
                )
            head = seq if way == "forward" else seq - 1
            return self._moved_to(photo, state, patched(state.document, patch), head, patch)

    def _moved_to(
        self, photo: int, state: State, document: Document, head: int, patch: Patch
    ) -> tuple[State, Patch]:
        """The photo's new state, and what changed: with a class, the masks that are called after it too."""
        if "renamed" not in patch:
            return self._move(photo, state, document, head), patch
        old, new = patch["renamed"]
        document = _relabelled(document, old, new)
        return self._move(photo, state, document, head), patch | patch_between(state.document, document)

    # --- beyond the masks -------------------------------------------------------------------------

    def change_beyond(self, patch: Mapping[str, Any], photo: int | None = None) -> Beyond:
        """Change classes, their names, and whether ``photo`` is done, as ``patch`` says; what takes it back.

        Within a transaction. Raises InputError where a class cannot have its new name.
        """
        back: Beyond = {}
        if "done" in patch and photo is not None:
            back["done"] = self.is_done(photo)
            self._mark_done(photo, patch["done"])
        if "renamed" in patch:
            back["renamed"] = [*reversed(patch["renamed"])]
            self._rename(*patch["renamed"])
        if "classes" in patch:
            before = self.classes()
            after = class_patched(before, patch["classes"])
            back["classes"] = class_patch(after, before) or {"rows": {}, "order": []}
            self._set_setting("classes", after)
        return back

    def on_rename(self, reread: Callable[[], None]) -> None:
        """Call ``reread`` whenever a class has got another name in the file."""
        self._rereaders.append(reread)

    def _rename(self, old: str, new: str) -> None:
        touched = rename(self._db, old, new)
        self._outdated |= touched.photos
        self._was_renamed = True
        for photo in touched.photos:
            self._db.execute("UPDATE documents SET version = version + 1 WHERE photo = ?", (photo,))
        for clip in touched.clips:
            self._db.execute("UPDATE clips SET version = version + 1 WHERE id = ?", (clip,))

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
            self._moved, self._outdated, self._was_renamed = None, set(), False
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            for photo in self._outdated:
                self._open.pop(photo, None)
            if self._moved is not None:
                photo, state = self._moved
                self._open[photo] = state
            if self._was_renamed:
                for reread in self._rereaders:
                    reread()

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


def _relabelled(document: Document, old: str, new: str) -> Document:
    """With another name for a class."""
    named = [item for item in document.items.values() if item.mask.label == old]
    return document.with_items(*(replace(item, mask=item.mask.replace(label=new)) for item in named))


def _loose_ends(document: Document) -> tuple[str, str]:
    """The order of the masks and the draft, as JSON."""
    return json.dumps(list(document.items)), json.dumps(document.draft and document.draft.to_json())


def _why_not(path: Path, error: sqlite3.DatabaseError) -> str:
    if "locked" in str(error):
        return f"another studio has {path.name} open; use its page, or end it first"
    if "not a database" in str(error):
        return f"{path.name} is no project of this studio; choose another file with --project"
    return f"{path} cannot be opened as a project ({error}); choose a place to write to with --project"
