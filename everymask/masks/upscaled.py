"""Areas, boxes and runs of masks as they are after upscaling, without upscaling them.

Bilinear interpolation is convex: a pixel of the photo lies between the low-resolution logits around it. Where
all of those are above a threshold, or all below, the pixel is decided without being computed. That leaves
the few windows that an outline runs through (1 to 4 % of them), and only their pixels are interpolated. The
results are those of the full-resolution tensor, pixel for pixel: pixels so close to a threshold that the
order of rounding matters are computed again exactly as ``torch.nn.functional.interpolate`` does.

A window is K x K neighbouring logits; its pixels are those interpolated from them.

Letters used in shapes: m masks, h x w logits, H x W the photo, n open windows, q pixels of a window along one
side, K neighbours along one side (2, or 3 where there are two bilinear steps).
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
from everymask.masks.rle import Rle, encode_columns

TOLERANCE = 4e-6
"""Float32 rounding of two bilinear steps, as a share of a mask's largest logit, with room to spare."""


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
class Step:
    """One bilinear step along one axis, as torch computes it: two neighbours of each pixel, their weights."""

    low: np.ndarray  # int64 [out]
    high: np.ndarray  # int64 [out]
    low_weight: np.ndarray  # float32 [out]
    high_weight: np.ndarray  # float32 [out]


@dataclass(frozen=True)
class Axis:
    """All steps along one axis, and which pixels each window has.

    A window's pixels are stored in pieces of at most q: those at the border have half as many again.
    """

    steps: tuple[Step, ...]
    taps: int  # K
    counts: np.ndarray  # float64 [h] pixels of the window that starts at each logit
    first_piece: np.ndarray  # int64 [h]
    pieces: np.ndarray  # int64 [h] how many pieces, 0 for a window without pixels
    starts: np.ndarray  # int64 [pieces] first pixel
    weights: np.ndarray  # float32 [pieces, K, q]; NaN where a piece has fewer than q pixels

    @property
    def length(self) -> int:
        """Pixels along the axis."""
        return int(self.counts.sum())


@dataclass(frozen=True)
class Pixels:
    """Interpolated pixels of n pieces of windows: some of a mask's pixels at the photo's size."""

    values: np.ndarray  # float32 [n, qy, qx], NaN where there is no pixel
    y: np.ndarray  # int64 [n] of the upper left one
    x: np.ndarray  # int64 [n]


class Upscaler:
    """Measures and encodes masks: logits [m, h, w] that ``stretches`` would make [m, H, W].

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

    def measure(
        self, logits: Tensor, threshold: float, offset: float, min_stability: float = 0.0
    ) -> Measured:
        """Areas and boxes of ``logits`` float32 [m, h, w].

        A mask whose stability (``area_above / area_below``) is certain to stay below ``min_stability`` is
        not computed to the end: its areas are those of some unstable mask, its box is 0.
        """
        # The comparisons of the official code are with float32 thresholds.
        thresholds = tuple(np.float32(t) for t in (threshold - offset, threshold, threshold + offset))
        if self.plain or logits.device.type != "cpu":
            found = list(self._measure_plain(logits, thresholds))
        else:
            found = [self._measure_one(one, thresholds, min_stability) for one in logits.numpy()]
        areas = np.array([areas for areas, _ in found], np.int64).reshape(-1, 3)
        boxes = np.array([box for _, box in found], np.int64).reshape(-1, 4)
        return Measured(areas[:, 1], areas[:, 2], areas[:, 0], boxes)

    def runs(self, logits: Tensor, threshold: float) -> Rle:
        """The mask of ``logits`` float32 [h, w] above ``threshold``, encoded at the photo's size."""
        if self.plain or logits.device.type != "cpu":
            return encode_columns((self.upscaled(logits[None])[0] > threshold).T.contiguous().cpu().numpy())
        return encode_columns(self._painted(logits.numpy(), np.float32(threshold)))

    def upscaled(self, logits: Tensor) -> Tensor:
        """The plain way: [m, h, w] -> [m, H, W]."""
        for stretch in self.stretches:
            height, width = stretch.kept_hw
            logits = F.interpolate(logits[None], stretch.to_hw, mode="bilinear", align_corners=False)[0]
            logits = logits[:, :height, :width]
        return logits

    def _measure_plain(
        self, logits: Tensor, thresholds: Sequence[np.float32]
    ) -> Iterator[tuple[list[int], tuple[int, int, int, int]]]:
        batch = max(1, PLAIN_BYTES // max(1, 4 * self.photo_hw[0] * self.photo_hw[1]))
        for part in logits.split(batch) if len(logits) else ():
            full = self.upscaled(part)
            if full.device.type == "cpu":
                yield from (_measure_full(one, thresholds) for one in full.numpy())
                continue
            areas = torch.stack([(full > float(t)).sum((1, 2)) for t in thresholds], dim=1).tolist()
            inside = full > float(thresholds[1])
            lines = zip(inside.any(2).cpu().numpy(), inside.any(1).cpu().numpy(), strict=True)
            yield from zip(areas, [_box_of_lines(*pair) for pair in lines], strict=True)

    def _measure_one(
        self, logits: np.ndarray, thresholds: Sequence[np.float32], min_stability: float
    ) -> tuple[list[int], tuple[int, int, int, int]]:
        low, high = self._bounds(logits)
        tolerance = _tolerance(logits)
        within = [low > t + tolerance for t in thresholds]
        open_ = [~w & (high > t - tolerance) for w, t in zip(within, thresholds, strict=True)]
        areas = [self._count(w) for w in within]
        best = (areas[2] + self._count(open_[2])) / max(1, areas[0])
        if best < min_stability - 1e-5:
            return [max(areas[0], 1), areas[1], 0], (0, 0, 0, 0)
        if 2 * sum(map(self._count, open_)) * self.rows.taps > self.rows.length * self.columns.length:
            # Noise: so much is open that the whole photo's size is cheaper.
            return _measure_full(self.upscaled(torch.from_numpy(logits)[None])[0].numpy(), thresholds)
        for i in (2, 0):
            for _, hits in self._open_pixels(logits, open_[i], thresholds[i], tolerance):
                areas[i] += int(np.count_nonzero(hits))
        if areas[2] < (min_stability - 1e-5) * areas[0]:
            return areas, (0, 0, 0, 0)
        lines = self._whole_lines(within[1])
        for pixels, hits in self._open_pixels(logits, open_[1], thresholds[1], tolerance):
            areas[1] += int(np.count_nonzero(hits))
            _mark_lines(lines, pixels, hits)
        return areas, _box_of_lines(*lines)

    def _open_pixels(
        self, logits: np.ndarray, windows: np.ndarray, threshold: np.float32, tolerance: np.float32
    ) -> Iterator[tuple[Pixels, np.ndarray]]:
        """Pixels of the marked windows and which are above the threshold, a part at a time."""
        y, x = np.nonzero(windows)
        for start in range(0, len(y), CHUNK):
            part = slice(start, start + CHUNK)
            pixels = self._pixels(logits, y[part], x[part], threshold, tolerance)
            yield pixels, pixels.values > threshold

    def _bounds(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest logit of each window, [h, w] twice."""
        return tuple(  # type: ignore[return-value]
            _over_windows(_over_windows(logits, self.rows.taps, 0, pick), self.columns.taps, 1, pick)
            for pick in (np.minimum, np.maximum)
        )

    def _count(self, windows: np.ndarray) -> int:
        """How many pixels the marked windows have."""
        # Sums below 2^24 in float32 are exact: that is one row of a photo 16 million pixels wide.
        per_row = windows.astype(np.float32) @ self.columns.counts.astype(np.float32)
        return int(per_row.astype(np.float64) @ self.rows.counts)

    def _pixels(
        self,
        logits: np.ndarray,
        at_y: np.ndarray,
        at_x: np.ndarray,
        threshold: np.float32,
        tolerance: np.float32,
    ) -> Pixels:
        """The pixels of windows [n]; exact where it matters for ``threshold``."""
        y, x = self._pieces_of(at_y, at_x)
        row, column = self.rows.weights[y[1]], self.columns.weights[x[1]]  # [n, K, q]
        last_y, last_x = logits.shape[0] - 1, logits.shape[1] - 1
        values = None
        for i in range(self.rows.taps):
            line_start = np.minimum(y[0] + i, last_y) * logits.shape[1]
            line = None
            for j in range(self.columns.taps):
                corner = logits.reshape(-1)[line_start + np.minimum(x[0] + j, last_x)]
                term = corner[:, None] * column[:, j]
                line = term if line is None else np.add(line, term, out=line)
            part = line[:, None, :] * row[:, i, :, None]  # type: ignore[index]
            values = part if values is None else np.add(values, part, out=values)
        assert values is not None
        near = np.flatnonzero(np.abs(values - threshold).reshape(-1) <= tolerance)
        found = Pixels(values, self.rows.starts[y[1]], self.columns.starts[x[1]])
        if len(near):
            piece, dy, dx = np.unravel_index(near, values.shape)
            values.reshape(-1)[near] = exact_values(
                logits, found.y[piece] + dy, found.x[piece] + dx, self.rows.steps, self.columns.steps
            )
        return found

    def _pieces_of(
        self, y: np.ndarray, x: np.ndarray
    ) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Windows as pieces: (window, piece) along y and along x. Only border windows have several."""
        repeats = self.rows.pieces[y] * self.columns.pieces[x]
        if (repeats == 1).all():
            return (y, self.rows.first_piece[y]), (x, self.columns.first_piece[x])
        number = np.arange(int(repeats.sum())) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        y, x = np.repeat(y, repeats), np.repeat(x, repeats)
        across = self.columns.pieces[x]
        return (y, self.rows.first_piece[y] + number // across), (
            x,
            self.columns.first_piece[x] + number % across,
        )

    def _whole_lines(self, within: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which rows and columns of the photo hold a whole window of the mask, bool [H] and [W]."""
        # Windows without pixels lie in SAM's padding, or are skipped where a small photo shrinks the logits.
        y, x = self.rows.counts.astype(np.int64), self.columns.counts.astype(np.int64)
        return np.repeat(within[:, x > 0].any(axis=1), y), np.repeat(within[y > 0].any(axis=0), x)

    def _painted(self, logits: np.ndarray, threshold: np.float32) -> np.ndarray:
        """The mask transposed, bool [W, H]: whole windows first, then single pixels."""
        low, high = self._bounds(logits)
        tolerance = _tolerance(logits)
        within = low > threshold + tolerance
        rows, columns = (axis.counts.astype(np.int64) for axis in (self.rows, self.columns))
        picture = np.repeat(np.repeat(within.T, rows, axis=1), columns, axis=0)
        open_ = ~within & (high > threshold - tolerance)
        for pixels, hits in self._open_pixels(logits, open_, threshold, tolerance):
            piece, dy, dx = np.nonzero(hits)
            picture.reshape(-1)[(pixels.x[piece] + dx) * self.photo_hw[0] + pixels.y[piece] + dy] = True
        return picture


CHUNK = 2048  # windows interpolated together: their pixels fit a core's cache
PLAIN_BYTES = 64_000_000  # of upscaled logits at a time


def exact_values(
    logits: np.ndarray, y: np.ndarray, x: np.ndarray, rows: Sequence[Step], columns: Sequence[Step]
) -> np.ndarray:
    """Single upscaled pixels of ``logits`` float32 [h, w], rounded as torch's CPU kernel rounds: float32 [n].

    The kernel computes ``fma(fma(a, v, b * w), s, fma(c, v, d * w) * t)`` from the four neighbours. A fused
    product and sum is a float64 one rounded once: the product of two float32 is exact there.
    """
    if not rows:
        return logits[y, x]
    row, column = rows[-1], columns[-1]
    v, w = column.low_weight[x].astype(np.float64), column.high_weight[x].astype(np.float64)
    s, t = row.low_weight[y].astype(np.float64), row.high_weight[y].astype(np.float64)

    def line(lines: np.ndarray) -> np.ndarray:
        left = exact_values(logits, lines, column.low[x], rows[:-1], columns[:-1])
        right = exact_values(logits, lines, column.high[x], rows[:-1], columns[:-1])
        return _rounded(left * v + _rounded(right * w))

    return _rounded(line(row.low[y]) * s + _rounded(line(row.high[y]) * t)).astype(np.float32)


@lru_cache
def formula_holds() -> bool:
    """Whether this machine's bilinear kernel rounds as :func:`exact_values` says; asked once."""
    logits = torch.randn(23, 29, generator=torch.Generator().manual_seed(0))
    hw = (211, 167)
    rows, columns = (_step(n, to, to) for n, to in zip(logits.shape, hw, strict=True))
    y, x = (i.reshape(-1) for i in np.meshgrid(*(np.arange(n) for n in hw), indexing="ij"))
    ours = exact_values(logits.numpy(), y, x, (rows,), (columns,))
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


def _tolerance(logits: np.ndarray) -> np.float32:
    return np.float32(TOLERANCE * float(np.abs(logits).max(initial=0.0)))


def _over_windows(x: np.ndarray, taps: int, axis: int, pick: np.ufunc) -> np.ndarray:
    """``pick`` over ``taps`` neighbours from each place on; the last one stands for those beyond the end."""
    out = x.copy()
    for tap in range(1, taps):
        head = [slice(None)] * 2
        tail = [slice(None)] * 2
        head[axis], tail[axis] = slice(0, x.shape[axis] - tap), slice(tap, None)
        pick(out[tuple(head)], x[tuple(tail)], out=out[tuple(head)])
        head[axis], tail[axis] = slice(max(0, x.shape[axis] - tap), None), slice(-1, None)
        pick(out[tuple(head)], x[tuple(tail)], out=out[tuple(head)])
    return out


def _measure_full(
    full: np.ndarray, thresholds: Sequence[np.float32]
) -> tuple[list[int], tuple[int, int, int, int]]:
    """Areas and box of one mask at the photo's size, [H, W]; numpy counts ten times as fast as torch."""
    inside: np.ndarray = np.greater(full, thresholds[1])
    below, above = np.count_nonzero(full > thresholds[0]), np.count_nonzero(full > thresholds[2])
    areas = [int(below), int(np.count_nonzero(inside)), int(above)]
    return areas, _box_of_lines(np.logical_or.reduce(inside, axis=1), np.logical_or.reduce(inside, axis=0))


def _mark_lines(lines: tuple[np.ndarray, np.ndarray], pixels: Pixels, hits: np.ndarray) -> None:
    """Mark the rows and columns of the photo that single pixels lie on."""
    piece, dy = np.nonzero(hits.any(axis=2))
    lines[0][pixels.y[piece] + dy] = True
    piece, dx = np.nonzero(hits.any(axis=1))
    lines[1][pixels.x[piece] + dx] = True


def _box_of_lines(rows: np.ndarray, columns: np.ndarray) -> tuple[int, int, int, int]:
    """The box of a mask that occupies these rows and columns; (0, 0, 0, 0) for none."""
    y, x = np.flatnonzero(rows), np.flatnonzero(columns)
    return (int(x[0]), int(y[0]), int(x[-1]), int(y[-1])) if len(y) else (0, 0, 0, 0)


def _axis(length: int, sizes: Sequence[int], kept: Sequence[int]) -> Axis:
    steps, size = [], length
    for to, keep in zip(sizes, kept, strict=True):
        steps.append(_step(size, to, keep))
        size = keep
    base, taps = _composed(length, steps)  # [out], [out, K]
    longest = -(-len(base) // length)  # q
    place = _place_in_run(base)
    is_start = place % longest == 0
    starts = np.flatnonzero(is_start)
    piece_of = np.cumsum(is_start) - 1
    weights = np.full((len(starts), taps.shape[1], longest), np.nan, np.float32)
    weights[piece_of, :, np.arange(len(base)) - starts[piece_of]] = taps
    pieces = np.bincount(base[starts], minlength=length)
    first_piece = np.cumsum(pieces) - pieces
    counts = np.bincount(base, minlength=length).astype(np.float64)
    return Axis(tuple(steps), taps.shape[1], counts, first_piece, pieces, starts, weights)


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


def _place_in_run(values: np.ndarray) -> np.ndarray:
    """How far each entry is from the start of its run of equal values."""
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    return np.arange(len(values)) - np.repeat(starts, np.diff(np.append(starts, len(values))))
