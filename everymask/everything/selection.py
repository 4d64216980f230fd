"""Which candidates thresholds leave, in the order of suppression.

The same filters in the same order as in ``generate.py``; what a filter asks of a mask is measured then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import numpy as np

from everymask.everything import filters
from everymask.everything.grid import Crop
from everymask.everything.options import GeneratorOptions
from everymask.masks.box_bounds import Bounds
from everymask.masks.nms import overlaps, suppress_between
from everymask.media.renditions import names_of

PATIENCE = 1
"""Rounds of suppression before candidates are asked for their stability ahead of their turn."""


class Scores(Protocol):
    """What filters ask of K candidates."""

    crop: np.ndarray  # int64 [K] number of the crop
    iou: np.ndarray  # float32 [K]

    def boxes(self, numbers: np.ndarray) -> np.ndarray:
        """int64 [m, 4]."""

    def bounds(self, numbers: np.ndarray) -> Bounds:
        """Boxes that lie in those of :meth:`boxes`, and that those lie in, told without measuring."""

    def stability(self, numbers: np.ndarray) -> np.ndarray:
        """float32 [m]."""

    def scored(self) -> np.ndarray:
        """Whose stability is known already, bool [K]."""


@dataclass(frozen=True)
class Selection:
    """The numbers of the candidates that stay, best first."""

    within: Sequence[np.ndarray]  # int64, of each crop that counts: what its own filters leave
    together: Sequence[np.ndarray]  # int64, of each window: what is left of all its renditions
    kept: np.ndarray  # int64, of all crops


def selected(
    options: GeneratorOptions, scores: Scores, crops: Sequence[Crop], photo_hw: tuple[int, int]
) -> Selection:
    """What the filters leave, but for those that look at finished masks (``results.finished``)."""
    used = looks_used(options, crops)
    kept = [within(options, scores, n, crops[n], photo_hw) for n in used]
    together = [
        between_renditions(options, scores, [found for _, found in group])
        for _, group in groupby(zip(used, kept, strict=True), lambda pair: crops[pair[0]].window)
    ]
    found = np.concatenate(together)
    if len(together) > 1:
        of = [crops[number] for number in scores.crop[found]]
        found = found[filters.between_crops(scores.boxes(found), of, options.crop_nms_thresh)]
    return Selection(kept, together, found)


def looks_used(options: GeneratorOptions, crops: Sequence[Crop]) -> list[int]:
    """The numbers of the crops that count: of the layers and the renditions of these options."""
    names = names_of(options.renditions)
    return [
        number
        for number, crop in enumerate(crops)
        if crop.layer <= options.crop_n_layers and (crop.rendition is None or crop.rendition in names)
    ]


def between_renditions(
    options: GeneratorOptions, scores: Scores, renditions: Sequence[np.ndarray]
) -> np.ndarray:
    """What suppression leaves of the candidates of one crop in all its renditions, best first."""
    found = np.concatenate(renditions)
    if len(renditions) == 1:
        return found
    return found[filters.within_crop(scores.boxes(found), scores.iou[found], options.box_nms_thresh)]


def within(
    options: GeneratorOptions, scores: Scores, number: int, crop: Crop, photo_hw: tuple[int, int]
) -> np.ndarray:
    """Those of one crop that its own filters leave."""
    members = np.flatnonzero(scores.crop == number)
    members = members[filters.by_predicted_iou(scores.iou[members], options.pred_iou_thresh)]
    if crop.xyxy != (0, 0, photo_hw[1], photo_hw[0]):  # the photo's own edges cut nothing off
        members = members[filters.whole(scores.boxes(members), crop, photo_hw)]

    def stable(numbers: np.ndarray) -> np.ndarray:
        return filters.by_stability(scores.stability(numbers), options.stability_score_thresh)

    known = scores.scored()[members]
    known[known] = ~stable(members[known])
    members = members[~known]
    return members[
        settled(
            Boxes(scores, members),
            scores.iou[members],
            options.box_nms_thresh,
            lambda which: stable(members[which]),
        )
    ]


class Boxes:
    """The boxes of candidates [K], of which those are measured that suppression cannot do without."""

    def __init__(self, scores: Scores, members: np.ndarray) -> None:
        self._scores, self._members = scores, members
        self._bounds = scores.bounds(members)

    def suppressed(self, offered: np.ndarray, iou: np.ndarray, threshold: float) -> np.ndarray:
        """Those of the candidates ``offered`` that suppression leaves, best first; ``iou`` [offered]."""
        inner, outer = self._bounds.inner, self._bounds.outer
        while True:
            kept, needed = suppress_between(inner[offered], outer[offered], iou, threshold)
            if not len(needed):
                return offered[kept]
            which = offered[needed]
            inner[which] = outer[which] = self._scores.boxes(self._members[which])

    def covered(self, by: np.ndarray, threshold: float) -> np.ndarray:
        """Which of all candidates these suppress, as far as outer boxes tell, bool [K]."""
        outer = self._bounds.outer
        found = np.zeros(len(outer), bool)
        for box in outer[by]:
            found |= overlaps(box, outer) > threshold
        return found


def settled(
    boxes: Boxes, iou: np.ndarray, threshold: float, stable: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """What suppression leaves of the stable ones of K candidates, best first, asking few for stability.

    ``stable(indices)`` says which are. Those that suppression leaves are asked; the unstable among them go,
    and suppression runs again until all that it leaves are stable. Where that goes on and on, ever more of
    the best that no stable one suppresses are asked ahead of their turn.
    """
    offered = np.arange(len(iou))
    asked = np.zeros(len(iou), bool)
    turn = 0
    while True:
        kept = boxes.suppressed(offered, iou[offered], threshold)
        new = kept[~asked[kept]]
        if len(new) == 0:
            return kept
        if turn >= PATIENCE:
            covered = boxes.covered(kept[asked[kept]], threshold)
            waiting = offered[~asked[offered] & ~covered[offered]]
            ahead = waiting[np.argsort(-iou[waiting], kind="stable")[: 1 << (turn - PATIENCE)]]
            new = np.union1d(new, ahead)
        asked[new] = True
        unstable = new[~stable(new)]
        if len(unstable) == 0:
            return kept
        offered = np.setdiff1d(offered, unstable)
        turn += 1
