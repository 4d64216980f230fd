"""The prompts of ``everymask predict``: what the flags say about each object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import PromptError
from ...prompts import read_prompts
from ..shared.named import split_name
from ..shared.rough_masks import read_rough_mask


@dataclass
class ObjectPrompt:
    """Everything that is said about one object."""

    points: list[tuple[float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    box: list[float] | None = None
    mask: Path | None = None
    name: str | None = None
    """What the object is called, where it was said: @ID=NAME."""


def read_object_prompts(
    points: Sequence[str], boxes: Sequence[str], masks: Sequence[str]
) -> dict[str, ObjectPrompt]:
    """What the flags say about each object, by its id.

    >>> read_object_prompts(["3,4", "5,6,0"], [], [])["1"].labels
    [1, 0]
    """
    objects: dict[str, ObjectPrompt] = {}

    def said_of(text: str, default_id: str) -> tuple[str, str, ObjectPrompt]:
        value, object_id, name = split_name(text)
        object_id = object_id or default_id
        prompt = objects.setdefault(object_id, ObjectPrompt())
        if name and prompt.name not in (None, name):
            raise PromptError(f"object {object_id} has two names, {prompt.name} and {name}; give it one")
        prompt.name = name or prompt.name
        return value, object_id, prompt

    several_boxes = len(boxes) > 1 and not any("@" in box for box in boxes)
    if several_boxes and any("@" not in text for text in (*points, *masks)):
        raise PromptError(
            f"with {len(boxes)} boxes a point or mask must say whose it is; write @1, @2, ... after it: "
            "the boxes count from 1"
        )
    for number, text in enumerate(boxes, 1):
        value, object_id, prompt = said_of(text, str(number) if several_boxes else "1")
        if prompt.box is not None:
            raise PromptError(f"object {object_id} has two boxes; give each object one")
        prompt.box = read_numbers(value, "--box", (4,))
    for text in points:
        value, _, prompt = said_of(text, "1")
        x, y, *label = read_numbers(value, "--point", (2, 3))
        if label and label[0] not in (0, 1):
            raise PromptError(f"the third number of --point is 1 (object) or 0 (not), got {text!r}")
        prompt.points.append((x, y))
        prompt.labels.append(int(label[0]) if label else 1)
    for text in masks:
        value, _, prompt = said_of(text, "1")
        prompt.mask = Path(value)
    if not objects:
        raise PromptError("nothing is asked for; give --point X,Y or --box X0,Y0,X1,Y1 or --mask FILE")
    return objects


def check_against(photo_hw: tuple[int, int], prompts: dict[str, ObjectPrompt]) -> dict[str, np.ndarray]:
    """The rough masks, bool [H, W], by object; all that is asked is checked against the photo.

    Raises :class:`PromptError` before any model is loaded.
    """
    masks = {}
    for object_id, prompt in prompts.items():
        if prompt.mask is not None:
            masks[object_id] = read_rough_mask(prompt.mask, photo_hw)
        if prompt.points or prompt.box is not None:
            said: dict[str, Any] = {
                "points": prompt.points or None,
                "labels": prompt.labels or None,
                "box": prompt.box,
            }
            read_prompts(photo_hw, (1, 1), **said)
    return masks


def names_of(labels: Sequence[str], prompts: dict[str, ObjectPrompt]) -> dict[str, str]:
    """What each object is called: by ``--label NAME[@ID]``, by @ID=NAME, or "object ID".

    >>> names_of(["dog"], {"1": ObjectPrompt(), "2": ObjectPrompt(name="cat")})
    {'1': 'dog', '2': 'cat'}
    """
    called = {object_id: prompt.name for object_id, prompt in prompts.items()}
    for text in labels:
        name, object_id, _ = split_name(text)
        if object_id and object_id not in prompts:
            raise PromptError(
                f"--label {text} names object {object_id}; the objects are {', '.join(prompts)}"
            )
        for each in [object_id] if object_id else [one for one in called if called[one] is None]:
            if called[each] not in (None, name):
                raise PromptError(f"object {each} has two names, {called[each]} and {name}; give it one")
            called[each] = name
    return {object_id: name or f"object {object_id}" for object_id, name in called.items()}


def read_numbers(text: str, flag: str, counts: tuple[int, ...]) -> list[float]:
    """The numbers of a point or box, as many as one of ``counts``. Raises ``PromptError``."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in counts:
        expected = "X,Y or X,Y,0|1" if flag == "--point" else "X0,Y0,X1,Y1"
        raise PromptError(f"{flag} must be {expected} in pixels, got {text!r}")
    return numbers
