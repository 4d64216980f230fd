"""The masks of one photo as an immutable value, and what changes from one such value to the next.

A :class:`Patch` is the difference of two documents. It is what the history keeps (one forward, one
backward an action), what undo applies, and what is sent to the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from everymask import Mask, MaskSet
from everymask.formats.record import plain_attributes


@dataclass(frozen=True, eq=False)
class Item:
    """A mask with its number in the document and what the studio knows of it."""

    id: int
    mask: Mask
    locked: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; the pixels as COCO's string."""
        mask = self.mask
        return {
            "id": self.id,
            "counts": mask.rle["counts"],
            "area": mask.area,
            "bbox": list(mask.bbox),
            "label": mask.label,
            "predicted_iou": mask.predicted_iou,
            "stability_score": mask.stability_score,
            "points": None if mask.point_coords is None else [list(xy) for xy in mask.point_coords],
            "attributes": plain_attributes(mask),
            "locked": self.locked,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], photo_hw: tuple[int, int]) -> Item:
        """The inverse of :meth:`to_json`."""
        mask = Mask(
            {"size": list(photo_hw), "counts": values["counts"]},
            label=values["label"],
            predicted_iou=values["predicted_iou"],
            stability_score=values["stability_score"],
            point_coords=values["points"],
            bbox=values["bbox"],
            attributes=values.get("attributes"),  # projects of earlier versions have none
        )
        return cls(values["id"], mask, values["locked"])


@dataclass(frozen=True)
class Step:
    """One prompt: a point that includes or excludes, or a box; and which of its answers was picked."""

    kind: str  # "point" or "box"
    xy: tuple[float, ...]  # (x, y), or (x0, y0, x1, y1), in pixels of the photo
    include: bool = True
    choice: int | None = None  # None: the answer with the highest score

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"kind": self.kind, "xy": list(self.xy), "include": self.include, "choice": self.choice}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Step:
        """The inverse of :meth:`to_json`."""
        return cls(values["kind"], tuple(values["xy"]), values["include"], values["choice"])


@dataclass(frozen=True)
class Draft:
    """An object being prompted, not yet accepted."""

    steps: tuple[Step, ...] = ()
    target: int | None = None  # the mask that is being corrected; None: a new one

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"steps": [step.to_json() for step in self.steps], "target": self.target}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Draft:
        """The inverse of :meth:`to_json`."""
        return cls(tuple(Step.from_json(step) for step in values["steps"]), values["target"])


@dataclass(frozen=True)
class Document:
    """The masks of a photo, bottom to top in the order of the list, and the object being prompted."""

    photo_hw: tuple[int, int]
    items: Mapping[int, Item] = field(default_factory=dict)
    draft: Draft | None = None
    next_id: int = 1

    def mask_set(self) -> MaskSet:
        """The masks in their order, as the library knows them."""
        return MaskSet((item.mask for item in self.items.values()), self.photo_hw)

    def with_items(self, *changed: Item) -> Document:
        """With these items in place of those of the same number, or added at the end."""
        items = {**self.items, **{item.id: item for item in changed}}
        return replace(self, items=items, next_id=max([self.next_id, *(item.id + 1 for item in changed)]))

    def without(self, ids: Sequence[int]) -> Document:
        """Without the items of these numbers."""
        gone = set(ids)
        return replace(self, items={id: item for id, item in self.items.items() if id not in gone})

    def in_order(self, ids: Sequence[int]) -> Document:
        """The items in the order of ``ids``, which names each once."""
        return replace(self, items={id: self.items[id] for id in ids})

    def to_json(self) -> dict[str, Any]:
        """The whole document as plain JSON values."""
        return {
            "size": list(self.photo_hw),
            "masks": [item.to_json() for item in self.items.values()],
            "draft": self.draft and self.draft.to_json(),
        }


Patch = dict[str, Any]
"""What changes: ``masks`` {number: JSON or None for gone}, ``order`` [numbers] if it is another one,
``draft`` (JSON or None) if it is another one. JSON values throughout."""


def patch_between(before: Document, after: Document) -> Patch:
    """What turns ``before`` into ``after``; items count as unchanged only where they are the same object."""
    patch: Patch = {}
    masks: dict[str, Any] = {
        str(id): item.to_json() for id, item in after.items.items() if before.items.get(id) is not item
    }
    masks |= {str(id): None for id in before.items if id not in after.items}
    if masks:
        patch["masks"] = masks
    if list(before.items) != list(after.items):
        patch["order"] = list(after.items)
    if before.draft != after.draft:
        patch["draft"] = after.draft and after.draft.to_json()
    return patch


def patched(document: Document, patch: Patch) -> Document:
    """The document that ``patch`` makes of this one."""
    masks = patch.get("masks", {})
    fresh = [Item.from_json(values, document.photo_hw) for values in masks.values() if values is not None]
    gone = [int(id) for id, values in masks.items() if values is None]
    after = document.without(gone).with_items(*fresh)
    if "order" in patch:
        after = after.in_order(patch["order"])
    if "draft" in patch:
        draft = patch["draft"]
        after = replace(after, draft=None if draft is None else Draft.from_json(draft))
    return after
