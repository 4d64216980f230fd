"""What good masks are: a number from 0 to 1 for the masks of a photo, with reference masks or without.

Letters used in shapes: M masks, R reference masks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from everymask.errors import OptionError
from everymask.masks.coverage import layers
from everymask.maskset import MaskSet

RECALLED_AT = np.linspace(0.5, 0.95, 10)
"""IoU from which a reference mask counts as found: average recall is the mean over these (COCO)."""

WITH_MASKS = {
    "quality": "panoptic quality: IoU of matched pairs, less for masks missing or too many",
    "overlap": "mean over the reference masks of the best IoU; more masks never lower it",
    "recall": "average recall, IoU 0.5 to 0.95; more masks never lower it",
    "count": "as many masks as the reference has",
}
"""Goals that compare with reference masks."""

WITHOUT_MASKS = {
    "coverage": "share of the photo under a mask",
    "single": "share of the covered pixels under one mask only",
    "stability": "mean stability score",
    "sizes": "share of masks with an area within the sizes wanted",
    "count": "1 within the numbers of masks wanted, less outside",
}
"""Goals that are a wish: weights of these."""


@dataclass(frozen=True)
class Wish:
    """What masks should be like without reference masks: a weighted mean of :data:`WITHOUT_MASKS`."""

    weights: Mapping[str, float] = field(default_factory=lambda: {"coverage": 1.0, "single": 1.0})
    sizes: tuple[float, float] | None = None
    """Least and largest area wanted, in pixels."""
    count: tuple[int, int] | None = None
    """Least and largest number of masks wanted."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.weights) - WITHOUT_MASKS.keys())
        if unknown or not self.weights:
            raise OptionError(f"a wish weighs {', '.join(WITHOUT_MASKS)}; got {unknown or 'nothing'}")
        if any(not 0 <= weight < np.inf for weight in self.weights.values()) or not sum(
            self.weights.values()
        ):
            raise OptionError(f"weights must be at least 0 and one above it, got {dict(self.weights)}")
        for name, bounds in (("sizes", self.sizes), ("count", self.count)):
            if (bounds is None) != (name not in self.weights):
                raise OptionError(f"a wish for {name} needs both its weight and {name}=(least, largest)")
            if bounds is not None and not 0 <= bounds[0] <= bounds[1]:
                raise OptionError(f"{name} must be (least, largest), got {bounds}")

    def score(self, masks: MaskSet) -> float:
        """How well masks meet the wish, 0 to 1. No masks meet only what no masks can meet."""
        parts = {name: getattr(self, f"_{name}")(masks) for name in self.weights}
        total = sum(self.weights.values())
        return float(sum(self.weights[name] * value for name, value in parts.items()) / total)

    def _coverage(self, masks: MaskSet) -> float:
        return masks.coverage

    def _single(self, masks: MaskSet) -> float:
        times = layers((mask.runs for mask in masks), masks.photo_hw)
        return float((times == 1).sum() / max((times > 0).sum(), 1))

    def _stability(self, masks: MaskSet) -> float:
        known = [mask.stability_score for mask in masks if mask.stability_score is not None]
        return float(np.clip(np.mean(known), 0, 1)) if known else 0.0

    def _sizes(self, masks: MaskSet) -> float:
        assert self.sizes is not None
        return (
            float(np.mean([self.sizes[0] <= mask.area <= self.sizes[1] for mask in masks]))
            if len(masks)
            else 0.0
        )

    def _count(self, masks: MaskSet) -> float:
        assert self.count is not None
        return closeness(len(masks), *self.count)


def closeness(number: int, least: int, largest: int) -> float:
    """1 for a number within bounds, falling to 0 at none and at twice the largest.

    >>> closeness(5, 4, 8), closeness(2, 4, 8), closeness(12, 4, 8), closeness(99, 4, 8)
    (1.0, 0.5, 0.5, 0.0)
    """
    if number < least:
        return number / least
    return max(0.0, 1.0 - max(0, number - largest) / max(largest, 1))


def score_against(masks: MaskSet, references: Sequence[MaskSet], goal: str) -> float:
    """How well masks agree with reference masks, 0 to 1; with several annotators the mean over them."""
    if goal not in WITH_MASKS:
        raise OptionError(
            f"with reference masks the goal must be one of {', '.join(WITH_MASKS)}; got {goal!r}"
        )
    return float(np.mean([_against(masks, reference, goal) for reference in references]))


def _against(masks: MaskSet, reference: MaskSet, goal: str) -> float:
    if goal == "count":
        return closeness(len(masks), len(reference), len(reference))
    overlaps = iou_matrix(masks, reference)
    if goal == "quality":
        return panoptic_quality(overlaps)
    best = overlaps.max(axis=0, initial=0.0)
    if not len(best):
        return float(len(masks) == 0)
    return float(best.mean() if goal == "overlap" else (best[:, None] >= RECALLED_AT).mean())


def panoptic_quality(overlaps: np.ndarray) -> float:
    """Panoptic quality of one class from the IoU [M, R] of masks with reference masks.

    Pairs with IoU above 0.5 match, the best first, each mask once (masks may overlap here, so that IoU above
    0.5 alone does not make a pair unique). Kirillov et al. 2019, equation 1.

    >>> panoptic_quality(np.array([[0.8, 0.0], [0.6, 0.0]]))
    0.4
    """
    count, references = overlaps.shape
    if count + references == 0:
        return 1.0
    left = overlaps.copy()
    total, matched = 0.0, 0
    while left.size and (best := float(left.max())) > 0.5:
        row, column = np.unravel_index(left.argmax(), left.shape)
        left[row], left[:, column] = 0.0, 0.0
        total, matched = total + best, matched + 1
    return total / (matched + (count - matched) / 2 + (references - matched) / 2)


def iou_matrix(masks: MaskSet, others: MaskSet) -> np.ndarray:
    """IoU of every mask with every other one, float64 [M, R], from run lengths."""
    if not len(masks) or not len(others):
        return np.zeros((len(masks), len(others)))
    from pycocotools import mask as coco

    plain = [0] * len(others)
    return np.asarray(coco.iou([m.rle for m in masks], [m.rle for m in others], plain), np.float64)
