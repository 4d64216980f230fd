"""Which candidates thresholds leave, in the order of suppression.

The same filters in the same order as in ``generate.py``; what a filter asks of a mask is measured then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from everymask.everything import filters
from everymask.everything.grid import Crop
from everymask.everything.options import GeneratorOptions


class Scores(Protocol):
    """What filters ask of K candidates."""

    crop: np.ndarray  # int64 [K] number of the crop
    iou: np.ndarray  # float32 [K]

    def boxes(self, numbers: np.ndarray) -> np.ndarray:
        """int64 [m, 4]."""

    def stability(self, numbers: np.ndarray) -> np.ndarray:
        """float32 [m]."""

    def scored(self) -> np.ndarray:
        """Whose stability is known already, bool [K]."""


@dataclass(frozen=True)
class Selection:
    """The numbers of the candidates that stay, best first."""

    within: Sequence[np.ndarray]  # int64, of each crop that counts: what its own filters leave
    kept: np.ndarray  # int64, of all crops


def selected(
    options: GeneratorOptions, scores: Scores, crops: Sequence[Crop], photo_hw: tuple[int, int]
) -> Selection:
    """What the filters leave, but for those that look at finished masks (``results.finished``)."""
    kept = [
        within(options, scores, number, crop, photo_hw)
        for number, crop in enumerate(crops)
        if crop.layer <= options.crop_n_layers
    ]
    found = np.concatenate(kept)
    if len(kept) > 1:
        of = [crops[number] for number in scores.crop[found]]
        found = found[filters.between_crops(scores.boxes(found), of, options.crop_nms_thresh)]
    return Selection(kept, found)


def within(
    options: GeneratorOptions, scores: Scores, number: int, crop: Crop, photo_hw: tuple[int, int]
) -> np.ndarray:
    """Those of one crop that its own filters leave."""
    members = np.flatnonzero(scores.crop == number)
    members = members[filters.by_predicted_iou(scores.iou[members], options.pred_iou_thresh)]
    members = members[filters.whole(scores.boxes(members), crop, photo_hw)]

    def stable(numbers: np.ndarray) -> np.ndarray:
        return filters.by_stability(scores.stability(numbers), options.stability_score_thresh)

    known = scores.scored()[members]
    known[known] = ~stable(members[known])
    members = members[~known]
    boxes, iou = scores.boxes(members), scores.iou[members]
    return members[settled(boxes, iou, options.box_nms_thresh, lambda which: stable(members[which]))]


def settled(
    boxes: np.ndarray, iou: np.ndarray, threshold: float, stable: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """What suppression leaves of the stable ones of K boxes, best first, when few are asked for stability.

    ``stable(indices)`` says which are. Those that suppression leaves are asked; the unstable among them go,
    and suppression runs again until all that it leaves are stable.

    >>> boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 9], [0, 0, 9, 9]])
    >>> settled(boxes, np.array([0.9, 0.8, 0.7]), 0.5, lambda which: which > 0).tolist()
    [1]
    """
    offered = np.arange(len(iou))
    asked = np.zeros(len(iou), bool)
    while True:
        kept = offered[filters.within_crop(boxes[offered], iou[offered], threshold)]
        new = kept[~asked[kept]]
        asked[new] = True
        unstable = new[~stable(new)] if len(new) else new
        if len(unstable) == 0:
            return kept
        offered = np.setdiff1d(offered, unstable)
