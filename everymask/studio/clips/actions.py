"""What a person can do to the objects of a clip, as data; tracking is asked for apart (``clip.py``).

Coordinates are pixels of the frame, frames count from 0. ``object`` None makes a new object.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..actions import (
    Action,
    Add,
    Box,
    Click,
    Ids,
    Label,
    RemovePrompt,
    RenameClass,
    Rings,
    SetClass,
    Stroke,
)

Frame = Annotated[int, Field(ge=0, le=100_000_000)]
ObjectId = Annotated[int, Field(ge=1, le=1_000_000)]


class _OnFrame(Action):
    frame: Frame
    object: ObjectId | None = None
    label: Label | None = None  # of a new object


class ClipClick(_OnFrame, Click):
    """A point that belongs to the object on this frame, or (``include`` false) does not."""


class ClipBox(_OnFrame, Box):
    """A box around the object on this frame, XYXY; it takes the place of what was said there before."""


class ClipBrush(_OnFrame, Stroke):
    """Paints a stroke into the object's mask on this frame, or (``erase``) out of it."""


class ClipPolygon(_OnFrame, Rings):
    """Gives the object the pixels within rings on this frame (even-odd: a ring within a ring is a hole)."""


class ClipAdd(Add):
    """Adds masks on a frame, each a new object: those that words found, or of another program."""

    frame: Frame


class ClipAbsent(Action):
    """Says that the object is not on this frame."""

    type: Literal["absent"] = "absent"
    frame: Frame
    object: ObjectId


class ClipRemovePrompt(RemovePrompt):
    """Takes one prompt of the object on this frame away; the others are asked again in their order."""

    frame: Frame
    object: ObjectId


class ClipForget(Action):
    """Forgets masks and prompts of objects on the frames from ``first`` to ``last``, both among them."""

    type: Literal["forget"] = "forget"
    objects: Ids
    first: Frame
    last: Frame


class ClipDelete(Action):
    """Deletes objects, with all their masks."""

    type: Literal["delete"] = "delete"
    objects: Ids


class ClipLabel(Action):
    """Gives objects a class, or takes it from them."""

    type: Literal["label"] = "label"
    objects: Ids
    label: Label | None


class ClipLock(Action):
    """Protects objects: they are not tracked and not changed, or no longer."""

    type: Literal["lock"] = "lock"
    objects: Ids
    locked: bool = True


CLIP_ACTIONS = (
    ClipClick
    | ClipBox
    | ClipBrush
    | ClipPolygon
    | ClipAdd
    | ClipAbsent
    | ClipRemovePrompt
    | ClipForget
    | ClipDelete
    | ClipLabel
    | ClipLock
    | SetClass
    | RenameClass
)
AnyClipAction = Annotated[CLIP_ACTIONS, Field(discriminator="type")]
