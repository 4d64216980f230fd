"""Regions without a mask, asked about from inside.

The innermost points of each gap are asked about first on the whole photo, then on a closer crop around it.
Within gaps filters are more lenient; a mask counts there if most of it lies in the gap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from everymask.everything import filters
from everymask.everything.asking import Question, ask
from everymask.everything.candidate_pool import CandidatePool
from everymask.everything.candidates import Candidate
from everymask.everything.grid import Crop
from everymask.everything.measuring import Measuring, Setting
from everymask.everything.progress import Progress, Reporter
from everymask.everything.renditions import in_renditions, resolved
from everymask.everything.results import as_mask, checked_photo, without_nodata
from everymask.masks import rle
from everymask.masks.coverage import least_gap
from everymask.masks.innermost import innermost_points
from everymask.masks.upscaled import Upscaler
from everymask.maskset import Mask, MaskSet

if TYPE_CHECKING:
    from everymask.everything.options import GeneratorOptions
    from everymask.models.base import PromptableModel

POINTS = 4
"""Points that a gap is asked about, the innermost first."""
CLOSER = 8
"""Gaps that get a crop of their own, the largest first: each costs an encoding."""
IOU_LENIENCY, STABILITY_LENIENCY = 0.6, 0.8
"""Within gaps, thresholds count this share of what they are."""
INSIDE = 0.6
"""A mask fills a gap if at least this share of it lies there."""


@dataclass(frozen=True)
class Filling:
    """Masks with gaps filled."""

    masks: MaskSet
    """All: those that were there, then those in gaps."""
    filled: MaskSet
    """Those in gaps; ``attributes["gap"]`` is the gap's number, from 1, the largest first."""
    left: MaskSet
    """What is still empty, the largest first; ``attributes["reason"]`` says why."""

    def __str__(self) -> str:
        there = len(self.masks) - len(self.filled)
        before, after = self.masks[:there].coverage, self.masks.coverage
        height, width = self.masks.photo_hw
        more = "1 more mask" if len(self.filled) == 1 else f"{len(self.filled)} more masks"
        said = [f"coverage {before:.0%} -> {after:.0%} with {more} in gaps"]
        for gap in self.left[:3]:
            said.append(f"left: {gap.area / (height * width):.1%}, {gap.attributes['reason']}")
        return "; ".join(said)


def fill_gaps(
    model: PromptableModel,
    options: GeneratorOptions,
    photo: np.ndarray,
    masks: MaskSet,
    min_area: float | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Filling:
    """The masks of a photo (RGB uint8 [H, W, 3]) and those found in gaps of ``min_area`` pixels or more."""
    photo = checked_photo(photo)
    least = least_gap(masks.photo_hw) if min_area is None else min_area
    gaps = [gap.runs for gap in masks.gaps(least)]
    search = _Search(model, options, photo, masks.photo_hw, gaps, least)
    height, width = masks.photo_hw
    whole = Crop(0, 0, width, height, 0)
    asked = [(number, whole, POINTS) for number in range(len(gaps))]
    filled = search.round(asked, progress)
    closer = [
        (number, crop, POINTS)
        for number in search.open_gaps()[:CLOSER]
        if (crop := around(gaps[number], masks.photo_hw)) is not None
    ]
    filled += search.round(closer, progress)
    if masks.valid is not None:
        filled = without_nodata(filled, rle.decode(masks.valid))
    return Filling(
        *(
            MaskSet(each, masks.photo_hw, photo=photo, valid=masks.valid)
            for each in ([*masks, *filled], filled, search.left())
        )
    )


def around(gap: rle.Rle, photo_hw: tuple[int, int]) -> Crop | None:
    """A crop with a gap in its middle half; None where that would be nearly the whole photo."""
    x0, y0, x1, y1 = rle.box_xyxy(gap)
    sides = []
    for low, high, side in ((x0, x1, photo_hw[1]), (y0, y1, photo_hw[0])):
        length = min(side, max(2 * (high - low + 1), side // 6))
        start = int(np.clip((low + high + 1 - length) // 2, 0, side - length))
        sides.append((start, start + length))
    (left, right), (top, bottom) = sides
    if (right - left) * (bottom - top) > 0.6 * photo_hw[0] * photo_hw[1]:
        return None
    return Crop(left, top, right, bottom, 1)


class _Search:
    """Asks about gaps and remembers what is still empty and why."""

    def __init__(
        self,
        model: PromptableModel,
        options: GeneratorOptions,
        photo: np.ndarray,
        photo_hw: tuple[int, int],
        gaps: Sequence[rle.Rle],
        least: float,
    ) -> None:
        self.model, self.photo, self.photo_hw, self.least = model, photo, photo_hw, least
        options = resolved(options, photo)
        self.options = replace(options, effort="exact" if options.effort == "fast" else options.effort)
        self.free = [rle.decode(gap) for gap in gaps]
        self.reasons = ["nothing was asked"] * len(gaps)
        self.lenient = replace(
            self.options,
            pred_iou_thresh=IOU_LENIENCY * options.pred_iou_thresh,
            stability_score_thresh=STABILITY_LENIENCY * options.stability_score_thresh,
        )

    def open_gaps(self) -> list[int]:
        """The gaps that are still worth a word, in their order."""
        return [number for number, free in enumerate(self.free) if free.sum() >= self.least]

    def left(self) -> list[Mask]:
        """What is still empty, the largest first."""
        found = [
            Mask.from_segmentation(self.free[n], attributes={"gap": n + 1, "reason": self.reasons[n]})
            for n in self.open_gaps()
        ]
        return sorted(found, key=lambda gap: -gap.area)

    def round(
        self, asked: Sequence[tuple[int, Crop, int]], progress: Callable[[Progress], None] | None
    ) -> list[Mask]:
        """Ask about gaps (number, crop to look at, points) and take the masks that fill them."""
        questions, gap_of, windows = [], [], []
        for number, window, count in asked:
            inside = self.free[number][window.y0 : window.y1, window.x0 : window.x1]
            points = innermost_points(inside, count)
            if window not in windows:
                windows.append(window)
            questions.append((windows.index(window), points + 0.5))
            gap_of.append(np.full(len(points), number))
        if not questions:
            return []
        looked_at = [
            (look, np.concatenate([points for index, points in questions if index == number]))
            for number, window in enumerate(windows)
            for look in in_renditions([window], self.options)
        ]
        windows = [look for look, _ in looked_at]
        joined = [Question(crop, look, points) for crop, (look, points) in enumerate(looked_at)]
        lowest = min(self.options.mask_threshold, self.model.mask_threshold) - max(
            8.0, self.options.stability_score_offset
        )
        pool = CandidatePool(self.model.logits_size, lowest)
        report = Reporter(progress, [len(question.points_xy) for question in joined])
        for answer in ask(self.model, self.options, self.photo, joined, lowest, report):
            pool.take([pool.stored(answer.crop, answer.points_xy, answer.iou, answer.patches)])
        return self._taken(pool, windows)

    def _taken(self, pool: CandidatePool, windows: Sequence[Crop]) -> list[Mask]:
        upscalers = [Upscaler(self.model.logits_size, self.model.frame(w.hw).stretches) for w in windows]
        measuring = Measuring(
            pool,
            upscalers,
            windows,
            self.photo_hw,
            device=self.model.device,
            clean_at=self.model.mask_threshold,
        )
        columns, options = pool.columns, self.lenient
        cleaning = options.min_mask_region_area if self.model.spec.family == "sam2" else 0.0
        setting = Setting(float(options.mask_threshold), float(cleaning))
        taken = []
        for number in np.argsort(-columns.iou, kind="stable").tolist():
            gap = self._gap_at(columns.point_xy[number])
            if gap is None:
                continue
            one, crop = np.array([number]), windows[columns.crop[number]]
            if not filters.by_predicted_iou(columns.iou[one], options.pred_iou_thresh)[0]:
                limit = options.pred_iou_thresh
                self._because(gap, f"predicted IoU {columns.iou[number]:.2f}, needs {limit:.2f} in a gap")
                continue
            box = measuring.boxes(setting, one)
            if not filters.whole(box, crop, self.photo_hw)[0]:
                self._because(gap, "what is found there touches the edge of the crop looked at")
                continue
            stability = measuring.stability(setting, options.stability_score_offset, one)
            if not filters.by_stability(stability, options.stability_score_thresh)[0]:
                limit = options.stability_score_thresh
                self._because(gap, f"stability {stability[0]:.2f}, needs {limit:.2f} in a gap")
                continue
            runs = measuring.runs(setting, one)[0]
            pixels = rle.decode(runs)
            inside = int((pixels & self.free[gap]).sum())
            if inside < max(INSIDE * runs.area, 0.5 * self.least):
                share = inside / max(1, runs.area)
                self._because(
                    gap, f"what is found there reaches beyond it: {share:.0%} inside, needs {INSIDE:.0%}"
                )
                continue
            for free in self.free:
                free &= ~pixels
            self.reasons[gap] = "what was found there covers the rest of it only"
            found = Candidate(
                crop, columns.point_xy[number], columns.iou[number], box[0], None, stability[0], runs
            )
            taken.append(_in_gap(as_mask(found), gap + 1))
        return taken

    def _gap_at(self, point_xy: np.ndarray) -> int | None:
        """The gap that still holds a point."""
        x, y = (int(v) for v in point_xy)
        return next((n for n, free in enumerate(self.free) if free[y, x]), None)

    def _because(self, gap: int, reason: str) -> None:
        """Remember the reason of the best candidate, the first told of."""
        if self.reasons[gap] == "nothing was asked":
            self.reasons[gap] = reason


def _in_gap(mask: Mask, gap: int) -> Mask:
    return mask.replace(attributes={**mask.attributes, "gap": gap})
