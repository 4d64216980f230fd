"""What a person can do to the objects of a clip, as data; tracking is asked for apart (``clip.py``).

Coordinates are pixels of the frame, frames count from 0. ``object`` None makes a new object.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..actions import Coordinate, Ids, Label, Point

Frame = Annotated[int, Field(ge=0, le=100_000_000)]
ObjectId = Annotated[int, Field(ge=1, le=1_000_000)]


class _Action(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClipClick(_Action):
    """A point that belongs to the object on this frame, or (``include`` false) does not."""

    type: Literal["click"] = "click"
    frame: Frame
    object: ObjectId | None = None
    x: Coordinate
    y: Coordinate
    include: bool = True
    label: Label | None = None  # of a new object


class ClipBox(_Action):
    """A box around the object on this frame, XYXY; it takes the place of what was said there before."""

    type: Literal["box"] = "box"
    frame: Frame
    object: ObjectId | None = None
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate]
    label: Label | None = None


class ClipBrush(_Action):
    """Paints a stroke into the object's mask on this frame, or (``erase``) out of it."""

    type: Literal["brush"] = "brush"
    frame: Frame
    object: ObjectId | None = None
    points: Annotated[list[Point], Field(min_length=1, max_length=100_000)]
    radius: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]
    erase: bool = False
    label: Label | None = None


class ClipAbsent(_Action):
    """Says that the object is not on this frame."""

    type: Literal["absent"] = "absent"
    frame: Frame
    object: ObjectId


class ClipRemovePrompt(_Action):
    """Takes one prompt of the object on this frame away; the others are asked again in their order."""

    type: Literal["remove_prompt"] = "remove_prompt"
    frame: Frame
    object: ObjectId
    index: Annotated[int, Field(ge=0)]


class ClipForget(_Action):
    """Forgets masks and prompts of objects on the frames from ``first`` to ``last``, both among them."""

    type: Literal["forget"] = "forget"
    objects: Ids
    first: Frame
    last: Frame


class ClipDelete(_Action):
    """Deletes objects, with all their masks."""

    type: Literal["delete"] = "delete"
    objects: Ids


class ClipLabel(_Action):
    """Gives objects a class, or takes it from them."""

    type: Literal["label"] = "label"
    objects: Ids
    label: Label | None


class ClipLock(_Action):
    """Protects objects: they are not tracked and not changed, or no longer."""

    type: Literal["lock"] = "lock"
    objects: Ids
    locked: bool = True


CLIP_ACTIONS = (
    ClipClick
    | ClipBox
    | ClipBrush
    | ClipAbsent
    | ClipRemovePrompt
    | ClipForget
    | ClipDelete
    | ClipLabel
    | ClipLock
)
AnyClipAction = Annotated[CLIP_ACTIONS, Field(discriminator="type")]
