"""From the words of ``everymask track`` to prompts: FRAME:VALUE[@ID[=NAME]], or a JSON file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from ...errors import PromptError
from ...formats.text import read_json
from ..shared.named import split_name


@dataclass
class FramePrompt:
    """What is said of one object on one frame."""

    frame: int  # its index, from 0; people type and read it from 1
    object_id: int
    points: list[list[float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    box: list[float] | None = None
    mask: str | None = None
    name: str | None = None
    """What the object is called; masks do not depend on it."""

    def to_dict(self) -> dict[str, Any]:
        """As the JSON file has it, frames from 1."""
        known = {"frame": self.frame + 1, "object": self.object_id}
        said = {"points": self.points, "labels": self.labels, "box": self.box, "mask": self.mask}
        return {**known, **{name: value for name, value in said.items() if value}}


def read_track_prompts(
    points: Sequence[str], boxes: Sequence[str], masks: Sequence[str], file: Path | None
) -> list[FramePrompt]:
    """The prompts of flags and file, one for each frame and object, by frame.

    >>> [p.to_dict() for p in read_track_prompts(["1:3,4", "1:9,9,0"], [], [], None)]
    [{'frame': 1, 'object': 1, 'points': [[3.0, 4.0], [9.0, 9.0]], 'labels': [1, 0]}]
    """
    prompts: dict[tuple[int, int], FramePrompt] = {}
    for entry in _entries(file):
        _merge(prompts, entry)
    several = len(boxes) > 1 and not any("@" in text for text in boxes)
    for number, text in enumerate(boxes, 1):
        frame, value, object_id, name = _parts("--box", "FRAME:X0,Y0,X1,Y1", text, number if several else 1)
        box = _numbers("--box", "FRAME:X0,Y0,X1,Y1", text, value, (4,))
        _merge(prompts, FramePrompt(frame, object_id, box=box, name=name))
    for text in points:
        frame, value, object_id, name = _parts("--point", "FRAME:X,Y[,0|1]", text, 1)
        x, y, *label = _numbers("--point", "FRAME:X,Y[,0|1]", text, value, (2, 3))
        if label and label[0] not in (0, 1):
            raise PromptError(f"the last number of --point is 1 (object) or 0 (not), got {text!r}")
        labels = [int(label[0]) if label else 1]
        _merge(prompts, FramePrompt(frame, object_id, points=[[x, y]], labels=labels, name=name))
    for text in masks:
        frame, value, object_id, name = _parts("--mask", "FRAME:FILE", text, 1)
        _merge(prompts, FramePrompt(frame, object_id, mask=value, name=name))
    if not prompts:
        raise PromptError(
            "nothing is asked for; give --point FRAME:X,Y or --box FRAME:X0,Y0,X1,Y1 or --mask FRAME:FILE "
            "or --prompts FILE.json"
        )
    return [prompts[key] for key in sorted(prompts)]


def _merge(prompts: dict[tuple[int, int], FramePrompt], new: FramePrompt) -> None:
    old = prompts.setdefault((new.frame, new.object_id), FramePrompt(new.frame, new.object_id))
    if new.box is not None and old.box is not None:
        raise PromptError(f"object {new.object_id} has two boxes on frame {new.frame + 1}; give it one")
    old.points += new.points
    old.labels += new.labels
    old.box = new.box or old.box
    old.mask = new.mask or old.mask
    old.name = new.name or old.name
    if old.mask and (old.points or old.box):
        raise PromptError(
            f"object {new.object_id} has a mask and points or a box on frame {new.frame + 1}; a mask says all"
        )


def _entries(file: Path | None) -> list[FramePrompt]:
    if file is None:
        return []
    value = read_json(file)
    if not isinstance(value, list):
        raise PromptError(f'{file} must hold a list of {{"frame": 1, "object": 1, "points": [[x, y]], ...}}')
    return [_entry(one, f"entry {index} of {file}") for index, one in enumerate(value, 1)]


def _entry(value: Any, where: str) -> FramePrompt:
    known = {"frame", "object", "name", "points", "labels", "box", "mask"}
    if not isinstance(value, dict) or not set(value) <= known:
        raise PromptError(
            f"{where} must be an object with {', '.join(sorted(known))}; got {json.dumps(value)[:80]}"
        )
    frame = _number(value.get("frame"), "frame", where, least=1) - 1
    object_id = _number(value.get("object", 1), "object", where)
    points, labels, box, mask = (value.get(name) for name in ("points", "labels", "box", "mask"))
    points = [] if points is None else _rows(points, "points", "[[x, y], ...]", where)
    labels = [1] * len(points) if labels is None else labels
    if not isinstance(labels, list) or any(label not in (0, 1) for label in labels):
        raise PromptError(f"labels of {where} must be a list of 1 (object) and 0 (not), got {labels!r}")
    if len(labels) != len(points):
        raise PromptError(f"{where} has {len(points)} points and {len(labels)} labels")
    if box is not None:
        (box,) = _rows([box], "box", "[x0, y0, x1, y1]", where, 4)
    if mask is not None and not isinstance(mask, str):
        raise PromptError(f"mask of {where} must be the name of a file, got {mask!r}")
    if not points and box is None and mask is None:
        raise PromptError(f"{where} says nothing of the object; give it points, box or mask")
    name = value.get("name")
    if name is not None and not isinstance(name, str):
        raise PromptError(f"name of {where} must be a word, got {json.dumps(name)}")
    return FramePrompt(frame, object_id, points, labels, box, mask, name)


def _number(value: Any, name: str, where: str, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise PromptError(f"{name} of {where} must be a whole number from {least}, got {json.dumps(value)}")
    return value


def _rows(value: Any, name: str, expected: str, where: str, length: int = 2) -> list[list[float]]:
    """A list of rows of finite numbers."""
    rows: list[Any] = value if isinstance(value, list) else [None]
    for row in rows:
        fits = isinstance(row, list) and len(row) == length
        if not fits or not all(isinstance(each, (int, float)) and isfinite(each) for each in row):
            raise PromptError(f"{name} of {where} must be {expected} in pixels, got {json.dumps(value)[:80]}")
    return rows


def _parts(flag: str, expected: str, text: str, default_id: int) -> tuple[int, str, int, str | None]:
    """The frame, the value, the object and its name of FRAME:VALUE[@ID[=NAME]]."""
    value, who, name = split_name(text)
    who = who or str(default_id) if "@" not in text else who
    frame, colon, rest = value.partition(":")
    if not colon or not frame.strip().isdecimal() or not who.isdecimal():
        raise PromptError(f"{flag} must be {expected}[@ID] with whole numbers FRAME and ID, got {text!r}")
    if int(frame) < 1:
        raise PromptError(f"frames count from 1, got {flag} {text}; the first frame is 1:{rest}")
    return int(frame) - 1, rest, int(who), name or None


def names_of(prompts: Sequence[FramePrompt]) -> dict[int, str]:
    """What objects are called, by number. Raises :class:`PromptError` for one that has two names.

    >>> names_of(read_track_prompts(["1:3,4@2=dog", "6:3,4@2"], [], [], None))
    {2: 'dog'}
    """
    names: dict[int, str] = {}
    for prompt in prompts:
        if prompt.name and names.setdefault(prompt.object_id, prompt.name) != prompt.name:
            raise PromptError(
                f"object {prompt.object_id} has two names, {names[prompt.object_id]} and {prompt.name}; "
                "give it one"
            )
    return names


def added(earlier: Sequence[dict[str, Any]], now: Sequence[FramePrompt]) -> list[FramePrompt] | None:
    """What is said now beyond what was said earlier (:meth:`FramePrompt.to_dict`); None when something of it
    was taken back or changed.

    >>> before = [each.to_dict() for each in read_track_prompts(["1:3,4"], [], [], None)]
    >>> more = added(before, read_track_prompts(["1:3,4", "1:9,9"], [], [], None))
    >>> [each.points for each in more]
    [[[9.0, 9.0]]]
    """
    more = []
    said = {(each["frame"] - 1, each["object"]): each for each in earlier}
    for prompt in now:
        before = said.pop((prompt.frame, prompt.object_id), None)
        if before is None:
            more.append(prompt)
            continue
        points, labels = before.get("points", []), before.get("labels", [])
        count = len(points)
        same = prompt.points[:count] == points and prompt.labels[:count] == labels
        if not same or prompt.box != before.get("box") or prompt.mask != before.get("mask"):
            return None
        if len(prompt.points) > count:
            rest = prompt.points[count:], prompt.labels[count:]
            more.append(FramePrompt(prompt.frame, prompt.object_id, *rest))
    return None if said else more


def _numbers(flag: str, expected: str, text: str, value: str, counts: tuple[int, ...]) -> list[float]:
    try:
        numbers = [float(part) for part in value.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in counts or not all(map(isfinite, numbers)):
        raise PromptError(f"{flag} must be {expected} in pixels, got {text!r}")
    return numbers
