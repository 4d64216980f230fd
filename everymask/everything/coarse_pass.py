"""A cheap look at points of a crop, which tells those worth decoding in full: the ``fast`` effort.

Most points give masks that suppression drops. The coarse pass reads masks at half the resolution, and where
the image has many tokens it asks about points on merged ones (their means over squares): enough to estimate
each mask's predicted IoU, box and stability. Then suppression goes over the estimates; points with a mask
that survives are decoded in full, what they really give takes the place of the estimates, and suppression
goes over all of it again, until nothing that survives is an estimate, or decoding more brings no further
mask. So no mask, score or box of the coarse pass is ever handed out.

Letters used in shapes: P points, k masks, M x N cells of their coarse logits, K estimates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from everymask.everything import filters
from everymask.everything.candidates import Candidate, CropDecoder, boxes_of, decoded
from everymask.masks.boxes import iou_matrix


@dataclass(frozen=True)
class Estimates:
    """What the masks of P points are about: those that seem to pass the filters of a single mask."""

    prompt: np.ndarray  # int64 [K] number of the point
    iou: np.ndarray  # float32 [K] predicted
    boxes: np.ndarray  # float32 [K, 4] xyxy in photo pixels
    cells: np.ndarray  # bool [K, M, N] which cells of the crop they cover

    @classmethod
    def joined(cls, parts: Sequence[tuple[np.ndarray, Estimates]]) -> Estimates:
        """All of these, each with the numbers that its points have now; at least one."""
        shifted = [(numbers[part.prompt], part.iou, part.boxes, part.cells) for numbers, part in parts]
        return cls(*(np.concatenate(columns) for columns in zip(*shifted, strict=True)))


def estimated(decoder: CropDecoder, points_xy: np.ndarray) -> Estimates:
    """The estimates for points [P, 2] (crop pixels) of a decoder that can look coarsely."""
    assert decoder.coarse is not None
    # Holes and islands of so many pixels are below what a coarse mask shows.
    options = replace(decoder.options, min_mask_region_area=0)
    coarse = replace(decoder, points=decoder.coarse, refiner=None, options=options)
    read = list(decoded(coarse, decoder.typed(points_xy)))
    cells_hw = [2 * length for length in decoder.coarse.hw]
    prompt = np.repeat([one.prompt for one in read], [len(one.iou) for one in read]).astype(np.int64)
    iou = np.concatenate([np.zeros(0, np.float32), *(one.iou for one in read)])
    logits = np.concatenate([np.zeros((0, *cells_hw), np.float32), *(one.logits.cpu() for one in read)])
    scale = _photo_cells(decoder, cells_hw)
    height, width = decoder.crop.hw
    logits = logits[:, : int(np.ceil(height * scale[1])), : int(np.ceil(width * scale[0]))]  # no padding
    boxes = boxes_in_cells(logits, options.mask_threshold) / np.tile(scale, 2)
    corner = np.array([decoder.crop.x0, decoder.crop.y0] * 2)
    boxes = np.clip(boxes, 0, [width - 1, height - 1] * 2) + corner
    keep = filters.whole(boxes, decoder.crop, decoder.photo_hw)
    keep &= seems_stable(
        logits, options.mask_threshold, options.stability_score_offset, options.stability_score_thresh
    )
    cells = logits[keep] > options.mask_threshold
    return Estimates(prompt[keep], iou[keep], boxes[keep].astype(np.float32), cells)


def _photo_cells(decoder: CropDecoder, cells_hw: Sequence[int]) -> np.ndarray:
    """How many coarse cells a pixel of the crop is wide and high, float64 [2]."""
    model = decoder.model
    pixel = model.frame(decoder.crop.hw).to_model(np.ones((1, 2)))[0]
    return pixel * np.array([cells_hw[1], cells_hw[0]]) / model.spec.image_size


def boxes_in_cells(logits: np.ndarray, threshold: float) -> np.ndarray:
    """The boxes xyxy of masks [k, M, N] in cells, float64 [k, 4]; 0 if empty.

    An edge lies where the largest logit of each row (or column) crosses the threshold, between the
    middles of two cells.

    >>> boxes_in_cells(np.array([[[-1.0, 1.0, 1.0, -3.0]]]), 0.0).tolist()
    [[1.0, 0.0, 2.75, 1.0]]
    """
    (top, bottom), (left, right) = (_ends(logits.max(axis) - threshold) for axis in (2, 1))
    return np.stack([left, top, right, bottom], axis=1)


def _ends(profile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where lines [k, n] first rise above 0 and last fall below it, in cells; 0 and 0 if never above."""
    n = profile.shape[1]
    above = profile > 0
    some, lines = above.any(1), np.arange(len(profile))

    def reach(at: np.ndarray, beyond: np.ndarray) -> np.ndarray:
        """How far beyond the middle of the cell the crossing lies, 0 to 1; the edge of the picture: 0.5."""
        inside, outside = profile[lines, at], profile[lines, beyond.clip(0, n - 1)]
        share = inside / np.maximum(inside - outside, 1e-12)
        return np.where((beyond < 0) | (beyond >= n), 0.5, share)

    first, last = above.argmax(1), n - 1 - above[:, ::-1].argmax(1)
    begin, end = first + 0.5 - reach(first, first - 1), last + 0.5 + reach(last, last + 1)
    return np.where(some, begin, 0.0), np.where(some, end, 0.0)


def seems_stable(logits: np.ndarray, threshold: float, offset: float, least: float) -> np.ndarray:
    """Which masks [k, M, N] may have a stability of at least ``least``, bool [k].

    One cell in doubt is given to the mask, since small masks have few cells: a mask wrongly kept costs a
    point decoded in full, one wrongly dropped is lost.

    >>> seems_stable(np.array([[[9.0, 9.0, 0.5]], [[9.0, 0.5, 0.5]]]), 0.0, 1.0, 0.9).tolist()
    [True, False]
    """
    above, below = ((logits > threshold + step).sum((1, 2)) for step in (offset, -offset))
    return (above + 1 >= least * below) & (below > 0) if least > 0 else np.ones(len(logits), bool)


class Promising:
    """Which of a crop's points to decode in full: suppression over estimates and what takes their place."""

    def __init__(self, estimates: Estimates, points: int, nms_threshold: float) -> None:
        self._estimates, self._threshold = estimates, nms_threshold
        self._decoded = np.zeros(points, bool)
        self._found: list[Candidate] = []
        self._errors: list[float] = []

    def next(self) -> np.ndarray:
        """The numbers of further points to decode, int64 [n]; none when no estimate survives."""
        open_ = ~self._decoded[self._estimates.prompt]
        known = np.array([one.iou for one in self._found], np.float32)
        boxes = np.concatenate([boxes_of(self._found), self._estimates.boxes[open_]])
        scores = np.concatenate([known, self._estimates.iou[open_] + np.float32(self.margin)])
        kept = filters.within_crop(boxes, scores, self._threshold) - len(known)
        return np.unique(self._estimates.prompt[open_][kept[kept >= 0]])

    def learn(self, prompts: np.ndarray, found: Sequence[Candidate]) -> None:
        """Points that were decoded, int64 [n], and the candidates they gave that pass all filters."""
        self._decoded[prompts] = True
        self._found += found
        ours = np.isin(self._estimates.prompt, prompts)
        boxes, iou = self._estimates.boxes[ours], self._estimates.iou[ours]
        if len(iou) and len(found):
            nearest = iou_matrix(boxes_of(found).astype(np.float32), boxes).argmax(1)
            self._errors += [float(one.iou - iou[at]) for one, at in zip(found, nearest, strict=True)]

    @property
    def masks(self) -> int:
        """How many of the masks found so far survive each other."""
        scores = np.array([one.iou for one in self._found], np.float32)
        return len(filters.within_crop(boxes_of(self._found), scores, self._threshold))

    @property
    def margin(self) -> float:
        """What an estimated score may fall short of: three times the median error so far, two deviations."""
        return 3 * float(np.median(np.abs(self._errors))) if self._errors else 0.0
