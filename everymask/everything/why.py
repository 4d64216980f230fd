"""Why a candidate is, or is not, among the masks, and which change of an option brings it back.

Numbers of masks and candidates count from 1 in everything a person sees, from 0 within.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from everymask.everything import filters
from everymask.everything.grid import Crop
from everymask.everything.options import GeneratorOptions
from everymask.everything.results import Finished
from everymask.everything.selection import Scores, Selection
from everymask.masks.nms import overlaps

KEPT, CROP_EDGE, NODATA = "kept", "crop_edge", "nodata"
ROUNDS = 16
"""Changes of options that are tried until a candidate is back: each may show the next rule that drops it."""


@dataclass(frozen=True)
class Fate:
    """The first rule that drops a candidate."""

    rule: str  # the option's name, "crop_edge", "nodata", or "kept"
    value: float = math.nan  # what the rule looked at
    limit: float = math.nan  # what it would have needed
    by: int | None = None  # number of the candidate that suppressed it


@dataclass(frozen=True)
class Verdict:
    """What filters say of all candidates under some options."""

    options: GeneratorOptions
    scores: Scores
    crops: Sequence[Crop]
    photo_hw: tuple[int, int]
    selection: Selection
    finished: Finished

    @cached_property
    def kept(self) -> list[int]:
        """The numbers of the candidates that are masks, in the masks' order."""
        return self.selection.kept[self.finished.numbers].tolist()

    def fate(self, number: int) -> Fate:
        """What becomes of one candidate."""
        return self._alone(number) or self._among_others(number)

    def _alone(self, number: int) -> Fate | None:
        """The rules that look at one candidate only."""
        one, options = np.array([number]), self.options
        iou = self.scores.iou[number]
        if not filters.by_predicted_iou(iou, options.pred_iou_thresh):
            return Fate("pred_iou_thresh", float(iou), options.pred_iou_thresh)
        crop = self.crops[self.scores.crop[number]]
        box = self.scores.boxes(one)
        if not filters.whole(box, crop, self.photo_hw)[0]:
            edges = np.abs(box[0] - np.array(crop.xyxy))
            return Fate(CROP_EDGE, float(edges.min()), 20.0)
        stability = self.scores.stability(one)[0]
        if not filters.by_stability(stability, options.stability_score_thresh):
            return Fate("stability_score_thresh", float(stability), options.stability_score_thresh)
        return None

    def _among_others(self, number: int) -> Fate:
        options, scores = self.options, self.scores
        box = scores.boxes(np.array([number]))[0]

        def suppressed(rule: str, others: np.ndarray, limit: float) -> Fate:
            shared = overlaps(box, scores.boxes(others))
            best = int(shared.argmax())
            return Fate(rule, float(shared[best]), limit, int(others[best]))

        window = self.crops[scores.crop[number]].window
        same_look = [k for k in self.selection.within if len(k) and scores.crop[k[0]] == scores.crop[number]]
        same_window = [
            k for k in self.selection.together if len(k) and self.crops[scores.crop[k[0]]].window == window
        ]
        for kept in (*same_look, *same_window):
            if number not in kept:
                # A candidate goes before another of a worse score, or of the same and found later.
                better = scores.iou[kept] > scores.iou[number]
                same = (scores.iou[kept] == scores.iou[number]) & (kept < number)
                return suppressed("box_nms_thresh", kept[better | same], options.box_nms_thresh)
        kept = self.selection.kept
        if number not in kept:
            found = np.concatenate(self.selection.together)
            place = {n: i for i, n in enumerate(found.tolist())}
            areas = {n: self.crops[scores.crop[n]].area for n in [number, *kept.tolist()]}
            before = [n for n in kept.tolist() if (areas[n], place[n]) < (areas[number], place[number])]
            return suppressed("crop_nms_thresh", np.array(before), options.crop_nms_thresh)
        dropped = self.finished.dropped.get(int(np.flatnonzero(kept == number)[0]))
        if dropped is None:
            return Fate(KEPT)
        if dropped.rule == NODATA:
            return Fate(NODATA, dropped.iou, 0.5)
        limit = getattr(options, dropped.rule)
        return Fate(dropped.rule, dropped.iou, float(limit), int(kept[dropped.by]))


@dataclass(frozen=True)
class Remedy:
    """A change of options that makes a mask of a candidate."""

    changes: Mapping[str, float]
    """Options and their values; nearly always one."""
    gained: int
    """Other masks that come with it."""
    lost: int
    """Masks that go."""

    @property
    def flags(self) -> str:
        """The changes as ``everymask segment`` takes them."""
        return " ".join(f"--{name.replace('_', '-')} {value:g}" for name, value in self.changes.items())

    def __str__(self) -> str:
        others = f"{self.gained} other mask{'' if self.gained == 1 else 's'}"
        lost = f", and {self.lost} go{'es' if self.lost == 1 else ''}" if self.lost else ""
        return f"{self.flags} brings it back; with it come{'s' if self.gained == 1 else ''} {others}{lost}"


@dataclass(frozen=True)
class Reason:
    """One candidate that holds the pixel asked about, and what became of it."""

    candidate: int
    """Its number among all candidates, from 1."""
    mask: int | None
    """Its number among the masks, from 1, if it is one."""
    point: tuple[float, float]
    """(x, y) of the point that asked for it, in photo pixels."""
    crop_box: tuple[int, int, int, int]
    """XYWH of the crop that the model looked at."""
    bbox: tuple[int, int, int, int]
    """XYWH of the candidate."""
    predicted_iou: float
    stability_score: float
    rule: str
    """The option that dropped it, ``crop_edge``, ``nodata``, or ``kept``."""
    value: float
    """What the rule looked at."""
    limit: float
    """What it would have needed."""
    text: str
    """The rule in words and numbers."""
    _remedy: Callable[[], Remedy | None] = field(repr=False, compare=False)
    rendition: str | None = None
    """The rendition of the photo that it looked at; None where the photo was asked about as it is only."""

    @cached_property
    def remedy(self) -> Remedy | None:
        """The smallest change that brings it back, tried out; None for a mask, or where no threshold does."""
        return self._remedy()

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        remedy = self.remedy and {
            "changes": dict(self.remedy.changes),
            "flags": self.remedy.flags,
            "gained": self.remedy.gained,
            "lost": self.remedy.lost,
        }
        names = ("candidate", "mask", "point", "crop_box", "rendition", "bbox", "rule", "text")
        numbers = ("predicted_iou", "stability_score", "value", "limit")
        values = {name: getattr(self, name) for name in names}
        for name in numbers:
            number = getattr(self, name)
            values[name] = number if math.isfinite(number) else None
        return {**values, "remedy": remedy}

    def __str__(self) -> str:
        return f"candidate {self.candidate}: {self.text}"


def in_words(fate: Fate, verdict: Verdict) -> str:
    """A fate as a person reads it."""
    options = verdict.options
    value, limit = _pair(fate.value, fate.limit)
    if fate.rule == KEPT:
        return "kept"
    if fate.rule == "pred_iou_thresh":
        return f"predicted IoU {value}, needs more than {limit}"
    if fate.rule == "stability_score_thresh":
        return f"stability {value} at offset {options.stability_score_offset:g}, needs {limit}"
    if fate.rule == CROP_EDGE:
        return f"touches a crop's edge ({fate.value:.0f} px away, needs more than {fate.limit:.0f})"
    if fate.rule == NODATA:
        return f"only {fate.value:.0%} of it have data, needs half of it"
    if fate.rule == "mask_threshold":
        return f"the pixel's logit is {value}, needs more than {limit}"
    assert fate.by is not None
    by = verdict.kept.index(fate.by) + 1 if fate.by in verdict.kept else None
    better = f"mask {by}" if by is not None else f"candidate {fate.by + 1}, which is no mask itself"
    if fate.rule == "mask_nms_thresh":
        return f"suppressed by {better}, pixel IoU {value}, allowed is {limit}"
    if fate.rule == "min_mask_region_area":
        return f"without its small regions the same as {better}, box IoU {value}"
    crops = " of a smaller crop" if fate.rule == "crop_nms_thresh" and by is not None else ""
    return f"suppressed by {better}{crops}, box IoU {value}, allowed is {limit}"


def _pair(value: float, limit: float) -> tuple[str, str]:
    """Two numbers with as many digits as tell them apart."""
    for digits in (2, 3, 4, 6):
        pair = f"{value:.{digits}f}", f"{limit:.{digits}f}"
        if pair[0] != pair[1]:
            break
    return pair


def remedy_of(number: int, judge: Callable[[Mapping[str, float]], Verdict], first: Fate) -> Remedy | None:
    """The change of options with which a candidate is a mask, found by trying: None if there is none.

    ``judge(changes)`` gives the verdict under changed options, ``first`` is the candidate's fate without.
    """
    changes: dict[str, float] = {}
    fate = first
    for turn in range(ROUNDS):
        change = loosened(fate)
        if change is not None and turn >= ROUNDS // 2 and change[0].endswith("nms_thresh"):
            change = change[0], 1.0  # step by step it would take too many
        if change is None or changes.get(change[0]) == change[1]:
            return None
        changes = {**changes, change[0]: change[1]}
        verdict = judge(changes)
        fate = verdict.fate(number)
        if fate.rule == KEPT:
            before, after = set(judge({}).kept), set(verdict.kept)
            return Remedy(changes, len(after - before - {number}), len(before - after))
    return None


def loosened(fate: Fate) -> tuple[str, float] | None:
    """An option and the value, of three digits, at which its rule lets a candidate pass.

    >>> loosened(Fate("pred_iou_thresh", 0.71, 0.88)), loosened(Fate("box_nms_thresh", 0.8301, 0.7, 3))
    (('pred_iou_thresh', 0.709), ('box_nms_thresh', 0.831))
    """
    value = np.array(fate.value, np.float32)
    if fate.rule == "pred_iou_thresh":
        return fate.rule, _lowered(fate.value, lambda limit: bool(filters.by_predicted_iou(value, limit)))
    if fate.rule == "stability_score_thresh":
        if math.isnan(fate.value):
            return fate.rule, 0.0
        return fate.rule, _lowered(fate.value, lambda limit: bool(filters.by_stability(value, limit)))
    if fate.rule == "mask_threshold":
        return fate.rule, _lowered(fate.value, lambda limit: fate.value > limit, least=-math.inf)
    if fate.rule in ("box_nms_thresh", "crop_nms_thresh", "mask_nms_thresh"):
        raised = math.ceil(fate.value * 1000) / 1000
        return fate.rule, min(1.0, raised if fate.value <= raised else raised + 0.001)
    if fate.rule == "min_mask_region_area":
        return fate.rule, 0.0
    return None


def _lowered(value: float, passes: Callable[[float], bool], least: float = 0.0) -> float:
    """The highest threshold of three digits that ``value`` passes."""
    thousandths = math.floor(value * 1000)
    while thousandths / 1000 > least and not passes(thousandths / 1000):
        thousandths -= 1
    return max(least, thousandths / 1000)
