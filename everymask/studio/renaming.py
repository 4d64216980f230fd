"""A class gets another name, everywhere in a project file: on masks, in their history, in the class list.

The two names change places, so that doing it again takes it back. Where masks of today have the new name
already it is refused: two classes would become one, and nothing could take them apart again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from everymask.errors import InputError

FROM_FILES = "renamed"
"""The setting that says how classes of mask files are called now, for photos that were not opened yet."""

RENAMINGS = {
    "history": """SELECT photo, seq, forward, backward, seq <= head FROM history
        JOIN documents USING(photo) WHERE instr(forward, '"renamed"')""",
    "clip_changes": """SELECT clip, seq, after, before, seq <= head FROM clip_changes
        JOIN clips ON clips.id = clip WHERE key = 'beyond' AND instr(after, '"renamed"')""",
}
"""Earlier renamings, forward and backward, and whether they are done now or taken back."""

KEEP = {
    "history": "UPDATE history SET forward = ?, backward = ? WHERE photo = ? AND seq = ?",
    "clip_changes": """UPDATE clip_changes SET after = ?, before = ?
        WHERE clip = ? AND seq = ? AND key = 'beyond'""",
}

NAMED = ("numbers", "more")
"""The parts of class numbers that are mappings by name."""

Swap = Callable[[Any], Any]


@dataclass(frozen=True)
class Touched:
    """Whose masks have another class now."""

    photos: frozenset[int]
    clips: frozenset[int]


def rename(db: sqlite3.Connection, old: str, new: str) -> Touched:
    """Call the class ``old`` ``new``. Within a transaction.

    Raises InputError where a class or a mask has the new name already.
    """
    if _is_used(db, new):
        raise InputError(
            f"a class or a mask is called {new!r} already; choose another name, or give the masks of {old!r} "
            "that class"
        )
    swap: Swap = {old: new, new: old}.get
    photos = _rewrite(db, "masks", ("photo", "id"), ("record",), (old, new), swap, _labelled)
    _rewrite(db, "history", ("photo", "seq"), ("forward", "backward"), (old, new), swap, _patch)
    clips: set[int] = set()
    if _has_clips(db):
        clips = _rewrite(db, "clip_values", ("clip", "key"), ("value",), (old, new), swap, _labelled)
        keys = ("clip", "seq", "key")
        _rewrite(db, "clip_changes", keys, ("before", "after"), (old, new), swap, _labelled_or_patch)
    for table in ("history", *(["clip_changes"] if _has_clips(db) else [])):
        _follow(db, table, old, new)
    _rewrite(db, "settings", ("key",), ("value",), (old, new), swap, _setting)
    _learn(db, old, new)
    return Touched(frozenset(photos), frozenset(clips))


def _is_used(db: sqlite3.Connection, name: str) -> bool:
    (classes,) = db.execute("SELECT value FROM settings WHERE key = 'classes'").fetchone() or ("[]",)
    if any(row["name"] == name for row in json.loads(classes)):
        return True
    tables = [("masks", "record"), *([("clip_values", "value")] if _has_clips(db) else [])]
    return any(
        json.loads(text).get("label") == name
        for table, column in tables
        for (text,) in db.execute(
            f"SELECT {column} FROM {table} WHERE instr({column}, ?)", (json.dumps(name),)
        )
    )


def _has_clips(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT 1 FROM sqlite_master WHERE name = 'clips'").fetchone())


def _rewrite(
    db: sqlite3.Connection,
    table: str,
    keys: tuple[str, ...],
    columns: tuple[str, ...],
    names: tuple[str, str],
    swap: Swap,
    renamed: Callable[[Any, Swap], Any],
) -> set[int]:
    """Rewrite JSON columns in which a name occurs; the first keys of rows that changed."""
    holds = " OR ".join(f"instr({column}, ?)" for column in columns for _ in names)
    quoted = [json.dumps(name) for _ in columns for name in names]
    found = db.execute(f"SELECT {', '.join(keys + columns)} FROM {table} WHERE {holds}", quoted).fetchall()
    touched = set()
    for row in found:
        key, texts = row[: len(keys)], row[len(keys) :]
        before = [None if text is None else json.loads(text) for text in texts]
        after = [renamed(value, swap) for value in before]
        if after == before:
            continue
        touched.add(key[0])
        written = [None if value is None else json.dumps(value) for value in after]
        put, where = (" = ?, ".join(columns), " = ? AND ".join(keys))
        db.execute(f"UPDATE {table} SET {put} = ? WHERE {where} = ?", [*written, *key])
    return touched


def _named(name: Any, swap: Swap) -> Any:
    return name if name is None else swap(name) or name


def _labelled(value: Any, swap: Swap) -> Any:
    """A mask's record, or an object of a clip."""
    if isinstance(value, dict) and "label" in value:
        return {**value, "label": _named(value["label"], swap)}
    return value


def _patch(patch: Any, swap: Swap) -> Any:
    """A patch of the history: masks and classes."""
    after = dict(patch)
    if "masks" in patch:
        after["masks"] = {id: _labelled(record, swap) for id, record in patch["masks"].items()}
    if "classes" in patch:
        rows, order = patch["classes"]["rows"], patch["classes"]["order"]
        after["classes"] = {
            "rows": {_named(name, swap): row and _row(row, swap) for name, row in rows.items()},
            "order": [_named(name, swap) for name in order],
        }
    return after


def _follow(db: sqlite3.Connection, table: str, old: str, new: str) -> None:
    """Earlier renamings are about the class by the name of today; the other name is one that it had."""
    for owner, seq, forward, backward, is_done in db.execute(RENAMINGS[table]).fetchall():
        ahead, back = json.loads(forward), json.loads(backward)
        names = list(ahead["renamed"])
        now = 1 if is_done else 0
        if names[now] == old:
            names[now] = new
            ahead["renamed"], back["renamed"] = names, names[::-1]
            db.execute(KEEP[table], (json.dumps(ahead), json.dumps(back), owner, seq))


def _labelled_or_patch(value: Any, swap: Swap) -> Any:
    if isinstance(value, dict) and "label" not in value:
        return _patch(value, swap)
    return _labelled(value, swap)


def _row(row: Mapping[str, str], swap: Swap) -> dict[str, str]:
    return {**row, "name": _named(row["name"], swap)}


def _setting(value: Any, swap: Swap) -> Any:
    """The list of classes, or the class numbers of a file."""
    if isinstance(value, list) and all(isinstance(row, dict) and "color" in row for row in value):
        return [_row(row, swap) for row in value]
    if isinstance(value, dict) and "numbers" in value:
        named = {part: {_named(name, swap): each for name, each in value[part].items()} for part in NAMED}
        return {**value, **named}
    return value


def _learn(db: sqlite3.Connection, old: str, new: str) -> None:
    """How classes are called that photos opened later bring along."""
    (text,) = db.execute("SELECT value FROM settings WHERE key = ?", (FROM_FILES,)).fetchone() or ("{}",)
    known: dict[str, str] = json.loads(text)
    called_so = [name for name, now in known.items() if now == old]
    known |= dict.fromkeys(called_so or [old], new)
    known = {name: now for name, now in known.items() if name != now}
    db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (FROM_FILES, json.dumps(known)))
