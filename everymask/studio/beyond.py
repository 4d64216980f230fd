"""What a step changes beyond its masks: the list of classes, the name of one, the "done" mark.

It is kept in the history of the photo or clip where it was done, and undone there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from everymask import InputError

from .actions import Add, RenameClass, SetClass, SetDone
from .classes import ClassRow, class_patch, with_class, with_labels

Beyond = dict[str, Any]
"""``classes`` (a ClassPatch), ``renamed`` [old, new], ``done``: those that change, as JSON values."""


def asked_beyond(action: Any, classes: Sequence[ClassRow]) -> tuple[Beyond, str] | None:
    """What an action changes beyond the masks, and its title; None for an action on masks.

    Raises InputError where it cannot be done.
    """
    if isinstance(action, SetDone):
        return {"done": action.done}, "done" if action.done else "not done"
    names = [row["name"] for row in classes]
    if isinstance(action, RenameClass):
        if action.name not in names:
            raise InputError(f"there is no class {action.name!r} on the list")
        if action.to == action.name:
            raise InputError(f"the class is called {action.to!r} already")
        return {"renamed": [action.name, action.to]}, f"rename {action.name}"
    if isinstance(action, SetClass):
        patch = class_patch(classes, with_class(classes, action))
        verb = (
            "take off the list:"
            if action.color is None
            else "colour"
            if action.name in names
            else "add class"
        )
        return {"classes": patch} if patch else {}, f"{verb} {action.name}"
    return None


def learnt(action: Any, classes: Sequence[ClassRow]) -> Beyond:
    """What an action on masks changes beyond them: labels that are no classes yet become some."""
    labels = (
        [new.label for new in action.masks] if isinstance(action, Add) else [getattr(action, "label", None)]
    )
    patch = class_patch(classes, with_labels(classes, labels))
    return {"classes": patch} if patch else {}


def class_news(patch: Mapping[str, Any], classes: Sequence[ClassRow]) -> dict[str, Any]:
    """What pages are told of the classes after a step; empty where it did not change them."""
    if not patch.keys() & {"classes", "renamed"}:
        return {}
    return {"classes": list(classes), "renamed": patch.get("renamed")}
