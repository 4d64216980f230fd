"""The prompts of ``everymask predict``: what the flags say about each object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import PromptError


@dataclass
class ObjectPrompt:
    """Everything that is said about one object."""

    points: list[tuple[float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    box: list[float] | None = None
    mask: Path | None = None


def read_object_prompts(
    points: Sequence[str], boxes: Sequence[str], masks: Sequence[str]
) -> dict[str, ObjectPrompt]:
    """What the flags say about each object, by its id.

    >>> read_object_prompts(["3,4", "5,6,0"], [], [])["1"].labels
    [1, 0]
    """
    objects: dict[str, ObjectPrompt] = {}
    several_boxes = len(boxes) > 1 and not any("@" in box for box in boxes)
    if several_boxes and any("@" not in text for text in (*points, *masks)):
        raise PromptError(
            f"with {len(boxes)} boxes a point or mask must say whose it is; write @1, @2, ... after it: "
            "the boxes count from 1"
        )
    for number, text in enumerate(boxes, 1):
        value, name = _split(text, str(number) if several_boxes else "1")
        prompt = objects.setdefault(name, ObjectPrompt())
        if prompt.box is not None:
            raise PromptError(f"object {name} has two boxes; give each object one")
        prompt.box = _numbers(value, "--box", (4,))
    for text in points:
        value, name = _split(text, "1")
        x, y, *label = _numbers(value, "--point", (2, 3))
        if label and label[0] not in (0, 1):
            raise PromptError(f"the third number of --point is 1 (object) or 0 (not), got {text!r}")
        prompt = objects.setdefault(name, ObjectPrompt())
        prompt.points.append((x, y))
        prompt.labels.append(int(label[0]) if label else 1)
    for text in masks:
        value, name = _split(text, "1")
        objects.setdefault(name, ObjectPrompt()).mask = Path(value)
    if not objects:
        raise PromptError("nothing is asked for; give --point X,Y or --box X0,Y0,X1,Y1 or --mask FILE")
    return objects


def _split(text: str, default_id: str) -> tuple[str, str]:
    value, _, name = text.rpartition("@") if "@" in text else (text, "", default_id)
    return value, name


def _numbers(text: str, flag: str, counts: tuple[int, ...]) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in counts:
        expected = {"--point": "X,Y or X,Y,0|1", "--box": "X0,Y0,X1,Y1"}[flag]
        raise PromptError(f"{flag} must be {expected} in pixels, got {text!r}")
    return numbers
