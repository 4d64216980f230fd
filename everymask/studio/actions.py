"""What a person can do to the masks of a photo, as data: ``perform(document, action, tools) -> document``.

Each action is a small model that FastAPI reads from JSON, checks and describes in OpenAPI; ``ACTIONS`` is
their union. An action that cannot be done raises :class:`everymask.InputError` and changes nothing.
Coordinates are pixels of the photo, x right, y down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Annotated, Any, Literal, Protocol

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from everymask import InputError, Mask
from everymask.formats.raster import fill_rings
from everymask.formats.record import plain_attributes
from everymask.masks.regions import drop_small_islands, fill_enclosed_holes

from .document import Document, Draft, Item, Step
from .soft_edges import feathered

Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
Point = tuple[Coordinate, Coordinate]
Label = Annotated[str, Field(min_length=1, max_length=200)]
Color = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
Ids = Annotated[list[int], Field(min_length=1, max_length=100_000)]


class Tools(Protocol):
    """What actions need besides the document."""

    def chosen_mask(self, draft: Draft, seed: Mask | None) -> tuple[np.ndarray, float]:
        """The mask of a draft, bool [H, W], and its score."""


class Action(BaseModel):
    """What all actions have in common, on photos and in clips."""

    model_config = ConfigDict(extra="forbid")


class Click(Action):
    """A point that belongs to the object, or (``include`` false) does not."""

    type: Literal["click"] = "click"
    x: Coordinate
    y: Coordinate
    include: bool = True


class Box(Action):
    """A box around the object, XYXY; it takes the place of an earlier one."""

    type: Literal["box"] = "box"
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate]


class RemovePrompt(Action):
    """Takes one prompt of the draft away; the others are asked again in their order."""

    type: Literal["remove_prompt"] = "remove_prompt"
    index: Annotated[int, Field(ge=0)]


class MovePrompt(Action):
    """Moves a point of the draft."""

    type: Literal["move_prompt"] = "move_prompt"
    index: Annotated[int, Field(ge=0)]
    x: Coordinate
    y: Coordinate


class Choose(Action):
    """Picks one of the candidates (whole, part, subpart) of the last prompt."""

    type: Literal["choose"] = "choose"
    candidate: Annotated[int, Field(ge=0, le=2)]


class Cancel(Action):
    """Gives the draft up."""

    type: Literal["cancel"] = "cancel"


class Accept(Action):
    """Makes the draft's mask one of the photo's."""

    type: Literal["accept"] = "accept"
    label: Label | None = None


class Reopen(Action):
    """Opens a mask again, to be corrected by clicks."""

    type: Literal["reopen"] = "reopen"
    mask: int


class Delete(Action):
    """Deletes masks."""

    type: Literal["delete"] = "delete"
    masks: Ids


class SetLabel(Action):
    """Gives masks a class, or takes it from them."""

    type: Literal["label"] = "label"
    masks: Ids
    label: Label | None


class Lock(Action):
    """Protects masks from change, or no longer."""

    type: Literal["lock"] = "lock"
    masks: Ids
    locked: bool = True


class Merge(Action):
    """Makes one mask of several, in the place of the first."""

    type: Literal["merge"] = "merge"
    masks: Annotated[list[int], Field(min_length=2)]


class Subtract(Action):
    """Takes the pixels of the other masks out of the first one."""

    type: Literal["subtract"] = "subtract"
    masks: Annotated[list[int], Field(min_length=2)]


class Reorder(Action):
    """Moves masks within the order, so that the first of them gets the place ``to``."""

    type: Literal["reorder"] = "reorder"
    masks: Ids
    to: Annotated[int, Field(ge=0)]


class Stroke(Action):
    """A stroke of a round pen, that paints or (``erase``) takes away."""

    type: Literal["brush"] = "brush"
    points: Annotated[list[Point], Field(min_length=1, max_length=100_000)]
    radius: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]
    erase: bool = False
    label: Label | None = None


class Brush(Stroke):
    """Paints a stroke into a mask, or (``erase``) out of it; without ``mask`` a new mask."""

    mask: int | None = None


class Rings(Action):
    """The pixels within rings (even-odd: a ring within a ring is a hole)."""

    type: Literal["polygon"] = "polygon"
    rings: Annotated[list[Annotated[list[Point], Field(min_length=3)]], Field(min_length=1)]
    label: Label | None = None


class Polygon(Rings):
    """Gives a mask the pixels within rings (even-odd: a ring within a ring is a hole)."""

    mask: int | None = None


class Clean(Action):
    """Fills holes and drops islands below a size in pixels, and grows (or shrinks) the mask's edge."""

    type: Literal["clean"] = "clean"
    masks: Ids
    fill_holes: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    drop_islands: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    grow: Annotated[int, Field(ge=-500, le=500)] = 0


class NewMask(Action):
    """A mask that came from elsewhere: run lengths as COCO writes them, for a photo of this size."""

    counts: str
    label: Label | None = None
    predicted_iou: float | None = None
    stability_score: float | None = None
    points: list[Point] | None = None
    attributes: dict[str, Any] | None = None


class Feather(Action):
    """How many pixels the edges of masks fade over in cut-outs; 0: as many as the export says."""

    type: Literal["feather"] = "feather"
    masks: Ids
    px: Annotated[float, Field(ge=0, le=200, allow_inf_nan=False)]


class Add(Action):
    """Adds masks: those kept of everything mode, or of another program."""

    type: Literal["add"] = "add"
    masks: Annotated[list[NewMask], Field(min_length=1, max_length=100_000)]


class SetClass(Action):
    """Puts a class at the end of the list, gives it another colour, or (no colour) takes it off the list."""

    type: Literal["class"] = "class"
    name: Label
    color: Color | None = None


class RenameClass(Action):
    """Gives a class another name, on all masks of the project."""

    type: Literal["rename_class"] = "rename_class"
    name: Label
    to: Label


class SetDone(Action):
    """Says that a person has finished the photo, or has not."""

    type: Literal["done"] = "done"
    done: bool = True


def new_mask(mask: Mask) -> NewMask:
    """A mask as :class:`Add` takes it."""
    return NewMask.model_construct(  # as it is, however long its label
        counts=mask.rle["counts"],
        label=mask.label,
        predicted_iou=mask.predicted_iou,
        stability_score=mask.stability_score,
        points=None if mask.point_coords is None else [(x, y) for x, y in mask.point_coords],
        attributes=plain_attributes(mask),
    )


ACTIONS = (
    Click
    | Box
    | RemovePrompt
    | MovePrompt
    | Choose
    | Cancel
    | Accept
    | Reopen
    | Delete
    | SetLabel
    | Lock
    | Merge
    | Subtract
    | Reorder
    | Brush
    | Polygon
    | Clean
    | Feather
    | Add
    | SetClass
    | RenameClass
    | SetDone
)
AnyAction = Annotated[ACTIONS, Field(discriminator="type")]


@dataclass(frozen=True)
class Done:
    """A document after an action, and what to call the action in the history."""

    document: Document
    title: str


def perform(document: Document, action: Any, tools: Tools) -> Done:
    """The document after ``action``. Raises :class:`everymask.InputError` where it cannot be done."""
    return _perform(action, document, tools)


@singledispatch
def _perform(action: Any, document: Document, tools: Tools) -> Done:
    raise InputError(f"there is no action {type(action).__name__}")


# --- prompting ----------------------------------------------------------------------------------------


@_perform.register
def _(action: Click, document: Document, tools: Tools) -> Done:
    step = Step("point", point_within(action.x, action.y, document.photo_hw), action.include)
    return _prompted(document, step, title_of(action))


@_perform.register
def _(action: Box, document: Document, tools: Tools) -> Done:
    box = box_within(action.box, document.photo_hw)
    draft = document.draft or Draft()
    others = tuple(step for step in draft.steps if step.kind != "box")
    document = replace(document, draft=replace(draft, steps=others))
    return _prompted(document, Step("box", box), title_of(action))


def _prompted(document: Document, step: Step, title: str) -> Done:
    draft = document.draft or Draft()
    return Done(replace(document, draft=replace(draft, steps=(*draft.steps, step))), title)


@_perform.register
def _(action: RemovePrompt, document: Document, tools: Tools) -> Done:
    draft = _draft(document)
    _prompt(draft, action.index)
    steps = draft.steps[: action.index] + draft.steps[action.index + 1 :]
    rest = replace(draft, steps=steps) if steps or draft.target is not None else None
    return Done(replace(document, draft=rest), "remove a prompt")


@_perform.register
def _(action: MovePrompt, document: Document, tools: Tools) -> Done:
    draft = _draft(document)
    step = _prompt(draft, action.index)
    if step.kind != "point":
        raise InputError("a box is drawn anew, not moved; only points move")
    moved = replace(step, xy=point_within(action.x, action.y, document.photo_hw), choice=None)
    steps = (*draft.steps[: action.index], moved, *draft.steps[action.index + 1 :])
    return Done(replace(document, draft=replace(draft, steps=steps)), "move a point")


@_perform.register
def _(action: Choose, document: Document, tools: Tools) -> Done:
    draft = _draft(document)
    if not draft.steps:
        raise InputError("nothing was asked yet: click on the object first")
    last = replace(draft.steps[-1], choice=action.candidate)
    return Done(replace(document, draft=replace(draft, steps=(*draft.steps[:-1], last))), "another answer")


@_perform.register
def _(action: Cancel, document: Document, tools: Tools) -> Done:
    _draft(document)
    return Done(replace(document, draft=None), "cancel")


@_perform.register
def _(action: Accept, document: Document, tools: Tools) -> Done:
    draft = _draft(document)
    target = None if draft.target is None else document.items[draft.target]
    document = replace(document, draft=None)
    if not draft.steps:
        return Done(document, "accept")
    pixels, score = tools.chosen_mask(draft, None if target is None else target.mask)
    if not pixels.any():
        raise InputError("this answer has no pixel; click elsewhere or choose another answer")
    clicks = [step.xy for step in draft.steps if step.kind == "point" and step.include]
    known = {"predicted_iou": score, "point_coords": clicks or None}
    if target is not None:
        label = target.mask.label if action.label is None else action.label
        kept = target.mask.attributes
        changed = replace(target, mask=Mask.from_segmentation(pixels, label=label, attributes=kept, **known))
        return Done(document.with_items(changed), "correct a mask")
    mask = Mask.from_segmentation(pixels, label=action.label, **known)
    return Done(document.with_items(Item(document.next_id, mask)), "accept a mask")


@_perform.register
def _(action: Reopen, document: Document, tools: Tools) -> Done:
    _free(document, [action.mask])
    return Done(replace(document, draft=Draft(target=action.mask)), "open a mask")


# --- masks as a whole ---------------------------------------------------------------------------------


@_perform.register
def _(action: Delete, document: Document, tools: Tools) -> Done:
    items = _free(document, action.masks)
    return Done(document.without(action.masks), counted("delete", len(items)))


@_perform.register
def _(action: SetLabel, document: Document, tools: Tools) -> Done:
    items = _free(document, action.masks)
    changed = [replace(item, mask=item.mask.replace(label=action.label)) for item in items]
    return Done(document.with_items(*changed), counted("label", len(items)))


@_perform.register
def _(action: Lock, document: Document, tools: Tools) -> Done:
    items = _known(document, action.masks)
    changed = [replace(item, locked=action.locked) for item in items]
    return Done(document.with_items(*changed), counted("lock" if action.locked else "unlock", len(items)))


@_perform.register
def _(action: Merge, document: Document, tools: Tools) -> Done:
    first, *others = _free(document, action.masks)
    union = first.mask.segmentation
    for item in others:
        union |= item.mask.segmentation
    merged = replace(first, mask=_redrawn(first.mask, union))
    return Done(document.with_items(merged).without([item.id for item in others]), "merge masks")


@_perform.register
def _(action: Subtract, document: Document, tools: Tools) -> Done:
    (first,) = _free(document, action.masks[:1])
    rest = first.mask.segmentation
    for item in _known(document, action.masks[1:]):
        if item.id == first.id:
            raise InputError("a mask cannot be taken out of itself")
        rest &= ~item.mask.segmentation
    return Done(document.with_items(_kept(first, rest)), "subtract masks")


@_perform.register
def _(action: Reorder, document: Document, tools: Tools) -> Done:
    _known(document, action.masks)
    others = [id for id in document.items if id not in set(action.masks)]
    order = [*others[: action.to], *dict.fromkeys(action.masks), *others[action.to :]]
    return Done(document.in_order(order), "reorder")


@_perform.register
def _(action: Feather, document: Document, tools: Tools) -> Done:
    items = _free(document, action.masks)
    changed = [replace(item, mask=feathered(item.mask, action.px)) for item in items]
    return Done(document.with_items(*changed), counted("soften", len(items)))


@_perform.register
def _(action: Add, document: Document, tools: Tools) -> Done:
    size = list(document.photo_hw)
    items = [
        Item(
            number,
            Mask(
                {"size": size, "counts": new.counts},
                label=new.label,
                predicted_iou=new.predicted_iou,
                stability_score=new.stability_score,
                point_coords=new.points,
                attributes=new.attributes,
            ),
        )
        for number, new in enumerate(action.masks, document.next_id)
    ]
    return Done(document.with_items(*items), counted("add", len(items)))


# --- pixels -------------------------------------------------------------------------------------------


@_perform.register
def _(action: Brush, document: Document, tools: Tools) -> Done:
    if action.mask is None:
        if action.erase:
            raise InputError("choose the mask to erase from")
        nothing = np.zeros(document.photo_hw, bool)
        item = _painted(document, painted(nothing, action), action.label)
        return Done(document.with_items(item), "paint a mask")
    (item,) = _free(document, [action.mask])
    return Done(document.with_items(_kept(item, painted(item.mask.segmentation, action))), title_of(action))


@_perform.register
def _(action: Polygon, document: Document, tools: Tools) -> Done:
    pixels = fill_rings([np.array(ring) for ring in action.rings], document.photo_hw)
    if action.mask is None:
        return Done(document.with_items(_painted(document, pixels, action.label)), "draw a polygon")
    (item,) = _free(document, [action.mask])
    return Done(document.with_items(_kept(item, pixels)), "move corners")


# --- what actions on photos and in clips share ----------------------------------------------------------


def title_of(action: Click | Box | Stroke) -> str:
    """What the history calls an action that is the same on photos and in clips."""
    if isinstance(action, Click):
        return "include a point" if action.include else "exclude a point"
    if isinstance(action, Stroke):
        return "erase" if action.erase else "paint"
    return "box"


def counted(verb: str, count: int, what: str = "mask") -> str:
    """What the history calls an action on several.

    >>> counted("delete", 2)
    'delete 2 masks'
    """
    return f"{verb} {count} {what}{'' if count == 1 else 's'}"


def point_within(x: float, y: float, hw: tuple[int, int], what: str = "photo") -> tuple[float, float]:
    """The point, which must lie on the photo (or what else it is). Raises InputError."""
    height, width = hw
    if not (0 <= x < width and 0 <= y < height):
        raise InputError(f"({x:g}, {y:g}) is outside of the {what} of {width} x {height} pixels")
    return x, y


def box_within(
    box: Sequence[float], hw: tuple[int, int], what: str = "photo"
) -> tuple[float, float, float, float]:
    """The part of a box, XYXY in any order of its corners, that lies on the photo. Raises InputError."""
    height, width = hw
    x0, x1 = sorted(float(np.clip(x, 0, width)) for x in box[0::2])
    y0, y1 = sorted(float(np.clip(y, 0, height)) for y in box[1::2])
    if x1 - x0 < 1 or y1 - y0 < 1:
        raise InputError(f"a box must hold at least one pixel of the {what}, got {list(box)}")
    return x0, y0, x1, y1


def painted(pixels: np.ndarray, stroke: Stroke) -> np.ndarray:
    """A mask, bool [H, W], after a stroke."""
    height, width = pixels.shape
    touched = stroke_pixels(stroke.points, stroke.radius, (height, width))
    return pixels & ~touched if stroke.erase else pixels | touched


@_perform.register
def _(action: Clean, document: Document, tools: Tools) -> Done:
    items = _free(document, action.masks)
    return Done(document.with_items(*[_kept(item, _cleaned(item.mask, action)) for item in items]), "clean")


def _cleaned(mask: Mask, action: Clean) -> np.ndarray:
    pixels = mask.segmentation
    if action.fill_holes:
        pixels = fill_enclosed_holes(pixels, action.fill_holes)
    if action.drop_islands:
        pixels = drop_small_islands(pixels, action.drop_islands).mask
    if action.grow:
        side = 2 * abs(action.grow) + 1
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        change = cv2.dilate if action.grow > 0 else cv2.erode
        pixels = change(np.ascontiguousarray(pixels, np.uint8), disk) > 0
    return pixels


def stroke_pixels(points: Sequence[Point], radius: float, photo_hw: tuple[int, int]) -> np.ndarray:
    """The pixels under a round pen, bool [H, W]: those whose centre is within ``radius`` of the line."""
    height, width = photo_hw
    touched = np.zeros(photo_hw, dtype=bool)
    for (x0, y0), (x1, y1) in zip(points, points[1:] or points, strict=False):
        left, right = (int(np.clip(x, 0, width)) for x in (min(x0, x1) - radius, max(x0, x1) + radius + 1))
        top, bottom = (int(np.clip(y, 0, height)) for y in (min(y0, y1) - radius, max(y0, y1) + radius + 1))
        across, down = np.arange(left, right) + 0.5 - x0, np.arange(top, bottom)[:, None] + 0.5 - y0
        way_x, way_y = x1 - x0, y1 - y0
        share = (across * way_x + down * way_y) / max(way_x**2 + way_y**2, 1e-12)
        share = np.clip(share, 0, 1)
        near = (across - share * way_x) ** 2 + (down - share * way_y) ** 2 <= radius**2
        touched[top:bottom, left:right] |= near
    return touched


# --- what the above share -----------------------------------------------------------------------------


def _draft(document: Document) -> Draft:
    if document.draft is None:
        raise InputError("no object is being prompted; click on one first")
    return document.draft


def _prompt(draft: Draft, index: int) -> Step:
    if index >= len(draft.steps):
        raise InputError(f"there is no prompt {index}; the object has {len(draft.steps)}")
    return draft.steps[index]


def _known(document: Document, ids: Sequence[int]) -> list[Item]:
    missing = [id for id in ids if id not in document.items]
    if missing:
        raise InputError(f"there is no mask {missing[0]} on this photo")
    return [document.items[id] for id in dict.fromkeys(ids)]


def _free(document: Document, ids: Sequence[int]) -> list[Item]:
    """The items, if none is locked or being corrected."""
    items = _known(document, ids)
    for item in items:
        if item.locked:
            raise InputError(f"mask {item.id} is locked; unlock it to change it")
        if document.draft is not None and document.draft.target == item.id:
            raise InputError(f"mask {item.id} is being corrected; accept or cancel that first")
    return items


def _redrawn(mask: Mask, pixels: np.ndarray) -> Mask:
    """With other pixels, and without scores that speak of the old ones."""
    return Mask.from_segmentation(
        pixels, label=mask.label, point_coords=mask.point_coords, attributes=mask.attributes
    )


def _kept(item: Item, pixels: np.ndarray) -> Item:
    if not pixels.any():
        raise InputError(f"nothing would be left of mask {item.id}; delete it instead")
    return replace(item, mask=_redrawn(item.mask, pixels))


def _painted(document: Document, pixels: np.ndarray, label: str | None) -> Item:
    if not pixels.any():
        raise InputError("this lies outside of the photo")
    return Item(document.next_id, Mask.from_segmentation(pixels, label=label))
