"""Areas, boxes and pictures of masks as they are after upscaling, without upscaling whole photos.

The results are those of the full-resolution tensor, pixel for pixel; :mod:`everymask.masks.cells` says how.

Letters used in shapes: m masks, h x w logits, H x W the photo, R x C pixels of the largest cell, n cells.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from everymask.errors import InputError
from everymask.geometry import Stretch
from everymask.masks import cells, outermost
from everymask.masks.cells import Axes, Block, Cells, Patch, Undecided
from everymask.masks.interpolation import axis_of, formula_holds

PLAIN_BYTES = 64_000_000  # of upscaled logits at a time

PLAIN_SHARE = 6
"""Pixels to a logit up to which a CPU core upscales and counts sooner than it looks for cells."""

LOGITS_AT_ONCE = 1 << 17  # looked at together: they and their marks fit a core's cache


@dataclass(frozen=True)
class Outlined:
    """m masks, as far as suppression asks."""

    boxes: np.ndarray  # int64 [m, 4] xyxy of the pixels above the threshold, edges inclusive; 0 if empty
    patches: Sequence[Patch]  # m, that they can be measured and drawn from; views of the logits

    def __len__(self) -> int:
        return len(self.boxes)


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

    def outlined(self, logits: Tensor, threshold: float, offset: float) -> Outlined:
        """Boxes of ``logits`` float32 [m, h, w], and patches that reach down to ``threshold - offset``."""
        limit, lowest = np.float32(threshold), np.float32(threshold - offset)
        if self._upscales_in_earnest(logits):
            return Outlined(self._boxes_plain(logits, limit), self.patches(logits, float(lowest)))
        together = max(1, LOGITS_AT_ONCE // max(1, logits[:1].numel()))
        parts = logits.split(together) if len(logits) else ()
        patches = [patch for part in parts for patch in self.patches(part, float(lowest))]
        if self.axes.rows.spread is None:
            errors = [cells.tolerances(part.numpy()) for part in parts]
            blocks = [Block(part, 0, 0, errors[i], i * together) for i, part in enumerate(parts)]
        else:  # there are many knots to a logit: none is made where the mask is not
            blocks = [patch.block(number) for number, patch in enumerate(patches) if patch.values.numel()]
        return Outlined(self._boxes(logits, blocks, limit), patches)

    def boxes(self, logits: Tensor, threshold: float) -> np.ndarray:
        """The same boxes [m, 4] alone: from few of the logits, where those tell them."""
        if self._upscales_in_earnest(logits) or len(self.stretches) > 1 or len(logits) == 0:
            return self.outlined(logits, threshold, 0.0).boxes
        values = logits.numpy()
        found = outermost.boxes_of(
            self.axes,
            (logits.amax(2).numpy(), logits.amax(1).numpy()),
            cells.tolerances(values),
            np.float32(threshold),
            lambda masks, places, rows: values[masks, places] if rows else values[masks, :, places],
            lambda masks, y, x: values[masks, y, x],
        )
        unsure = np.flatnonzero(~found.sure)
        if len(unsure):
            found.boxes[unsure] = self.outlined(logits[unsure], threshold, 0.0).boxes
        return found.boxes

    def patches(self, logits: Tensor, lowest: float) -> list[Patch]:
        """Of each mask [m, h, w] what pixels above ``lowest`` are made from; views of the logits."""
        if self._upscales_in_earnest(logits):
            return [Patch(one, 0, 0, np.float32(0)) for one in logits]
        return cells.patches_above(logits, self.axes, np.float32(lowest))

    def areas(self, patches: Sequence[Patch], thresholds: Sequence[float]) -> np.ndarray:
        """How many pixels of m masks are above each of t thresholds, int64 [t, m].

        None is less than the one that the patches reach down to.
        """
        # The comparisons of the official code are with float32 thresholds.
        limits = [np.float32(t) for t in thresholds]
        if not patches:
            return np.zeros((len(limits), 0), np.int64)
        if self._upscales_in_earnest(patches[0].values):
            return self._areas_plain(torch.stack([patch.values for patch in patches]), limits)
        return self._areas(patches, limits)

    def areas_of(self, logits: Tensor, thresholds: Sequence[float]) -> np.ndarray:
        """The same of whole logits [m, h, w], int64 [t, m]: in full where the photo is small."""
        few = math.prod(self.photo_hw) <= PLAIN_SHARE * math.prod(logits.shape[1:])
        if len(logits) and len(self.stretches) == 1 and few:
            return self._areas_plain(logits, [np.float32(t) for t in thresholds])
        return self.areas(self.patches(logits, min(thresholds)), thresholds)

    def draw(self, patch: Patch, threshold: float) -> tuple[np.ndarray, tuple[int, int]]:
        """The columns of a mask, bool [columns, rows], and where in the photo its first pixel (x, y) lies.

        Everything of the photo outside is background.
        """
        if self._upscales_in_earnest(patch.values):
            return (self.upscaled(patch.values[None])[0] > threshold).T.contiguous().cpu().numpy(), (0, 0)
        if patch.values.numel() == 0:
            return np.zeros((0, 0), bool), (0, 0)
        limit, axes = np.float32(threshold), self.axes
        found = cells.cells_of(patch.block(), axes, limit, limit)
        tall = np.repeat(found.whole[0].T, axes.rows.pixels[found.rows], axis=1)
        mask = np.repeat(tall, axes.columns.pixels[found.columns], axis=0)
        top, left = int(axes.rows.start[found.rows.start]), int(axes.columns.start[found.columns.start])
        values = patch.values.numpy()
        for part in cells.columns_of(found.undecided(axes), axes):
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

    def _in_full(self, logits: Tensor) -> Iterator[Tensor]:
        """Masks upscaled, some at a time."""
        batch = max(1, PLAIN_BYTES // max(1, 4 * self.photo_hw[0] * self.photo_hw[1]))
        yield from (self.upscaled(part) for part in logits.split(batch) if len(part))

    def _areas_plain(self, logits: Tensor, limits: Sequence[np.float32]) -> np.ndarray:
        areas: list[list[int]] = []
        for full in self._in_full(logits):
            if full.device.type == "cpu":  # numpy counts ten times as fast as torch
                areas += [[int(np.count_nonzero(one > t)) for t in limits] for one in full.numpy()]
            else:
                areas += torch.stack([(full > float(t)).sum((1, 2)) for t in limits], dim=1).tolist()
        return np.array(areas, np.int64).T

    def _boxes_plain(self, logits: Tensor, limit: np.float32) -> np.ndarray:
        boxes = []
        for full in self._in_full(logits):
            inside = full > float(limit)
            lines = zip(inside.any(2).cpu().numpy(), inside.any(1).cpu().numpy(), strict=True)
            boxes += [_box_of_lines(*pair) for pair in lines]
        return np.array(boxes, np.int64).reshape(-1, 4)

    def _areas(self, patches: Sequence[Patch], limits: Sequence[np.float32]) -> np.ndarray:
        """Cells are decided mask by mask; what is left is looked at for all masks together."""
        areas = np.zeros((len(limits), len(patches)), np.int64)
        undecided = []
        for number, patch in enumerate(patches):
            if patch.values.numel():
                found = cells.cells_of(patch.block(number), self.axes, min(limits), max(limits))
                areas[:, number] = self._decided(found)
                undecided.append(found.undecided(self.axes))
        pick = cells.picker(patches)
        for part in cells.columns_of(Undecided.joined(undecided), self.axes) if undecided else ():
            mask = part.cells.mask
            for level, limit in enumerate(limits):
                above = cells.above(part, limit, self.axes, pick)
                areas[level] += _sums(mask, (above.stop - above.start).sum(axis=0), len(patches))
                areas[level] += _sums(mask[above.cell], above.exact.sum(axis=0), len(patches))
        return areas

    def _decided(self, found: Cells) -> int:
        """How many pixels the cells have that are above every threshold; of a block of one mask."""
        heights, widths = self.axes.rows.pixels[found.rows], self.axes.columns.pixels[found.columns]
        # Row by row in float32: exact for photos of up to 16 million columns.
        by_row = found.whole[0].astype(np.float32) @ widths.astype(np.float32)
        return int(by_row.astype(np.float64) @ heights)

    def _boxes(self, logits: Tensor, blocks: Sequence[Block], limit: np.float32) -> np.ndarray:
        """Boxes [m, 4] of decided cells, widened to pixels of such undecided cells as reach beyond them."""
        boxes = np.tile(np.array([cells.FAR, cells.FAR, -1, -1]), (len(logits), 1))  # xyxy
        beyond = []
        for block in blocks:
            found = cells.cells_of(block, self.axes, limit, limit)
            (top, bottom), (left, right) = sides = cells.extent(found.whole)
            inside = [
                (np.arange(n) >= first[:, None]) & (np.arange(n) <= last[:, None])
                for n, (first, last) in zip(found.whole.shape[1:], sides, strict=True)
            ]
            beyond.append(
                found.undecided(self.axes, found.open & ~(inside[0][:, :, None] & inside[1][:, None]))
            )
            some = np.flatnonzero(bottom >= 0)
            x, y = self.axes.columns.start[found.columns.start :], self.axes.rows.start[found.rows.start :]
            ends = x[left[some]], y[top[some]], x[right[some] + 1] - 1, y[bottom[some] + 1] - 1
            boxes[some + block.first] = np.stack(ends, axis=1)
        values = logits.numpy()
        for part in cells.columns_of(Undecided.joined(beyond), self.axes) if beyond else ():
            above = cells.above(part, limit, self.axes, lambda mask, y, x: values[mask, y, x])
            cells.widen(boxes, part, above, self.axes)
        boxes[boxes[:, 2] < 0] = 0
        return boxes.astype(np.int64)


def check_finite(logits: Tensor, what: str) -> None:
    """Raise :class:`InputError` if there is a NaN or an infinity among ``logits``."""
    # Least and largest are NaN where a value is, and found ten times as fast as all values are looked at.
    if logits.numel() and not bool(torch.isfinite(torch.stack(torch.aminmax(logits))).all()):
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
