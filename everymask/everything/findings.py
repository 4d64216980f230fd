"""What a run found before thresholds decided: any thresholds are answered from it without the model."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from everymask.errors import InputError, OptionError, SessionError
from everymask.everything import findings_file
from everymask.everything.asking import Question, ask
from everymask.everything.candidate_pool import BYTES_KEPT, CandidatePool, LogitStore
from everymask.everything.candidates import Candidate
from everymask.everything.grid import Crop, grids, on_data, points_in
from everymask.everything.measuring import Measuring, Setting
from everymask.everything.options import GeneratorOptions
from everymask.everything.progress import Progress, Reporter
from everymask.everything.renditions import looks, resolved
from everymask.everything.results import (
    as_mask,
    checked_photo,
    checked_valid,
    dropped_on_nodata,
    finished,
    looks_at_pixels,
    without_nodata,
)
from everymask.everything.selection import looks_used, selected
from everymask.everything.why import KEPT, Fate, Reason, Remedy, Verdict, in_words, remedy_of
from everymask.geometry import Letterbox, Squash
from everymask.masks.box_bounds import Bounds
from everymask.masks.boxes import xyxy_to_xywh
from everymask.masks.innermost import innermost_points
from everymask.masks.upscaled import Upscaler
from everymask.maskset import Mask, MaskSet
from everymask.media.renditions import names_of

if TYPE_CHECKING:
    from everymask.models.base import PromptableModel

THRESHOLDS = (
    "pred_iou_thresh",
    "stability_score_thresh",
    "stability_score_offset",
    "mask_threshold",
    "box_nms_thresh",
    "crop_nms_thresh",
    "mask_nms_thresh",
    "min_mask_region_area",
    "output_mode",
    "points_per_batch",
)
"""Options that findings answer whatever their value."""

NEAREST = 5
"""Candidates told of a place that none holds."""

AHEAD = 0.05
"""Share of the time of exploring that is spent on the stability of the best candidates beforehand."""

DEPTH = 8.0
"""How far below the mask threshold logits are kept, unless the stability offset asks for more."""


class Findings:
    """Every candidate of a photo, with all that thresholds ask about.

    Made by :meth:`AutomaticMaskGenerator.explore` or read by :meth:`load`. ``masks(**thresholds)`` gives
    what ``generate`` gives with these options, mask for mask, without asking the model again; what was
    measured once is remembered. Safe to ask from several threads.
    """

    options: GeneratorOptions
    """The options that ``generate`` would need to find the same."""
    photo_hw: tuple[int, int]
    """(H, W) of the photo in pixels."""
    crops: tuple[Crop, ...]
    """What was looked at: the photo first, then the crops of each layer."""
    valid: np.ndarray | None
    """Where the photo has data, bool [H, W]; None: everywhere. No mask and no gap has other pixels."""
    lowest: float
    """Logits are kept down to this: ``mask_threshold - stability_score_offset`` must not be less."""

    def __init__(
        self,
        origin: findings_file.Origin,
        options: GeneratorOptions,
        pool: CandidatePool,
        *,
        model: PromptableModel | None = None,
        photo: np.ndarray | None = None,
    ) -> None:
        """Use ``AutomaticMaskGenerator.explore`` or :meth:`load`; ``pool`` may be empty."""
        self.origin, self.options, self.lowest = origin, options, pool.lowest
        self.photo_hw = origin.photo_hw
        self.model, self.photo = model, photo
        self.valid = origin.valid
        self._pool = pool
        self._windows: list[Crop] = []
        self._upscalers: list[Upscaler] = []
        self._lock = threading.RLock()
        self._measuring = Measuring(
            pool,
            self._upscalers,
            self._windows,
            self.photo_hw,
            device=torch.device("cpu") if model is None else model.device,
            clean_at=origin.mask_threshold,
        )
        self._see(options)

    @classmethod
    def begin(
        cls,
        model: PromptableModel,
        photo: np.ndarray,
        options: GeneratorOptions,
        lowest: float | None = None,
        bytes_kept: int = BYTES_KEPT,
        valid: np.ndarray | None = None,
    ) -> Findings:
        """Findings of a photo that nothing was asked about yet; it has data where ``valid``, bool [H, W]."""
        if options.effort == "fast":
            raise OptionError(
                "explore asks about every point, which effort='fast' does not; take 'exact' or 'bf16'"
            )
        photo = checked_photo(photo)
        options = resolved(options, photo)
        valid = None if valid is None else checked_valid(valid, photo)
        origin = findings_file.Origin.of(model, photo, valid)
        depth = _depth(options, lowest, origin.mask_threshold)
        pool = CandidatePool(model.logits_size, depth, LogitStore(bytes_kept))
        return cls(origin, options, pool, model=model, photo=photo)

    def __len__(self) -> int:
        """How many candidates there are."""
        return len(self._pool)

    def __repr__(self) -> str:
        height, width = self.photo_hw
        megabytes = 4 * len(self._pool.store) / 1e6
        looked = "" if len(self.crops) == 1 else f" in {len(self.crops)} crops"
        return (
            f"Findings({len(self)} candidates{looked} of a {width} x {height} photo, by {self.origin.model}, "
            f"{megabytes:.0f} MB)"
        )

    def _repr_html_(self) -> str:
        """The masks with the findings' own options over the photo, or over grey, for a notebook."""
        from everymask.media import html

        masks = self.masks()
        return html.with_caption(html.drawn(masks), f"{self!r} with {masks!r}")

    @property
    def points(self) -> int:
        """How many points were asked about, in all crops."""
        layers = grids(self.options)
        return sum(len(self._points_in(crop, layers)) for crop in self.crops)

    # -- answers -----------------------------------------------------------------------------------

    def masks(self, **thresholds: Any) -> MaskSet:
        """The masks that ``generate`` gives with these options instead of the findings' own.

        Every threshold may change: :data:`THRESHOLDS`, ``crop_n_layers`` to fewer layers than there are, and
        ``renditions`` to some of those. Raises :class:`OptionError` for an option that decides what the
        model is asked, and for ``mask_threshold - stability_score_offset`` below :attr:`lowest`.
        """
        with self._lock:
            found = self._verdict(self.with_thresholds(**thresholds), encode=True).finished.found
        masks = [as_mask(one) for one in found]
        if self.valid is not None:
            masks = without_nodata(masks, self.valid)
        return MaskSet(masks, self.photo_hw, photo=self.photo, valid=self.valid)

    def why(self, x: float, y: float, **thresholds: Any) -> list[Reason]:
        """What became of each candidate that holds the pixel (x, y), best predicted IoU first.

        Each says which rule dropped it and, when it is asked (``reason.remedy``), which change of an option
        brings it back, and what else comes with that. Where no candidate holds the pixel, those
        whose logit comes nearest to the mask threshold there are given, five at most. ``thresholds`` as
        for :meth:`masks`. A place without data (see :attr:`valid`) has no reasons. Raises :class:`InputError`
        for a place outside the photo.
        """
        height, width = self.photo_hw
        if not (0 <= x < width and 0 <= y < height):
            raise InputError(
                f"a place must lie in the photo, x from 0 to {width - 1} and y to {height - 1}; "
                f"got ({x:g}, {y:g})"
            )
        options = self.with_thresholds(**thresholds)
        if not self.has_data(x, y):
            return []
        with self._lock:
            verdict = self._verdict(options)
            setting = MeasuredScores(self, options).setting
            numbers, logits = self._measuring.logits_at(setting, math.floor(x), math.floor(y))
            used = np.isin(verdict.scores.crop[numbers], looks_used(options, self.crops))
            numbers, logits = numbers[used], logits[used]
            holds = logits > np.float32(options.mask_threshold)
            if holds.any():
                numbers = numbers[holds]
                best_first = np.argsort(-verdict.scores.iou[numbers], kind="stable")
                verdict.scores.stability(numbers)  # all at once: it is remembered
                return [self._reason(n, verdict.fate(n), verdict) for n in numbers[best_first].tolist()]
            near = np.argsort(-logits, kind="stable")[:NEAREST]
            near = near[logits[near] - options.stability_score_offset > self.lowest + 0.01]
            return [
                self._reason(
                    int(numbers[i]), Fate("mask_threshold", float(logits[i]), options.mask_threshold), verdict
                )
                for i in near.tolist()
            ]

    def has_data(self, x: float, y: float) -> bool:
        """Whether the photo has data at the pixel (x, y)."""
        return self.valid is None or bool(self.valid[math.floor(y), math.floor(x)])

    def gaps(self, min_area: float | None = None, **thresholds: Any) -> MaskSet:
        """The regions under no mask, largest first, each with the reason why its innermost point has none.

        ``attributes["at"]`` is that point (x, y), ``attributes["reason"]`` what :meth:`why` says of
        the best candidate there. ``min_area`` in pixels (default: 1/2000 of the photo); ``thresholds`` as for
        :meth:`masks`. ``generator.fill_gaps`` asks the model about them.
        """
        told = []
        for gap in self.masks(**thresholds).gaps(min_area):
            x, y = innermost_points(gap.segmentation, 1)[0].tolist()
            reasons = self.why(x, y, **thresholds)
            reason = reasons[0].text if reasons else "no candidate holds this place or comes near it"
            told.append(gap.replace(attributes={"at": (x, y), "reason": reason}))
        return MaskSet(told, self.photo_hw, photo=self.photo, valid=self.valid)

    def candidate(self, number: int, **thresholds: Any) -> Mask:
        """The mask of a candidate, whatever rules say of it; numbered from 1 as in a reason."""
        if not 1 <= number <= len(self):
            raise InputError(f"candidates are numbered from 1 to {len(self)}, got {number}")
        with self._lock:
            scores = MeasuredScores(self, self.with_thresholds(**thresholds))
            return as_mask(self._candidates(np.array([number - 1]), scores)[0])

    def _reason(self, number: int, fate: Fate, verdict: Verdict) -> Reason:
        columns, scores = self._pool.columns, verdict.scores
        one = np.array([number])
        x, y = columns.point_xy[number].tolist()

        def judge(changes: Mapping[str, float]) -> Verdict:
            changed: Any = dict(changes)
            return self._verdict(replace(verdict.options, **changed)) if changes else verdict

        def remedy() -> Remedy | None:
            with self._lock:
                return None if fate.rule == KEPT else remedy_of(number, judge, fate)

        return Reason(
            candidate=number + 1,
            mask=verdict.kept.index(number) + 1 if number in verdict.kept else None,
            point=(x, y),
            crop_box=self.crops[columns.crop[number]].xywh,
            rendition=self.crops[columns.crop[number]].rendition,
            bbox=tuple(xyxy_to_xywh(scores.boxes(one))[0].tolist()),
            predicted_iou=float(columns.iou[number]),
            stability_score=float(scores.stability(one)[0]),
            rule=fate.rule,
            value=fate.value,
            limit=fate.limit,
            text=in_words(fate, verdict),
            _remedy=remedy,
        )

    def _verdict(self, options: GeneratorOptions, *, encode: bool = False) -> Verdict:
        """What becomes of all candidates under some options; ``encode`` its masks."""
        self._check_depth(options)
        scores = MeasuredScores(self, options)
        selection = selected(options, scores, self.crops, self.photo_hw)
        family = self.origin.family
        whole = encode or looks_at_pixels(options, family) or self.valid is not None
        done = finished(self._candidates(selection.kept, scores, encode=whole), options, family)
        if self.valid is not None:
            done = dropped_on_nodata(done, self.valid)
        return Verdict(options, scores, self.crops, self.photo_hw, selection, done)

    def with_thresholds(self, **thresholds: Any) -> GeneratorOptions:
        """The findings' options with other thresholds, checked."""
        unknown = set(thresholds) - {option.name for option in fields(GeneratorOptions)}
        if unknown:
            GeneratorOptions.for_model({}, thresholds)  # says what is meant
        options = replace(self.options, **thresholds)
        for name in sorted(set(thresholds) - set(THRESHOLDS)):
            before, now = getattr(self.options, name), thresholds[name]
            fewer = (name == "crop_n_layers" and now <= before) or (
                name == "renditions" and set(names_of(options.renditions)) <= set(names_of(before))
            )
            if not fewer and not _same(before, now):
                raise OptionError(
                    f"{name} decides what the model is asked, so findings with {before} cannot tell about "
                    f"{now}; findings.extend() asks about more points or crops, generator.explore() anew"
                )
        self._check_depth(options)
        return options

    def _check_depth(self, options: GeneratorOptions) -> None:
        needed = options.mask_threshold - options.stability_score_offset
        if needed < self.lowest:
            raise OptionError(
                f"these findings keep logits down to {self.lowest:g}, and mask_threshold - "
                f"stability_score_offset is {needed:g}; explore the photo with lowest={needed:g}"
            )

    def _candidates(
        self, numbers: np.ndarray, scores: MeasuredScores, *, encode: bool = True
    ) -> list[Candidate]:
        """With everything that a mask is made of; without pixels unless they are to be encoded."""
        columns = self._pool.columns
        boxes, stable = scores.boxes(numbers), scores.stability(numbers)
        runs = scores.runs(numbers) if encode else [None] * len(numbers)
        return [
            Candidate(
                self.crops[columns.crop[n]], columns.point_xy[n], columns.iou[n], box, None, stability, mask
            )
            for n, box, stability, mask in zip(numbers.tolist(), boxes, stable, runs, strict=True)
        ]

    # -- more of the photo -------------------------------------------------------------------------

    def extend(
        self,
        *,
        points_per_side: int | None = None,
        point_grids: Sequence[np.ndarray] | None = None,
        crop_n_layers: int | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        """Ask the model about more points, or another layer of crops; what was found stays.

        A grid of ``points_per_side`` (or ``point_grids``, shares of the sides, one array a layer) is added to
        the points of every crop, ``crop_n_layers`` adds crops until there are so many layers. Afterwards
        :attr:`options` are those with which ``generate`` finds the same: with points added, they
        have ``point_grids``. Raises :class:`SessionError` without model and photo (see :meth:`load`).
        """
        had = self.options.crop_n_layers
        layers = had if crop_n_layers is None else crop_n_layers
        if layers < had:
            raise OptionError(
                f"there are {had} layers of crops already; "
                f"findings.masks(crop_n_layers={layers}) leaves some out"
            )
        options = _deeper(self.options, layers)
        more = None
        if points_per_side is not None or point_grids is not None:
            added = replace(
                options,
                points_per_side=points_per_side,
                point_grids=None if point_grids is None else _padded(point_grids, layers),
            )
            more = grids(added)
            both = [np.concatenate(pair) for pair in zip(grids(options), more, strict=True)]
            options = replace(options, points_per_side=None, point_grids=both)
        windows = looks(self.photo_hw, options)
        all_points = grids(options)
        questions = []
        for number, window in enumerate(windows):
            new = more if number < len(self.crops) else all_points
            if new is not None:
                questions.append(Question(number, window, self._points_in(window, new)))
        self._ask(options, questions, progress)

    def ask_all(self, progress: Callable[[Progress], None] | None = None) -> None:
        """Ask about every point of the options: how findings begin."""
        layers = grids(self.options)
        questions = [
            Question(number, window, self._points_in(window, layers))
            for number, window in enumerate(self.crops)
        ]
        self._ask(self.options, questions, progress)

    def _points_in(self, window: Crop, layers: Sequence[np.ndarray]) -> np.ndarray:
        """The points of a crop that lie on data, float [N, 2] in its pixels."""
        return on_data(window, points_in(window, layers[window.layer]), self.valid)

    def _ask(
        self,
        options: GeneratorOptions,
        questions: Sequence[Question],
        progress: Callable[[Progress], None] | None,
    ) -> None:
        if self.model is None or self.photo is None:
            raise SessionError(
                "these findings were read without their model and photo, which more points need; "
                "read them with Findings.load(path, model, photo)"
            )
        begin = time.perf_counter()
        report = Reporter(progress, [len(question.points_xy) for question in questions])
        columns, boxes = [], [np.zeros((0, 4), np.int64)]
        for answer in ask(self.model, options, self.photo, questions, self.lowest, report):
            with self._lock:
                columns.append(self._pool.stored(answer.crop, answer.points_xy, answer.iou, answer.patches))
            boxes.append(answer.boxes)
        with self._lock:  # all or nothing: whoever stops in between leaves the findings as they were
            self.options = options
            self._see(options)
            self._pool.take(columns)
            self._measuring.know_boxes(Setting(float(options.mask_threshold)), np.concatenate(boxes))
            iou = self._pool.columns.iou
            likely = np.flatnonzero(iou > options.pred_iou_thresh)
            if self.origin.family == "sam2":  # whose small regions are taken out of the logits
                self._measuring.know_specks(float(options.mask_threshold), likely)
            seconds = AHEAD * (time.perf_counter() - begin)
            scores = MeasuredScores(self, options)
            best_first = likely[np.argsort(-iou[likely], kind="stable")]
            offset = float(options.stability_score_offset)
            self._measuring.know_stability(scores.setting, offset, best_first, seconds)

    # -- files -------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write everything to one file (``.findings`` is the usual ending), whole or not at all."""
        with self._lock:
            return findings_file.write(Path(path), self.origin, self.options, self._pool, self.model)

    @classmethod
    def load(
        cls,
        path: str | Path,
        model: PromptableModel | None = None,
        photo: np.ndarray | None = None,
        *,
        bytes_kept: int = BYTES_KEPT,
    ) -> Findings:
        """Findings that :meth:`save` wrote; their logits stay in the file until they are asked for.

        With ``model`` and ``photo`` (RGB uint8 [H, W, 3]) they can be extended; both are compared with those
        that the findings were made with. Raises :class:`SessionError` where one is another one, or where
        the file is no findings file.
        """
        origin, options, pool = findings_file.read(Path(path), bytes_kept)
        if model is not None:
            origin.check_model(model, path)
        if photo is not None:
            origin.check_photo(checked_photo(photo), path)
        return cls(origin, options, pool, model=model, photo=photo)

    def _see(self, options: GeneratorOptions) -> None:
        """Take the crops of options into account; those known are the first of them."""
        frame = Letterbox if self.origin.family == "sam" else Squash
        windows = looks(self.photo_hw, options)
        known = {window.hw: upscaler for window, upscaler in zip(self._windows, self._upscalers, strict=True)}
        for window in windows[len(self._windows) :]:
            if window.hw not in known:
                stretches = frame(window.hw, self.origin.image_size).stretches
                known[window.hw] = Upscaler(self._pool.logits_hw, stretches)
            self._windows.append(window)
            self._upscalers.append(known[window.hw])
        self.crops = tuple(windows)


class MeasuredScores:
    """What filters ask of findings under some options, measured when they ask."""

    def __init__(self, findings: Findings, options: GeneratorOptions) -> None:
        cleaning = options.min_mask_region_area if findings.origin.family == "sam2" else 0.0
        self.setting = Setting(float(options.mask_threshold), float(cleaning))
        self._offset = float(options.stability_score_offset)
        self._measuring = findings._measuring
        self.crop, self.iou = findings._pool.columns.crop, findings._pool.columns.iou

    def boxes(self, numbers: np.ndarray) -> np.ndarray:
        """Boxes [m, 4] of candidates [m]."""
        return self._measuring.boxes(self.setting, numbers)

    def bounds(self, numbers: np.ndarray) -> Bounds:
        """Between which boxes those of candidates [m] lie."""
        return self._measuring.bounds(self.setting, numbers)

    def stability(self, numbers: np.ndarray) -> np.ndarray:
        """Stability scores of candidates [m]."""
        return self._measuring.stability(self.setting, self._offset, numbers)

    def scored(self) -> np.ndarray:
        """Of which candidates the stability is known, bool [K]."""
        return self._measuring.scored(self.setting, self._offset)

    def runs(self, numbers: np.ndarray) -> list[Any]:
        """Pixels of candidates [m] as run lengths."""
        return self._measuring.runs(self.setting, numbers)


def _depth(options: GeneratorOptions, lowest: float | None, clean_at: float) -> float:
    """The lowest logit to keep."""
    least = min(options.mask_threshold - options.stability_score_offset, clean_at - 1.0)
    if lowest is None:
        return min(least, options.mask_threshold - DEPTH)
    if not lowest <= least:
        raise OptionError(
            f"lowest must be at most {least:g} (mask_threshold - stability_score_offset, and below "
            f"{clean_at:g}), got {lowest!r}; -inf keeps all logits"
        )
    return lowest


def _deeper(options: GeneratorOptions, layers: int) -> GeneratorOptions:
    """The options with so many layers of crops; grids of one's own that are too few end with the last one."""
    own = None if options.point_grids is None else _padded(options.point_grids, layers)
    return replace(options, crop_n_layers=layers, point_grids=own)


def _padded(point_grids: Sequence[np.ndarray], layers: int) -> list[np.ndarray]:
    return [*point_grids, *[point_grids[-1]] * (layers + 1 - len(point_grids))]


def _same(before: Any, now: Any) -> bool:
    """Whether two values of an option are the same; grids of points are lists of arrays."""
    if isinstance(before, Sequence) and isinstance(now, Sequence) and not isinstance(before, str):
        return len(before) == len(now) and all(map(np.array_equal, before, now))
    return bool(np.array_equal(before, now))
