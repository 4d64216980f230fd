"""Areas, boxes and pictures of masks as they are after upscaling, without upscaling whole photos.

Bilinear interpolation is convex: a pixel of the photo lies between the low-resolution logits around it. So a
mask's pixels lie where some logit is above the threshold: only the box around those is looked at, in stripes
of rows. A column of a stripe whose logits are all above, or all below, is decided; the others are
interpolated, as two small matrix products. The results are those of the full-resolution tensor, pixel for
pixel: pixels so close to a threshold that the order of rounding matters are computed again exactly as
``torch.nn.functional.interpolate`` does.

Letters used in shapes: m masks, h x w logits, k x l a patch of them, H x W the photo, K neighbours along one
side that a pixel is interpolated from (2, or 3 where there are two bilinear steps), s stripes, n columns of
stripes that are interpolated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from everymask.errors import InputError
from everymask.geometry import Stretch

TOLERANCE = 4e-6
"""Float32 rounding of two bilinear steps, as a share of a mask's largest logit, with room to spare."""

STRIPE = 64  # rows of pixels
BLOCK = 128  # pixels along x interpolated with one small matrix

PLAIN_BYTES = 64_000_000  # of upscaled logits at a time


@dataclass(frozen=True)
class Measured:
    """What the filters ask of m masks."""

    area: np.ndarray  # int64 [m] pixels above the threshold
    area_above: np.ndarray  # int64 [m] pixels above threshold + offset
    area_below: np.ndarray  # int64 [m] pixels above threshold - offset
    boxes: np.ndarray  # int64 [m, 4] xyxy of the pixels above the threshold, edges inclusive; 0 if empty

    def __len__(self) -> int:
        return len(self.area)


@dataclass(frozen=True)
class Patch:
    """The part of one mask's logits that its pixels above a threshold are interpolated from."""

    values: Tensor  # float32 [k, l]
    y: int  # of the upper left one among all logits
    x: int
    tolerance: np.float32  # of pixels interpolated from them

    @property
    def bytes(self) -> int:
        """Memory that it holds."""
        return 4 * self.values.numel()


@dataclass(frozen=True)
class Step:
    """One bilinear step along one axis, as torch computes it: two neighbours of each pixel, their weights."""

    low: np.ndarray  # int64 [out]
    high: np.ndarray  # int64 [out]
    low_weight: np.ndarray  # float32 [out]
    high_weight: np.ndarray  # float32 [out]


@dataclass(frozen=True)
class Axis:
    """All steps along one axis."""

    steps: tuple[Step, ...]
    first: np.ndarray  # int64 [out] first neighbour of each pixel
    taps: int  # K
    weights: Tensor  # float32 [out, in], K of a row not 0

    def covered(self, start: int, stop: int) -> tuple[int, int]:
        """Start and stop of the pixels that the logits from ``start`` to before ``stop`` decide alone."""
        at_end = stop == self.weights.shape[1]
        end = len(self.first) if at_end else int(np.searchsorted(self.first, stop - self.taps, "right"))
        return int(np.searchsorted(self.first, start, "left")), end

    def logits_of(self, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and last (exclusive) logits that the pixels ``start`` to before ``stop`` are made from."""
        return self.first[start], np.minimum(self.first[stop - 1] + self.taps, self.weights.shape[1])


@dataclass(frozen=True)
class Pixels:
    """The pixels that a patch decides, in stripes of :data:`STRIPE` rows."""

    top: int  # row of the photo at which the first stripe starts
    left: int  # column of the photo at which all start
    bottom: int  # row before which the last one stops
    whole: np.ndarray  # bool [s, columns]: columns of a stripe that are above every threshold
    stripe: np.ndarray  # int64 [n]
    column: np.ndarray  # int64 [n] counted from ``left``
    values: np.ndarray  # float32 [STRIPE, n]; -inf from ``bottom`` on

    def lengths(self) -> np.ndarray:
        """How many rows of the photo each stripe has, int64 [s]."""
        starts = self.top + STRIPE * np.arange(len(self.whole))
        return np.minimum(STRIPE, self.bottom - starts)


NO_PIXELS = Pixels(
    0, 0, 0, np.zeros((0, 0), bool), *2 * (np.zeros(0, np.int64),), np.zeros((STRIPE, 0), np.float32)
)


class Upscaler:
    """Measures and draws masks: logits [m, h, w] that ``stretches`` would make [m, H, W].

    Works on the host, a mask at a time. Logits on a GPU, and those of small photos, are upscaled in
    earnest, a few at a time: there it costs nothing. So they are where this machine's bilinear kernel
    rounds in a way of its own (:func:`formula_holds`).
    """

    def __init__(self, logits_hw: tuple[int, int], stretches: Sequence[Stretch]) -> None:
        self.stretches = tuple(stretches)
        self.photo_hw = self.stretches[-1].kept_hw
        sizes, kept = [s.to_hw for s in self.stretches], [s.kept_hw for s in self.stretches]
        self.rows, self.columns = (
            _axis(logits_hw[i], [s[i] for s in sizes], [k[i] for k in kept]) for i in (0, 1)
        )
        # Up to this size torch takes another kernel, with another rounding.
        self.plain = any(sum(size) <= 128 for size in sizes) or not formula_holds()

    def measure(self, logits: Tensor, threshold: float, offset: float) -> Measured:
        """Areas and boxes of ``logits`` float32 [m, h, w]."""
        # The comparisons of the official code are with float32 thresholds.
        thresholds = tuple(np.float32(t) for t in (threshold - offset, threshold, threshold + offset))
        if self._upscales_in_earnest(logits):
            found = list(self._measure_plain(logits, thresholds))
        else:
            found = [self._measure_one(one, thresholds) for one in logits]
        areas = np.array([areas for areas, _ in found], np.int64).reshape(-1, 3)
        boxes = np.array([box for _, box in found], np.int64).reshape(-1, 4)
        return Measured(areas[:, 1], areas[:, 2], areas[:, 0], boxes)

    def patch(self, logits: Tensor, threshold: float) -> Patch:
        """What must be kept of ``logits`` float32 [h, w] to draw the mask above ``threshold``: a copy."""
        if self._upscales_in_earnest(logits):
            return Patch(logits.clone(), 0, 0, np.float32(0))
        cut = self._cut(logits, np.float32(threshold))
        return Patch(cut.values.clone(), cut.y, cut.x, cut.tolerance)

    def draw(self, patch: Patch, threshold: float) -> tuple[np.ndarray, tuple[int, int]]:
        """The columns of a mask, bool [columns, rows], and where in the photo its first pixel (x, y) lies.

        Everything of the photo outside is background.
        """
        if self._upscales_in_earnest(patch.values):
            return (self.upscaled(patch.values[None])[0] > threshold).T.contiguous().cpu().numpy(), (0, 0)
        limits = (np.float32(threshold),)
        pixels = self._pixels(patch, limits)
        (above,) = self._above(patch, pixels, limits)
        columns = np.repeat(pixels.whole.T, STRIPE, axis=1)  # [columns, s * STRIPE]
        columns.reshape(len(columns), len(pixels.whole), STRIPE)[pixels.column, pixels.stripe] = above.T
        return columns[:, : pixels.bottom - pixels.top], (pixels.left, pixels.top)

    def upscaled(self, logits: Tensor) -> Tensor:
        """The plain way: [m, h, w] -> [m, H, W]."""
        for stretch in self.stretches:
            height, width = stretch.kept_hw
            logits = F.interpolate(logits[None], stretch.to_hw, mode="bilinear", align_corners=False)[0]
            logits = logits[:, :height, :width]
        return logits

    def _upscales_in_earnest(self, logits: Tensor) -> bool:
        return self.plain or logits.device.type != "cpu"

    def _measure_plain(
        self, logits: Tensor, thresholds: Sequence[np.float32]
    ) -> Iterator[tuple[list[int], tuple[int, int, int, int]]]:
        batch = max(1, PLAIN_BYTES // max(1, 4 * self.photo_hw[0] * self.photo_hw[1]))
        for part in logits.split(batch) if len(logits) else ():
            full = self.upscaled(part)
            if full.device.type == "cpu":  # numpy counts ten times as fast as torch
                counted = [[np.count_nonzero(one > t) for t in thresholds] for one in full.numpy()]
            else:
                counted = torch.stack([(full > float(t)).sum((1, 2)) for t in thresholds], dim=1).tolist()
            inside = full > float(thresholds[1])
            lines = zip(inside.any(2).cpu().numpy(), inside.any(1).cpu().numpy(), strict=True)
            yield from zip(counted, [_box_of_lines(*pair) for pair in lines], strict=True)

    def _measure_one(
        self, logits: Tensor, thresholds: Sequence[np.float32]
    ) -> tuple[list[int], tuple[int, int, int, int]]:
        patch = self._cut(logits, thresholds[0])
        pixels = self._pixels(patch, thresholds)
        inside = self._above(patch, pixels, thresholds)
        decided = int(np.count_nonzero(pixels.whole, axis=1) @ pixels.lengths())
        areas = [decided + np.count_nonzero(x) for x in inside]
        rows, columns = (np.zeros(length, dtype=bool) for length in self.photo_hw)
        by_stripe = np.repeat(np.logical_or.reduce(pixels.whole, axis=1), STRIPE).reshape(-1, STRIPE)
        starts = np.flatnonzero(np.diff(pixels.stripe, prepend=-1))
        if len(starts):
            by_stripe[pixels.stripe[starts]] |= np.logical_or.reduceat(inside[1], starts, axis=1).T
        rows[pixels.top : pixels.bottom] = by_stripe.reshape(-1)[: pixels.bottom - pixels.top]
        columns[pixels.left : pixels.left + pixels.whole.shape[1]] = np.logical_or.reduce(pixels.whole)
        columns[pixels.left + pixels.column[np.logical_or.reduce(inside[1], axis=0)]] = True
        return areas, _box_of_lines(rows, columns)

    def _cut(self, logits: Tensor, threshold: np.float32) -> Patch:
        """The logits [h, w] around those above ``threshold``; a view."""
        values = logits.numpy()
        tolerance = np.float32(TOLERANCE * max(float(values.max(initial=0)), -float(values.min(initial=0))))
        above: np.ndarray = values > threshold - tolerance
        ranges = []
        lines = np.logical_or.reduce(above, axis=1), np.logical_or.reduce(above, axis=0)
        for axis, line in zip((self.rows, self.columns), lines, strict=True):
            hits = np.flatnonzero(line)
            if len(hits) == 0:
                return Patch(logits[:0, :0], 0, 0, tolerance)
            margin = axis.taps - 1
            ranges.append((max(0, int(hits[0]) - margin), min(len(line), int(hits[-1]) + margin + 1)))
        (y0, y1), (x0, x1) = ranges
        return Patch(logits[y0:y1, x0:x1], y0, x0, tolerance)

    def _pixel_box(self, patch: Patch) -> tuple[tuple[int, int], tuple[int, int]]:
        """Start and stop of the rows and of the columns of pixels that a patch decides."""
        if patch.values.numel() == 0:
            return (0, 0), (0, 0)
        height, width = patch.values.shape
        return (
            self.rows.covered(patch.y, patch.y + height),
            self.columns.covered(patch.x, patch.x + width),
        )

    def _pixels(self, patch: Patch, thresholds: Sequence[np.float32]) -> Pixels:
        """All pixels of a patch; those that some of the ascending ``thresholds`` may divide interpolated."""
        (top, bottom), (left, right) = self._pixel_box(patch)
        if bottom <= top or right <= left:
            nothing = np.zeros(0, np.int64)
            return Pixels(
                0, 0, 0, np.zeros((0, 0), bool), nothing, nothing, np.zeros((STRIPE, 0), np.float32)
            )
        starts = range(top, bottom, STRIPE)
        low, high = self.rows.logits_of(np.array(starts), np.array([*starts[1:], bottom]))
        values, neighbours = patch.values.numpy(), self.columns.first[left:right] - patch.x
        taps = self.columns.taps
        above = _all_of(values > thresholds[-1] + patch.tolerance, low - patch.y, high - patch.y, taps)[
            :, neighbours
        ]
        below = _all_of(values < thresholds[0] - patch.tolerance, low - patch.y, high - patch.y, taps)[
            :, neighbours
        ]
        stripe, column = np.nonzero(~(above | below))
        lines = self._stretched_along_x(patch, left, right)
        result = lines.new_empty(STRIPE, len(column))
        bounds = np.searchsorted(stripe, np.arange(len(starts) + 1)).tolist()
        at = torch.from_numpy(column)
        for number, start in enumerate(starts):
            own = slice(bounds[number], bounds[number + 1])
            stop = min(start + STRIPE, bottom)
            weights = self.rows.weights[start:stop, low[number] : high[number]]
            near = lines[low[number] - patch.y : high[number] - patch.y]
            result[: stop - start, own] = weights @ near.index_select(1, at[own])
            result[stop - start :, own] = -torch.inf
        return Pixels(top, left, bottom, above, stripe, column, result.numpy())

    def _stretched_along_x(self, patch: Patch, left: int, right: int) -> Tensor:
        """The rows of a patch interpolated along x, [k, right - left]."""
        lines = patch.values.new_empty(len(patch.values), right - left)
        starts = range(left, right, BLOCK)
        stops = [*starts[1:], right]
        low, high = (ends.tolist() for ends in self.columns.logits_of(np.array(starts), np.array(stops)))
        for start, stop, first, last in zip(starts, stops, low, high, strict=True):
            weights = self.columns.weights[start:stop, first:last]
            lines[:, start - left : stop - left] = (
                patch.values[:, first - patch.x : last - patch.x] @ weights.T
            )
        return lines

    def _above(self, patch: Patch, pixels: Pixels, thresholds: Sequence[np.float32]) -> list[np.ndarray]:
        """For each threshold which of the interpolated pixels are above it, exactly, bool [STRIPE, n]."""
        values, tolerance = pixels.values, patch.tolerance
        found = [values > t + tolerance for t in thresholds]
        close = []  # too near to a threshold for a matrix product: few, but most masks have some
        for threshold, above in zip(thresholds, found, strict=True):
            perhaps = values >= threshold - tolerance
            equal = np.count_nonzero(above) == np.count_nonzero(perhaps)
            close.append(np.flatnonzero(perhaps != above) if not equal else np.zeros(0, np.int64))
        row, place = np.divmod(np.concatenate(close), max(1, values.shape[1]))
        if len(row):
            exact = exact_values(
                patch.values.numpy(),
                (patch.y, patch.x),
                pixels.top + pixels.stripe[place] * STRIPE + row,
                pixels.left + pixels.column[place],
                self.rows.steps,
                self.columns.steps,
            )
            ends = np.cumsum([len(x) for x in close])[:-1]
            for above, flat, value, threshold in zip(
                found, close, np.split(exact, ends), thresholds, strict=True
            ):
                above.reshape(-1)[flat] = value > threshold
        return found


def _all_of(marks: np.ndarray, low: np.ndarray, high: np.ndarray, taps: int) -> np.ndarray:
    """Whether all logits are marked in the rows from ``low`` [s] to before ``high`` [s] and ``taps`` columns.

    ``marks`` bool [k, l] -> bool [s, l], for the columns that start at each one.
    """
    missing = np.zeros((len(marks) + 1, marks.shape[1]), np.int32)
    np.cumsum(~marks, axis=0, out=missing[1:])
    every = missing[high] == missing[low]
    result = every.copy()
    for tap in range(1, taps):
        result[:, :-tap] &= every[:, tap:]  # beyond the last column there is nothing to miss
    return result


def exact_values(
    logits: np.ndarray,
    origin_yx: tuple[int, int],
    y: np.ndarray,
    x: np.ndarray,
    rows: Sequence[Step],
    columns: Sequence[Step],
) -> np.ndarray:
    """Single upscaled pixels of ``logits`` float32 [k, l], rounded as torch's CPU kernel rounds: float32 [n].

    ``origin_yx`` says where the logits lie among all of their mask.
    The kernel computes ``fma(fma(a, v, b * w), s, fma(c, v, d * w) * t)`` from the four neighbours. A fused
    product and sum is a float64 one rounded once: the product of two float32 is exact there.
    """
    if not rows:
        return logits[y - origin_yx[0], x - origin_yx[1]]
    row, column = rows[-1], columns[-1]
    v, w = column.low_weight[x].astype(np.float64), column.high_weight[x].astype(np.float64)
    s, t = row.low_weight[y].astype(np.float64), row.high_weight[y].astype(np.float64)

    def line(lines: np.ndarray) -> np.ndarray:
        left = exact_values(logits, origin_yx, lines, column.low[x], rows[:-1], columns[:-1])
        right = exact_values(logits, origin_yx, lines, column.high[x], rows[:-1], columns[:-1])
        return _rounded(left * v + _rounded(right * w))

    return _rounded(line(row.low[y]) * s + _rounded(line(row.high[y]) * t)).astype(np.float32)


@lru_cache
def formula_holds() -> bool:
    """Whether this machine's bilinear kernel rounds as :func:`exact_values` says; asked once."""
    logits = torch.randn(23, 29, generator=torch.Generator().manual_seed(0))
    hw = (211, 167)
    rows, columns = (_step(n, to, to) for n, to in zip(logits.shape, hw, strict=True))
    y, x = (i.reshape(-1) for i in np.meshgrid(*(np.arange(n) for n in hw), indexing="ij"))
    ours = exact_values(logits.numpy(), (0, 0), y, x, (rows,), (columns,))
    theirs = F.interpolate(logits[None, None], hw, mode="bilinear", align_corners=False)
    return np.array_equal(ours, theirs.reshape(-1).numpy())


def check_finite(logits: Tensor, what: str) -> None:
    """Raise :class:`InputError` if there is a NaN or an infinity among ``logits``."""
    if logits.numel() and not bool(torch.isfinite(logits).all()):
        raise InputError(
            f"{what} must be finite, got NaN or infinity; check the weights, or load with dtype float32"
        )


def _rounded(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32).astype(np.float64)


def _box_of_lines(rows: np.ndarray, columns: np.ndarray) -> tuple[int, int, int, int]:
    """The box of a mask that occupies these rows and columns; (0, 0, 0, 0) for none."""
    y, x = np.flatnonzero(rows), np.flatnonzero(columns)
    return (int(x[0]), int(y[0]), int(x[-1]), int(y[-1])) if len(y) else (0, 0, 0, 0)


def _axis(length: int, sizes: Sequence[int], kept: Sequence[int]) -> Axis:
    steps, size = [], length
    for to, keep in zip(sizes, kept, strict=True):
        steps.append(_step(size, to, keep))
        size = keep
    first, taps = _composed(length, steps)  # [out], [out, K]
    weights = np.zeros((len(first), length))
    for tap in range(taps.shape[1]):
        np.add.at(weights, (np.arange(len(first)), np.minimum(first + tap, length - 1)), taps[:, tap])
    return Axis(tuple(steps), first, taps.shape[1], torch.from_numpy(weights.astype(np.float32)))


def _step(length: int, to: int, keep: int) -> Step:
    """torch's source positions, in its float32 (the product and the sum are fused there)."""
    scale = np.float32(length) / np.float32(to)
    centres = np.arange(keep, dtype=np.float64) + 0.5
    at = np.maximum((centres * np.float64(scale) - 0.5).astype(np.float32), np.float32(0))
    low = np.minimum(np.floor(at).astype(np.int64), length - 1)
    high_weight = np.clip(at - low.astype(np.float32), 0, 1).astype(np.float32)
    return Step(low, np.minimum(low + 1, length - 1), np.float32(1) - high_weight, high_weight)


def _composed(length: int, steps: Sequence[Step]) -> tuple[np.ndarray, np.ndarray]:
    """All steps as one: the first neighbour of each pixel [out], and the weights of K in a row [out, K]."""
    base, taps = np.arange(length), np.ones((length, 1))
    for step in steps:
        first, second = base[step.low], base[step.high]
        wider = np.zeros((len(step.low), taps.shape[1] + 1))
        rows = np.arange(len(step.low))[:, None]
        places = np.arange(taps.shape[1])
        wider[:, : taps.shape[1]] += step.low_weight[:, None].astype(np.float64) * taps[step.low]
        shift = np.minimum(second - first, 1)[:, None]
        np.add.at(
            wider, (rows, places + shift), step.high_weight[:, None].astype(np.float64) * taps[step.high]
        )
        base, taps = first, wider
    return base, taps
