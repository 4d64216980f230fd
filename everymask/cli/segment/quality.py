"""How good the masks of a photo are, without knowing the truth: what they cover, how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from ...masks.coverage import largest_gap
from ...masks.rle import decode
from ...maskset import MaskSet


@dataclass(frozen=True)
class Quality:
    """One photo's masks, those kept."""

    masks: int
    coverage: float
    """Share of the pixels (with data) under a mask."""
    median_score: float | None
    """Of the predicted IoUs."""
    gap: float
    """The largest connected area without a mask, as a share of the photo."""
    gap_xywh: tuple[int, int, int, int]
    """Where it is."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, shares rounded."""
        facts = asdict(self) | {"gap_xywh": list(self.gap_xywh)}
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in facts.items()}


def quality_of(masks: MaskSet) -> Quality:
    """The quality of one photo's masks."""
    pixels = np.zeros(masks.photo_hw, bool)
    for mask in masks:
        pixels[mask.extent] |= mask.crop()
    valid = np.ones_like(pixels) if masks.valid is None else decode(masks.valid)
    area, box = largest_gap(pixels | ~valid)
    scores = [mask.predicted_iou for mask in masks if mask.predicted_iou is not None]
    size = max(int(valid.sum()), 1)
    coverage = float((pixels & valid).sum() / size)
    return Quality(len(masks), coverage, median(scores) if scores else None, area / size, box)


def quality_lines(photos: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """What to say of a run: photo names with their quality (:meth:`Quality.to_dict`).

    >>> facts = Quality(2, 0.5, 0.8, 0.25, (3, 4, 50, 60)).to_dict()
    >>> quality_lines([("a.jpg", facts)])
    ['coverage 50%, median score 0.80, biggest gap 25% of the photo at 3,4 (50 x 60)']
    """
    with_masks = [(name, facts) for name, facts in photos if facts]
    if not with_masks:
        return []
    coverage = sum(facts["coverage"] for _, facts in with_masks) / len(with_masks)
    scores = [facts["median_score"] for _, facts in with_masks if facts["median_score"] is not None]
    score = f", median score {median(scores):.2f}" if scores else ""
    name, worst = max(with_masks, key=lambda each: each[1]["gap"])
    whose = "the photo" if len(photos) == 1 else name
    x, y, width, height = worst["gap_xywh"]
    where = f"{worst['gap']:.0%} of {whose} at {x},{y} ({width} x {height})"
    return [f"coverage {coverage:.0%}{score}" + (f", biggest gap {where}" if worst["gap"] else "")]
