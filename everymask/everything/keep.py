"""Which masks are kept: flags of every command that writes masks, as ``MaskSet.filter`` has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from everymask.errors import OptionError
from everymask.everything.protocol import Segmenter
from everymask.maskset import SORT_KEYS, MaskSet


def _flag(help: str, **more: Any) -> Any:
    """A field of which the command line makes a flag."""
    return field(default=None, metadata={"help": help, **more})


CALLED = {"score": "predicted_iou", "stability": "stability_score"}
"""Shorter names of what masks are sorted by."""


@dataclass(frozen=True)
class Keep:
    """Bounds are inclusive. Raises :class:`OptionError` where they exclude each other.

    >>> Keep(min_area=10).is_active, Keep().is_active
    (True, False)
    """

    PANEL: ClassVar[str] = "Filters"

    min_area: float | None = _flag("Keep masks of at least so many pixels.", metavar="PX")
    max_area: float | None = _flag("Keep masks of at most so many pixels.", metavar="PX")
    min_score: float | None = _flag(
        "Keep masks whose predicted IoU is at least this.",
        flags=("--min-score", "--min-predicted-iou"),
        metavar="SHARE",
    )
    min_stability_score: float | None = _flag("Keep masks at least so stable.", metavar="SHARE")
    top: int | None = _flag("Keep the N best by --sort, or by score, or by area.", metavar="N")
    sort: str | None = _flag(
        "Order: area, score or stability, largest first; area:asc turns it round.", metavar="KEY"
    )

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise OptionError(f"--top must be at least 1, got {self.top}")
        if self.min_area is not None and self.max_area is not None and self.min_area > self.max_area:
            raise OptionError(f"--min-area {self.min_area:g} is above --max-area {self.max_area:g}")
        self._order()

    def _order(self) -> tuple[str, bool] | None:
        """What masks are sorted by, and whether the largest come first."""
        if self.sort is None:
            return None
        key, colon, way = self.sort.partition(":")
        key = CALLED.get(key, key)
        if key not in SORT_KEYS or (colon and way not in ("asc", "desc")):
            raise OptionError(
                "--sort must be area, score or stability, with :asc for the smallest first; "
                f"got {self.sort!r}"
            )
        return key, way != "asc"

    @property
    def is_active(self) -> bool:
        """Whether anything is asked for."""
        return any(getattr(self, each.name) is not None for each in fields(self))

    def __str__(self) -> str:
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        told = (
            f"--{name.replace('_', '-')} {value if isinstance(value, str) else f'{value:.10g}'}"
            for name, value in given.items()
            if value is not None
        )
        return " ".join(told)

    def apply(self, masks: MaskSet) -> MaskSet:
        """The masks kept. Raises :class:`OptionError` for a score that the masks do not have."""
        kept = masks.filter(
            min_area=self.min_area,
            max_area=self.max_area,
            min_predicted_iou=self.min_score,
            min_stability_score=self.min_stability_score,
        )
        order = self._order()
        if self.top is not None and len(kept) > self.top:
            key, descending = order or (_best_by(kept), True)
            best = kept.sorted_by(key, descending=descending)[: self.top]
            chosen = {id(mask) for mask in best}
            kept = MaskSet((mask for mask in kept if id(mask) in chosen), kept.photo_hw)
        return kept if order is None else kept.sorted_by(order[0], descending=order[1])

    def after(self, segmenter: Segmenter) -> Segmenter:
        """The segmenter with only these masks left, or the same if nothing is asked for."""
        return _KeepingSegmenter(segmenter, self) if self.is_active else segmenter


class _KeepingSegmenter:
    """A segmenter whose masks pass a filter."""

    def __init__(self, segmenter: Segmenter, keep: Keep) -> None:
        self._segmenter, self._keep = segmenter, keep
        self.model, self.model_hash = segmenter.model, segmenter.model_hash
        self.settings = {**segmenter.settings, "keep": str(keep)}

    def __call__(
        self, photo: np.ndarray, watch: Callable[[int, int], None], valid: np.ndarray | None = None
    ) -> MaskSet:
        """The masks of an RGB photo that are kept; ``valid``, bool [H, W], is where it has data."""
        return self._keep.apply(self._segmenter(photo, watch, valid))


def _best_by(masks: MaskSet) -> str:
    return "area" if any(mask.predicted_iou is None for mask in masks) else "predicted_iou"


def nothing_left(before: int, keep: Keep, labels: Sequence[str] = ()) -> str:
    """What to say when a filter leaves nothing.

    >>> nothing_left(12, Keep(min_area=1e6))
    'none of 12 masks is left by --min-area 1000000; loosen it'
    """
    named = " ".join(f"--label {label}" for label in labels)
    said = f"{named} {keep}".strip()
    return f"none of {before:,} mask{'' if before == 1 else 's'} is left by {said}; loosen it"
