"""Boxes, stability and pixels of candidates under a mask threshold, each measured once.

Letters used in shapes: K candidates, m of them, h x w mask logits.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from everymask.everything.candidate_pool import CandidatePool
from everymask.everything.grid import Crop
from everymask.everything.workers import Result, Workers, cores_kept
from everymask.masks.bilinear import exact_values
from everymask.masks.box_bounds import Bounds, BoxBounds, surely_above
from everymask.masks.cells import TOLERANCE
from everymask.masks.outermost import Outermost, boxes_of
from everymask.masks.regions import BEYOND, clean_logits
from everymask.masks.rle import Rle, encode_at
from everymask.masks.scores import stability
from everymask.masks.specks import Specks, SpeckStore, find_specks
from everymask.masks.upscaled import Upscaler

SETTINGS_KEPT = 8
"""Mask thresholds of which what was measured is kept, the latest ones."""

TOGETHER = 8
"""Candidates that a thread measures in one go: they share the cost of calls."""

SMALL = 1 << 15
"""Masks of fewer logits are measured by one thread: two would wait for the interpreter's lock."""

AT_ONCE = 64
"""Candidates whose whole logits are looked at together."""

MANY = 1024
"""Candidates of which some logits are looked at together."""

SPECKS = 16
"""Holes and islands are kept of up to this part of all logits."""

SPECKS_AT_ONCE = 1 << 19
"""Logits that are looked at together for holes and islands."""


@dataclass(frozen=True)
class Setting:
    """What decides a candidate's pixels."""

    mask_threshold: float
    cleaning: float = 0.0
    """Holes and islands of up to this many logits are taken out first: SAM 2's way. 0: none."""


@dataclass
class Memo:
    """What is measured of K candidates under one setting."""

    boxes: np.ndarray  # int64 [K, 4]
    boxed: np.ndarray  # bool [K] whose box is known
    scores: dict[float, np.ndarray] = field(default_factory=dict)  # by offset: float32 [K]
    scored: dict[float, np.ndarray] = field(default_factory=dict)  # bool [K]
    runs: dict[int, Rle] = field(default_factory=dict)

    def grown(self, count: int) -> Memo:
        """The same with room for ``count`` candidates."""

        def longer(x: np.ndarray) -> np.ndarray:
            return np.concatenate([x, np.zeros((count - len(x), *x.shape[1:]), x.dtype)])

        if count == len(self.boxes):
            return self
        scores, scored = ({k: longer(v) for k, v in each.items()} for each in (self.scores, self.scored))
        return Memo(longer(self.boxes), longer(self.boxed), scores, scored, self.runs)


class Measuring:
    """Measures candidates of a pool in the frame of the photo; each once, as long as its setting is kept.

    ``clean_at`` is the threshold at which SAM 2 looks for holes and islands.
    """

    def __init__(
        self,
        pool: CandidatePool,
        upscalers: Sequence[Upscaler],
        crops: Sequence[Crop],
        photo_hw: tuple[int, int],
        *,
        device: torch.device,
        clean_at: float,
    ) -> None:
        self._pool, self._upscalers, self._crops = pool, upscalers, crops
        self._photo_hw, self._device, self._clean_at = photo_hw, device, clean_at
        self._memos: OrderedDict[Setting, Memo] = OrderedDict()
        self._bounds: dict[int, BoxBounds | None] = {}
        self._specks: SpeckStore | None = None

    def know_boxes(self, setting: Setting, boxes: np.ndarray) -> None:
        """Boxes [k, 4] of the k candidates that came last, measured elsewhere."""
        memo = self._memo(setting)
        memo.boxes[len(memo.boxes) - len(boxes) :] = boxes
        memo.boxed[len(memo.boxed) - len(boxes) :] = True

    def know_specks(self, threshold: float, numbers: np.ndarray) -> None:
        """Find the holes and islands of candidates [m], so that the first who asks need not wait for it."""
        self._specks_of(Setting(threshold, 1.0), numbers)

    def know_stability(self, setting: Setting, offset: float, numbers: np.ndarray, seconds: float) -> None:
        """Measure the stability of candidates [m], the first of them first, for as long as that."""
        end = time.perf_counter() + seconds
        for start in range(0, len(numbers), AT_ONCE):
            if time.perf_counter() >= end:
                return
            self.stability(setting, offset, numbers[start : start + AT_ONCE])

    def boxes(self, setting: Setting, numbers: np.ndarray) -> np.ndarray:
        """Boxes of candidates [m], int64 [m, 4] in photo pixels, maximum edges inclusive."""
        memo = self._memo(setting)
        todo = numbers[~memo.boxed[numbers]]
        self._specks_of(setting, todo)
        if setting.cleaning == 0 and self._device.type == "cpu":
            for group, outermost in self._grouped(todo, partial(self._outermost, setting), MANY):
                sure = group[outermost.sure]
                memo.boxes[sure], memo.boxed[sure] = outermost.boxes[outermost.sure], True
            todo = todo[~memo.boxed[todo]]

        def measure(crop: int, group: np.ndarray) -> np.ndarray:
            upscaler, logits = self._upscalers[crop], self._logits(group, setting)
            if setting.cleaning > 0:
                boxes = upscaler.boxes(logits, setting.mask_threshold)
            else:  # few logits do not tell them
                boxes = upscaler.outlined(logits, setting.mask_threshold, 0.0).boxes
            x, y = self._crops[crop].x0, self._crops[crop].y0
            return boxes + np.array([x, y, x, y])

        for group, boxes in self._grouped(todo, measure, AT_ONCE):
            memo.boxes[group], memo.boxed[group] = boxes, True
        return memo.boxes[numbers]

    def bounds(self, setting: Setting, numbers: np.ndarray) -> Bounds:
        """Boxes within and around those of candidates [m]; the same twice where a box is known.

        Where bounds cannot be told the boxes are measured.
        """
        memo, columns = self._memo(setting), self._pool.columns
        cleaning, threshold = setting.cleaning > 0, np.float32(setting.mask_threshold)
        told = Bounds(memo.boxes[numbers], memo.boxes[numbers])
        todo = np.flatnonzero(~memo.boxed[numbers])
        for crop in np.unique(columns.crop[numbers[todo]]):
            at = todo[columns.crop[numbers[todo]] == crop]
            group = numbers[at]
            limits = self._limits(int(crop))
            specks = self._specks_of(setting, group)
            elsewhere = cleaning and (specks is None or setting.mask_threshold != self._clean_at)
            if limits is None or elsewhere:
                told.inner[at] = told.outer[at] = self.boxes(setting, group)
                continue
            tolerance = columns.tolerance[group]
            surely = surely_above(threshold, tolerance)[:, None]
            sure = columns.row_floors[group] > surely, columns.column_floors[group] > surely
            if specks is None:
                lowest = (threshold - tolerance)[:, None]
                reached = columns.row_peaks[group] > lowest, columns.column_peaks[group] > lowest
            else:
                reached, sure = specks.lines(group, setting.cleaning, sure, self._pool.logits_hw)
            found = limits.told(reached, sure).moved(self._crops[crop].x0, self._crops[crop].y0)
            told.inner[at], told.outer[at] = found.inner, found.outer
        return told

    def _limits(self, crop: int) -> BoxBounds | None:
        """What tells bounds of boxes in a crop; None where nothing does."""
        upscaler = self._upscalers[crop]
        if upscaler.plain or self._device.type != "cpu":
            return None
        if id(upscaler) not in self._bounds:
            self._bounds[id(upscaler)] = BoxBounds.of(upscaler.axes, self._pool.logits_hw)
        return self._bounds[id(upscaler)]

    def _specks_of(self, setting: Setting, numbers: np.ndarray) -> SpeckStore | None:
        """The holes and islands of candidates [m] that the setting takes out, found if they are not known.

        None where it takes none out, and where the area is so large that to keep them would be to keep all
        logits again.
        """
        height, width = self._pool.logits_hw
        if not 0 < setting.cleaning <= height * width / SPECKS:
            return None
        if self._specks is None or setting.cleaning > self._specks.most:
            most = max(64, height * width // (4 * SPECKS), 2 * int(setting.cleaning))
            self._specks = SpeckStore(self._clean_at, most)
        missing = self._specks.missing(numbers)
        if len(missing):
            most, together = self._specks.most, max(1, SPECKS_AT_ONCE // (height * width))
            tolerance = np.maximum(self._pool.columns.tolerance, TOLERANCE * (abs(self._clean_at) + BEYOND))

            def find(crop: int, group: np.ndarray) -> Specks:
                logits = self._pool.logits(group).numpy()
                return find_specks(logits, self._clean_at, tolerance[group], most)

            found = self._grouped(missing, find, together)
            self._specks.take(np.concatenate([group for group, _ in found]), [specks for _, specks in found])
        return self._specks

    def _outermost(self, setting: Setting, crop: int, group: np.ndarray) -> Outermost:
        """The boxes of candidates of a crop from few of their logits, where that tells them."""
        upscaler, columns = self._upscalers[crop], self._pool.columns
        if upscaler.plain or len(upscaler.stretches) > 1:
            return Outermost(np.zeros((len(group), 4), np.int64), np.zeros(len(group), bool))
        found = boxes_of(
            upscaler.axes,
            (columns.row_peaks[group], columns.column_peaks[group]),
            columns.tolerance[group],
            np.float32(setting.mask_threshold),
            lambda masks, places, rows: self._pool.lines(group[masks], places, rows),
            lambda masks, y, x: self._pool.value_at(group[masks], y, x),
        )
        window = self._crops[crop]
        moved = found.boxes + np.array([window.x0, window.y0, window.x0, window.y0])
        return Outermost(moved, found.sure)

    def stability(self, setting: Setting, offset: float, numbers: np.ndarray) -> np.ndarray:
        """Stability scores of candidates [m], float32 [m]; NaN for masks that are empty at any threshold."""
        memo = self._memo(setting)
        scores = memo.scores.setdefault(offset, np.zeros(len(memo.boxes), np.float32))
        scored = self.scored(setting, offset)
        threshold = setting.mask_threshold

        def measure(crop: int, group: np.ndarray) -> np.ndarray:
            levels = (threshold - offset, threshold + offset)
            below, above = self._upscalers[crop].areas_of(self._logits(group, setting), levels)
            return stability(above, below)

        todo = numbers[~scored[numbers]]
        self._specks_of(setting, todo)
        for group, found in self._grouped(todo, measure):
            scores[group], scored[group] = found, True
        return scores[numbers]

    def scored(self, setting: Setting, offset: float) -> np.ndarray:
        """Of which candidates the stability is known, bool [K]."""
        memo = self._memo(setting)
        return memo.scored.setdefault(offset, np.zeros(len(memo.boxes), bool))

    def runs(self, setting: Setting, numbers: np.ndarray) -> list[Rle]:
        """The pixels of candidates [m] as run lengths."""
        memo = self._memo(setting)
        todo = np.array([n for n in numbers.tolist() if n not in memo.runs], np.int64)
        self._specks_of(setting, todo)

        def measure(crop: int, group: np.ndarray) -> list[Rle]:
            upscaler, window, found = self._upscalers[crop], self._crops[crop], []
            for patch in upscaler.patches(self._logits(group, setting), setting.mask_threshold):
                mask, (x, y) = upscaler.draw(patch, setting.mask_threshold)
                found.append(encode_at(mask, (x + window.x0, y + window.y0), self._photo_hw))
            return found

        for group, runs in self._grouped(todo, measure):
            memo.runs.update(zip(group.tolist(), runs, strict=True))
        return [memo.runs[n] for n in numbers.tolist()]

    def logits_at(self, setting: Setting, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
        """The upscaled logits at a pixel of the photo: numbers of the candidates whose crop has it, and
        what they say there, float32."""
        of = self._pool.columns.crop
        numbers: list[np.ndarray] = [np.zeros(0, np.int64)]
        logits: list[np.ndarray] = [np.zeros(0, np.float32)]
        for crop, window in enumerate(self._crops):
            if window.x0 <= x < window.x1 and window.y0 <= y < window.y1:
                members = np.flatnonzero(of == crop)
                numbers.append(members)
                logits.append(self._pixel(setting, crop, members, x - window.x0, y - window.y0))
        return np.concatenate(numbers), np.concatenate(logits)

    def _pixel(self, setting: Setting, crop: int, members: np.ndarray, x: int, y: int) -> np.ndarray:
        """The upscaled logits of some candidates of a crop at one of its pixels, float32 [m]."""
        axes = self._upscalers[crop].axes
        found = [np.zeros(0, np.float32)]
        self._specks_of(setting, members)
        together = AT_ONCE if setting.cleaning > 0 else len(members)
        for start in range(0, len(members), max(1, together)):
            part = members[start : start + together]
            if setting.cleaning > 0:
                pick = partial(_at, self._logits(part, setting).cpu().numpy())
            else:
                pick = partial(self._pool.value_at, part)
            places = np.full(len(part), y), np.full(len(part), x)
            found.append(exact_values(pick, *places, axes.rows.steps, axes.columns.steps))
        return np.concatenate(found)

    def _memo(self, setting: Setting) -> Memo:
        count = len(self._pool)
        memo = self._memos.pop(setting, None)
        if memo is None:
            memo = Memo(np.zeros((count, 4), np.int64), np.zeros(count, bool))
        self._memos[setting] = memo = memo.grown(count)
        while len(self._memos) > SETTINGS_KEPT:
            self._memos.popitem(last=False)
        return memo

    def _logits(self, numbers: np.ndarray, setting: Setting) -> Tensor:
        logits = self._pool.logits(numbers)
        height, width = self._pool.logits_hw
        if 0 < setting.cleaning <= height * width / SPECKS:
            assert self._specks is not None, "found before threads begin"
            self._specks.clean(numbers, logits.numpy(), setting.cleaning)
        elif setting.cleaning > 0:
            cleaned = [clean_logits(one, self._clean_at, setting.cleaning) for one in logits.numpy()]
            logits = torch.from_numpy(np.stack(cleaned)) if cleaned else logits
        return logits.to(self._device)

    def _grouped(
        self,
        numbers: np.ndarray,
        measure: Callable[[int, np.ndarray], Result],
        together: int = TOGETHER,
    ) -> list[tuple[np.ndarray, Result]]:
        """``measure(crop, numbers)`` for some candidates of one crop at a time, on all cores."""
        of = self._pool.columns.crop[numbers]
        jobs = [
            (int(crop), members[i : i + together])
            for crop in np.unique(of)
            for members in [numbers[of == crop]]
            for i in range(0, len(members), together)
        ]
        with cores_kept() as cores:
            count = min(cores if self._in_parallel else 1, len(jobs))
            with Workers([None] * max(1, count)) as workers:
                found = workers.map(lambda _, job: (job[1], measure(*job)), jobs)
                return list(found)

    @property
    def _in_parallel(self) -> bool:
        height, width = self._pool.logits_hw
        return self._device.type == "cpu" and height * width >= SMALL


def _at(logits: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The logits [m, h, w] of each mask at one place, float32 [m]."""
    return logits[np.arange(len(logits)), y, x]
