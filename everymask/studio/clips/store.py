"""A clip in the project file: JSON values by key, and what each step changed, so that it can be undone.

A step of a person is one entry of the history; tracking adds to its entry frame by frame, each frame one
synced transaction. Whatever was answered is there after a crash, also in the middle of tracking.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from everymask.errors import InputError

from ..beyond import Beyond
from ..project import Project, StaleError

SCHEMA = """
CREATE TABLE IF NOT EXISTS clips(
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL DEFAULT 0, head INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS clip_values(
    clip INTEGER NOT NULL REFERENCES clips(id), key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY(clip, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clip_history(
    clip INTEGER NOT NULL REFERENCES clips(id), seq INTEGER NOT NULL, title TEXT NOT NULL,
    PRIMARY KEY(clip, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clip_changes(
    clip INTEGER NOT NULL, seq INTEGER NOT NULL, key TEXT NOT NULL, before TEXT, after TEXT,
    PRIMARY KEY(clip, seq, key)
) WITHOUT ROWID;
"""

Changes = dict[str, Any]
"""New values by key; None for one that is gone."""

BEYOND = "beyond"
"""The key of what a step changes beyond the clip, among its changes; no value is kept under it."""


@dataclass(frozen=True)
class Standing:
    """Where a clip's history is."""

    version: int  # grows by one with every step, undo and redo among them; frames of a run do not count
    head: int  # steps that are applied
    undo: str | None  # the title of what undo takes back
    redo: str | None  # the title of what redo does again


class ClipStore:
    """The values of one clip. Methods may be called from any thread."""

    def __init__(self, project: Project, path: str) -> None:
        """``path`` is the clip's name in the project; it is added where it is not there yet."""
        self._project = project
        with project.transaction() as db:
            for statement in SCHEMA.split(";"):
                db.execute(statement)
            db.execute("INSERT OR IGNORE INTO clips(path) VALUES (?)", (path,))
            row = db.execute("SELECT id, version, head FROM clips WHERE path = ?", (path,)).fetchone()
            self.id: int = row[0]
            self._version, self._head = row[1], row[2]
            rows = db.execute("SELECT key, value FROM clip_values WHERE clip = ?", (self.id,)).fetchall()
            self._values: dict[str, Any] = {key: json.loads(value) for key, value in rows}
            self._standing = self._read_standing(db)
        project.on_rename(self._reread)

    def _reread(self) -> None:
        """Take the objects' classes and the version as the file has them now."""
        with self._project.transaction() as db:
            find = "SELECT key, value FROM clip_values WHERE clip = ? AND key LIKE 'object/%'"
            self._values |= {key: json.loads(value) for key, value in db.execute(find, (self.id,))}
            find = "SELECT version, head FROM clips WHERE id = ?"
            self._version, self._head = db.execute(find, (self.id,)).fetchone()
            self._standing = self._read_standing(db)

    @property
    def values(self) -> dict[str, Any]:
        """All values by key, as they are now; the values themselves are not to be changed."""
        return self._values.copy()

    def get(self, key: str) -> Any:
        """One value; None where there is none."""
        return self._values.get(key)

    @property
    def standing(self) -> Standing:
        """Where the history is."""
        return self._standing

    def change(
        self, version: int, changes: Changes, title: str, beyond: Beyond | None = None
    ) -> tuple[Changes, Beyond]:
        """One step more: what really changed, in the clip and beyond. What could be redone is forgotten.

        Raises StaleError if the clip is no longer at ``version``; nothing is changed then.
        """
        self.check(version)
        real = self._real(changes)
        before = self._values.copy()
        if real or beyond:
            self.begin(version, title, real, beyond)
        return real | self._since(before, beyond or {}), beyond or {}

    def _since(self, before: Changes, beyond: Beyond) -> Changes:
        """The objects that a renamed class is that of, as they are now."""
        if "renamed" not in beyond:
            return {}
        objects = {key: value for key, value in self._values.items() if key.startswith("object/")}
        return {key: value for key, value in objects.items() if before.get(key) != value}

    def begin(
        self, version: int, title: str, changes: Changes | None = None, beyond: Beyond | None = None
    ) -> int:
        """A step that begins with these changes and may be extended: its number. Raises as :meth:`change`."""
        self.check(version)
        real = self._real(changes or {})
        with self._project.transaction() as db:
            back = self._project.change_beyond(beyond) if beyond else None
            for table in ("clip_history", "clip_changes"):
                db.execute(f"DELETE FROM {table} WHERE clip = ? AND seq > ?", (self.id, self._head))
            entry = (self.id, self._head + 1, title)
            db.execute("INSERT INTO clip_history VALUES (?, ?, ?)", entry)
            self._write(db, self._head + 1, real)
            if beyond:
                row = (self.id, self._head + 1, BEYOND, _text(back), _text(beyond))
                db.execute("INSERT INTO clip_changes VALUES (?, ?, ?, ?, ?)", row)
            standing = self._moved(db, self._head + 1)
        self._apply(real, standing)
        return standing.head

    def extend(self, seq: int, changes: Changes) -> Changes:
        """More changes of the step ``seq``. Raises StaleError if it is not the last one any more."""
        if seq != self._head:
            raise StaleError("this run was taken back, or something came after it")
        real = self._real(changes)
        with self._project.transaction() as db:
            self._write(db, seq, real)
        self._apply(real, self._standing)
        return real

    def undo(self, version: int) -> tuple[Changes, Beyond]:
        """Take the last step back; what changed. Raises InputError where there is none, and StaleError."""
        return self._travel(version, self._head, "before", self._head - 1)

    def redo(self, version: int) -> tuple[Changes, Beyond]:
        """Do again what undo took back; what changed. Raises as :meth:`undo`."""
        return self._travel(version, self._head + 1, "after", self._head + 1)

    def check(self, version: int) -> None:
        """Raise StaleError if the clip is no longer at ``version``."""
        if version != self._version:
            raise StaleError(
                f"the clip was changed elsewhere (version {self._version}, this page knows {version}); "
                "what you see is being brought up to date, do it again then"
            )

    def _travel(self, version: int, seq: int, side: str, head: int) -> tuple[Changes, Beyond]:
        self.check(version)
        values = self._values.copy()
        with self._project.transaction() as db:
            if not db.execute(
                "SELECT 1 FROM clip_history WHERE clip = ? AND seq = ?", (self.id, seq)
            ).fetchone():
                raise InputError(f"there is nothing to {'undo' if side == 'before' else 'redo'}")
            find = "SELECT key, before, after FROM clip_changes WHERE clip = ? AND seq = ?"
            rows = db.execute(find, (self.id, seq)).fetchall()
            sides = {key: {"before": before, "after": after} for key, before, after in rows}
            changes = {key: _value(texts[side]) for key, texts in sides.items()}
            beyond = changes.pop(BEYOND, None) or {}
            if beyond:
                self._project.change_beyond(beyond)
                kept = sides[BEYOND]  # the entry itself stays what it was, where a class was renamed
                db.execute(
                    "UPDATE clip_changes SET before = ?, after = ? WHERE clip = ? AND seq = ? AND key = ?",
                    (kept["before"], kept["after"], self.id, seq, BEYOND),
                )
            self._write_values(db, changes)
            standing = self._moved(db, head)
        self._apply(changes, standing)
        return changes | self._since(values, beyond), beyond

    def _real(self, changes: Changes) -> Changes:
        return {key: value for key, value in changes.items() if self._values.get(key) != value}

    def _write(self, db: Any, seq: int, changes: Changes) -> None:
        rows = [
            (self.id, seq, key, _text(self._values.get(key)), _text(value)) for key, value in changes.items()
        ]
        db.executemany(
            "INSERT INTO clip_changes VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT(clip, seq, key) DO UPDATE SET after = excluded.after",
            rows,
        )
        self._write_values(db, changes)

    def _write_values(self, db: Any, changes: Changes) -> None:
        gone = [(self.id, key) for key, value in changes.items() if value is None]
        db.executemany("DELETE FROM clip_values WHERE clip = ? AND key = ?", gone)
        kept = [(self.id, key, _text(value)) for key, value in changes.items() if value is not None]
        db.executemany("INSERT OR REPLACE INTO clip_values VALUES (?, ?, ?)", kept)

    def _moved(self, db: Any, head: int) -> Standing:
        values = (self._version + 1, head, self.id)
        db.execute("UPDATE clips SET version = ?, head = ? WHERE id = ?", values)
        return Standing(self._version + 1, head, *self._titles(db, head))

    def _apply(self, changes: Changes, standing: Standing) -> None:
        """Into memory, once it is in the file."""
        for key, value in changes.items():
            if value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = value
        self._standing, self._version, self._head = standing, standing.version, standing.head

    def _read_standing(self, db: Any) -> Standing:
        return Standing(self._version, self._head, *self._titles(db, self._head))

    def _titles(self, db: Any, head: int) -> tuple[str | None, str | None]:
        rows = dict(
            db.execute(
                "SELECT seq, title FROM clip_history WHERE clip = ? AND seq IN (?, ?)",
                (self.id, head, head + 1),
            ).fetchall()
        )
        return rows.get(head), rows.get(head + 1)


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)
