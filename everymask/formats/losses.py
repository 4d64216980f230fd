"""What a conversion could not carry over: counted, named, never silent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

Kind = Literal[
    "overlap",
    "holes",
    "parts",
    "covered",
    "fields",
    "georeference",
    "empty",
    "classes",
    "ids",
    "unread",
    "too many",
    "boxes",
]

EXPLAINED: dict[Kind, str] = {
    "overlap": "lost pixels to a mask lying over them",
    "holes": "had holes filled",
    "parts": "changed because the format holds one outline a mask",
    "covered": "vanished under the masks lying over them",
    "fields": "lost values that the format has no place for",
    "georeference": "lost their place on the map",
    "empty": "without a pixel left out",
    "classes": "given another class number",
    "ids": "given another number",
    "unread": "not read",
    "too many": "left out, more than the format holds",
    "boxes": "reduced to a turned box",
}


@dataclass(frozen=True)
class Loss:
    """One way in which a file says less than the masks did."""

    kind: Kind
    masks: int
    """How many masks are concerned."""
    pixels: int = 0
    """How many of their pixels changed, over all masks."""
    detail: str = ""

    def __str__(self) -> str:
        """One line for people.

        >>> str(Loss("holes", masks=2, pixels=1500))
        '2 masks had holes filled (1,500 px)'
        """
        noun = "mask" if self.masks == 1 else "masks"
        facts = [f"{self.pixels:,} px"] * bool(self.pixels) + [self.detail] * bool(self.detail)
        return f"{self.masks:,} {noun} {EXPLAINED[self.kind]}" + (f" ({'; '.join(facts)})" if facts else "")

    def to_dict(self) -> dict[str, object]:
        """The loss as plain JSON values."""
        return {"kind": self.kind, "masks": self.masks, "pixels": self.pixels, "detail": self.detail}


@dataclass(frozen=True)
class Losses:
    """Everything one conversion lost; empty (and false) when the file holds all of it."""

    items: tuple[Loss, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.items)

    def __str__(self) -> str:
        return "; ".join(str(item) for item in self.items) or "nothing lost"

    def __add__(self, other: Losses) -> Losses:
        """Both together: masks and pixels of the same kind and detail are summed.

        >>> str(Losses((Loss("holes", 1, 10),)) + Losses((Loss("holes", 2, 5),)))
        '3 masks had holes filled (15 px)'
        """
        merged: dict[tuple[str, str], Loss] = {}
        for item in self.items + other.items:
            known = merged.get((item.kind, item.detail))
            if known is not None:
                item = replace(item, masks=known.masks + item.masks, pixels=known.pixels + item.pixels)
            merged[item.kind, item.detail] = item
        return Losses(tuple(merged.values()))

    @staticmethod
    def total(parts: Iterable[Losses]) -> Losses:
        """The sum of many."""
        result = Losses()
        for part in parts:
            result += part
        return result
