"""Areas, boxes and pictures of masks as they are after upscaling, without upscaling whole photos.

The results are those of the full-resolution tensor, pixel for pixel; :mod:`everymask.masks.cells` says how.

Letters used in shapes: m masks, h x w logits, H x W the photo, R x C pixels of the largest cell, n cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from everymask.errors import InputError
from everymask.geometry import Stretch
from everymask.masks import cells
from everymask.masks.cells import Above, Axes, Cells, Columns, Patch, Undecided
from everymask.masks.interpolation import axis_of, formula_holds

PLAIN_BYTES = 64_000_000  # of upscaled logits at a time

FAR = 1e9  # beyond every row and column


@dataclass(frozen=True)
class Measured:
    """What the filters ask of m masks."""

    area: np.ndarray  # int64 [m] pixels above the threshold
    area_above: np.ndarray  # int64 [m] pixels above threshold + offset
    area_below: np.ndarray  # int64 [m] pixels above threshold - offset
    boxes: np.ndarray  # int64 [m, 4] xyxy of the pixels above the threshold, edges inclusive; 0 if empty
    patches: Sequence[Patch]  # m, that the masks can be drawn from; views of the logits

    def __len__(self) -> int:
        return len(self.area)


class Upscaler:
    """Measures and draws masks: logits [m, h, w] that ``stretches`` would make [m, H, W].

    Works on the host. Logits on a GPU, and those of small photos, are upscaled in earnest, a few at a time:
    there it costs nothing. So they are where this machine's bilinear kernel rounds in a way of its own
    (:func:`everymask.masks.interpolation.formula_holds`).
    """

    def __init__(self, logits_hw: tuple[int, int], stretches: Sequence[Stretch]) -> None:
        self.stretches = tuple(stretches)
        self.photo_hw = self.stretches[-1].kept_hw
        sizes, kept = [s.to_hw for s in self.stretches], [s.kept_hw for s in self.stretches]
        self.axes = Axes.of(
            *(axis_of(logits_hw[i], [s[i] for s in sizes], [k[i] for k in kept]) for i in (0, 1))
        )
        # Up to this size torch takes another kernel, with another rounding.
        self.plain = any(sum(size) <= 128 for size in sizes) or not formula_holds()

    def measure(self, logits: Tensor, threshold: float, offset: float) -> Measured:
        """Areas and boxes of ``logits`` float32 [m, h, w]."""
        # The comparisons of the official code are with float32 thresholds.
        thresholds = tuple(np.float32(t) for t in (threshold - offset, threshold, threshold + offset))
        if self._upscales_in_earnest(logits):
            return self._measure_plain(logits, thresholds)
        return self._measure_cells(logits, thresholds)

    def draw(self, patch: Patch, threshold: float) -> tuple[np.ndarray, tuple[int, int]]:
        """The columns of a mask, bool [columns, rows], and where in the photo its first pixel (x, y) lies.

        Everything of the photo outside is background.
        """
        if self._upscales_in_earnest(patch.values):
            return (self.upscaled(patch.values[None])[0] > threshold).T.contiguous().cpu().numpy(), (0, 0)
        if patch.values.numel() == 0:
            return np.zeros((0, 0), bool), (0, 0)
        limit, axes = np.float32(threshold), self.axes
        found = cells.cells_of(patch, axes, limit, limit)
        tall = np.repeat(found.whole.T, axes.rows.pixels[found.rows], axis=1)
        mask = np.repeat(tall, axes.columns.pixels[found.columns], axis=0)
        top, left = int(axes.rows.start[found.rows.start]), int(axes.columns.start[found.columns.start])
        values = patch.values.numpy()
        for part in cells.columns_of(found.undecided, axes):
            above = cells.above(part, limit, axes, lambda _, y, x: values[y - patch.y, x - patch.x])
            inside = (axes.y[:, None] >= above.start) & (axes.y[:, None] < above.stop)  # [R, C, n]
            inside[:, above.place, above.cell] = above.exact
            y = axes.rows.start[part.cells.row] - top + axes.y  # [R, n]
            x = axes.columns.start[part.cells.column] - left + axes.x  # [C, n]
            at = (x * mask.shape[1])[None] + y[:, None]
            mask.reshape(-1)[at[inside]] = True
        return mask, (left, top)

    def upscaled(self, logits: Tensor) -> Tensor:
        """The plain way: [m, h, w] -> [m, H, W]."""
        for stretch in self.stretches:
            height, width = stretch.kept_hw
            logits = F.interpolate(logits[None], stretch.to_hw, mode="bilinear", align_corners=False)[0]
            logits = logits[:, :height, :width]
        return logits

    def _upscales_in_earnest(self, logits: Tensor) -> bool:
        return self.plain or logits.device.type != "cpu"

    def _measure_plain(self, logits: Tensor, thresholds: Sequence[np.float32]) -> Measured:
        batch = max(1, PLAIN_BYTES // max(1, 4 * self.photo_hw[0] * self.photo_hw[1]))
        areas: list[list[int]] = []
        boxes = []
        for part in logits.split(batch) if len(logits) else ():
            full = self.upscaled(part)
            if full.device.type == "cpu":  # numpy counts ten times as fast as torch
                areas += [[np.count_nonzero(one > t) for t in thresholds] for one in full.numpy()]
            else:
                areas += torch.stack([(full > float(t)).sum((1, 2)) for t in thresholds], dim=1).tolist()
            inside = full > float(thresholds[1])
            lines = zip(inside.any(2).cpu().numpy(), inside.any(1).cpu().numpy(), strict=True)
            boxes += [_box_of_lines(*pair) for pair in lines]
        below, area, above = np.array(areas, np.int64).reshape(-1, 3).T
        patches = [Patch(one, 0, 0, np.float32(0)) for one in logits]
        return Measured(area, above, below, np.array(boxes, np.int64).reshape(-1, 4), patches)

    def _measure_cells(self, logits: Tensor, thresholds: Sequence[np.float32]) -> Measured:
        """Cells are decided mask by mask; what is left is looked at for all masks together."""
        areas = np.zeros((3, len(logits)), np.int64)
        boxes = np.tile(np.array([FAR, FAR, -1, -1]), (len(logits), 1))  # xyxy
        undecided = []
        patches = [cells.patch_above(one, self.axes, thresholds[0]) for one in logits]
        for number, patch in enumerate(patches):
            if patch.values.numel() == 0:
                continue
            found = cells.cells_of(patch, self.axes, thresholds[0], thresholds[-1])
            areas[:, number], boxes[number] = self._decided(found)
            undecided.append(found.undecided.of_mask(number))
        values = logits.numpy()
        for part in cells.columns_of(Undecided.joined(undecided), self.axes) if undecided else ():
            mask = part.cells.mask
            for level, threshold in enumerate(thresholds):
                above = cells.above(part, threshold, self.axes, lambda mask, y, x: values[mask, y, x])
                areas[level] += _sums(mask, (above.stop - above.start).sum(axis=0), len(logits))
                areas[level] += _sums(mask[above.cell], above.exact.sum(axis=0), len(logits))
                if level == 1:
                    self._widen(boxes, part, above)
        boxes[boxes[:, 2] < 0] = 0
        return Measured(areas[1], areas[2], areas[0], boxes.astype(np.int64), patches)

    def _decided(self, found: Cells) -> tuple[int, tuple[float, float, float, float]]:
        """How many pixels the cells that are above every threshold have, and their box."""
        rows, columns = self.axes.rows, self.axes.columns
        heights, widths = rows.pixels[found.rows], columns.pixels[found.columns]
        # Row by row in float32: exact for photos of up to 16 million columns.
        by_row = found.whole.astype(np.float32) @ widths.astype(np.float32)
        area = int(by_row.astype(np.float64) @ heights)
        if area == 0:
            return 0, (FAR, FAR, -1, -1)
        y = np.flatnonzero(by_row) + found.rows.start
        x = np.flatnonzero(np.logical_or.reduce(found.whole, axis=0)) + found.columns.start
        left, top = columns.start[x[0]], rows.start[y[0]]
        return area, (left, top, columns.start[x[-1] + 1] - 1, rows.start[y[-1] + 1] - 1)

    def _widen(self, boxes: np.ndarray, part: Columns, above: Above) -> None:
        """Make ``boxes`` [m, 4] reach to the pixels of some cells, in place."""
        axes, of = self.axes, part.cells
        left, top = axes.columns.start[of.column], axes.rows.start[of.row]
        right, bottom = axes.columns.start[of.column + 1], axes.rows.start[of.row + 1]
        box = boxes[of.mask].T
        # Most cells lie within the box of what is decided.
        wider = (left < box[0]) | (top < box[1]) | (right - 1 > box[2]) | (bottom - 1 > box[3])
        chosen = np.flatnonzero(wider)
        some = above.stop[:, chosen] > above.start[:, chosen]  # [C, n']
        hit = np.flatnonzero(np.logical_or.reduce(some, axis=0))
        chosen, some = chosen[hit], some[:, hit]
        y, mask = top[chosen], of.mask[chosen]
        first = np.where(some, above.start[:, chosen], FAR).min(axis=0, initial=FAR)
        last = np.where(some, above.stop[:, chosen], 0).max(axis=0, initial=0) - 1
        self._reach(boxes, mask, left[chosen] + some.argmax(axis=0), y + first)
        self._reach(boxes, mask, left[chosen] + len(some) - 1 - some[::-1].argmax(axis=0), y + last)
        row, which = np.nonzero(above.exact)
        cell = above.cell[which]
        self._reach(boxes, of.mask[cell], left[cell] + above.place[which], top[cell] + row)

    @staticmethod
    def _reach(boxes: np.ndarray, mask: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
        """Make the boxes [m, 4] of masks [p] reach to pixels [p], in place."""
        for side, place in enumerate((x, y)):
            np.minimum.at(boxes[:, side], mask, place)
            np.maximum.at(boxes[:, side + 2], mask, place)


def check_finite(logits: Tensor, what: str) -> None:
    """Raise :class:`InputError` if there is a NaN or an infinity among ``logits``."""
    if logits.numel() and not bool(torch.isfinite(logits).all()):
        raise InputError(
            f"{what} must be finite, got NaN or infinity; check the weights, or load with dtype float32"
        )


def _sums(mask: np.ndarray, values: np.ndarray, masks: int) -> np.ndarray:
    """Sums of ``values`` [n] by the masks they belong to, int64 [masks]."""
    return np.bincount(mask, values, masks).astype(np.int64)


def _box_of_lines(rows: np.ndarray, columns: np.ndarray) -> tuple[int, int, int, int]:
    """The box of a mask that occupies these rows and columns; (0, 0, 0, 0) for none."""
    y, x = np.flatnonzero(rows), np.flatnonzero(columns)
    return (int(x[0]), int(y[0]), int(x[-1]), int(y[-1])) if len(y) else (0, 0, 0, 0)
