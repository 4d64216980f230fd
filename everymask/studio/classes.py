"""The classes of a project: names and colours in the order of their number keys, and the difference of two
such lists, which the history of a photo or clip keeps.

Lists are JSON values, ``[{"name", "color"}, ...]``. A difference names classes one by one, so that taking a
step back leaves alone what was done to other classes since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from everymask import InputError

from .actions import SetClass

PALETTE = (
    *("#4cc9f0", "#f9a03f", "#7bd88f", "#ef6f9b", "#b79cff", "#ffd166", "#5ad1b8", "#ff7b5f", "#8fb8ff"),
    *("#d8e06a", "#e58fe0", "#9fd3a0"),
)
"""Class colours, handed out in turn."""

ClassRow = dict[str, str]
ClassPatch = dict[str, Any]
"""``rows`` {name: row, or None for off the list}, ``order`` [names]."""


def with_labels(classes: Sequence[ClassRow], labels: Iterable[str | None]) -> list[ClassRow]:
    """The classes, with those labels at the end that are none yet.

    >>> with_labels([{"name": "cat", "color": "#123456"}], ["dog", None, "cat", "dog"])[1:]
    [{'name': 'dog', 'color': '#f9a03f'}]
    """
    known = {row["name"] for row in classes}
    fresh = [label for label in dict.fromkeys(labels) if label is not None and label not in known]
    first = len(classes)
    coloured = [
        {"name": label, "color": PALETTE[(first + number) % len(PALETTE)]}
        for number, label in enumerate(fresh)
    ]
    return [*classes, *coloured]


def with_class(classes: Sequence[ClassRow], action: SetClass) -> list[ClassRow]:
    """The classes after an action. Raises InputError where there is no such class to take off the list."""
    row = {"name": action.name, "color": action.color}
    names = [each["name"] for each in classes]
    if action.color is None:
        if action.name not in names:
            raise InputError(f"there is no class {action.name!r} on the list")
        return [each for each in classes if each["name"] != action.name]
    if action.name in names:
        return [row if each["name"] == action.name else each for each in classes]  # type: ignore[misc]
    return [*classes, row]  # type: ignore[list-item]


def class_patch(before: Sequence[ClassRow], after: Sequence[ClassRow]) -> ClassPatch:
    """What turns one list into another; empty where they are equal."""
    if list(before) == list(after):
        return {}
    was, is_now = ({row["name"]: row for row in rows} for rows in (before, after))
    rows: dict[str, ClassRow | None] = {name: row for name, row in is_now.items() if was.get(name) != row}
    return {"rows": rows | dict.fromkeys(was.keys() - is_now.keys()), "order": list(is_now)}


def class_patched(classes: Sequence[ClassRow], patch: Mapping[str, Any]) -> list[ClassRow]:
    """The list that a difference makes of this one; classes that it does not know stay, at the end.

    >>> cat, dog, cup = ({"name": name, "color": "#123456"} for name in ("cat", "dog", "cup"))
    >>> [row["name"] for row in class_patched([dog, cup], class_patch([dog], [cat, dog]))]
    ['cat', 'dog', 'cup']
    """
    rows = {row["name"]: row for row in classes} | patch["rows"]
    order = [*patch["order"], *(name for name in rows if name not in patch["order"])]
    return [row for name in order if (row := rows.get(name)) is not None]
