"""Non-maximum suppression: of several boxes, or masks, of one thing, the best stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from everymask.masks.rle import Rle, box_xyxy
from everymask.masks.scores import rle_intersection

_ROOM = 1e-4
"""Bounds of an IoU count from so far beyond a threshold on: far more than float32 rounds."""


def suppress(boxes_xyxy: np.ndarray, scores: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Indices of the boxes to keep, best score first.

    A box goes when its IoU with a better one that stays is greater than ``iou_threshold`` (equal stays). Of
    equal scores the earlier box comes first; boxes without area have no IoU and never suppress each other.
    The arithmetic is in float32 and the comparison in float64, as in torchvision's ``nms``, so that the
    same boxes stay.

    ``boxes_xyxy`` [K, 4], ``scores`` [K] -> int64 [<= K].

    >>> boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
    >>> suppress(boxes, np.array([0.8, 0.9, 0.7]), 0.5).tolist()
    [1, 2]
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    boxes = np.asarray(boxes_xyxy, np.float32).reshape(-1, 4)[order].T
    area = _area(boxes)
    threshold = np.float64(iou_threshold)
    kept = []
    while len(order):
        kept.append(order[0])
        shared = _shared(boxes[:, :1], boxes[:, 1:])
        with np.errstate(invalid="ignore", divide="ignore"):
            stays = np.flatnonzero(~(shared / (area[0] + area[1:] - shared) > threshold)) + 1
        order, boxes, area = order[stays], boxes[:, stays], area[stays]
    return np.array(kept, np.int64)


def suppress_between(
    inner_xyxy: np.ndarray, outer_xyxy: np.ndarray, scores: np.ndarray, iou_threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """What :func:`suppress` keeps where of some boxes only bounds are known, and whose boxes it needs.

    Each of K boxes contains its inner and lies in its outer one, [K, 4]; where both are the same it is known.
    Gives the indices kept, best score first, and those of the unknown boxes that decide something: where
    there are none of these, the first are those of :func:`suppress`.

    >>> inner = np.array([[0, 0, 10, 10], [1, 1, 9, 9], [20, 20, 30, 30]])
    >>> outer = np.array([[0, 0, 10, 10], [0, 0, 11, 11], [20, 20, 30, 30]])
    >>> kept, needed = suppress_between(inner, outer, np.array([0.9, 0.8, 0.7]), 0.3)
    >>> kept.tolist(), needed.tolist()
    ([0, 2], [])
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    inner, outer = (np.asarray(each, np.float32).reshape(-1, 4)[order].T for each in (inner_xyxy, outer_xyxy))
    sides: np.ndarray = np.concatenate([inner, outer, _area(inner)[None], _area(outer)[None]])  # [10, K]
    marks: np.ndarray = np.zeros((3, len(order)), bool)  # known; unsure; goes
    marks[0] = (inner == outer).all(axis=0)
    threshold = np.float64(iou_threshold)
    kept: list[np.ndarray] = []
    needed: list[np.ndarray] = []
    rest: slice | np.ndarray
    while len(order):
        known, unsure, goes = marks
        if unsure[0]:  # of a better box, and no better one has made it go since
            needed.append(order[:1])
        if goes[0]:
            rest = slice(1, None)
        else:
            kept.append(order[0])
            inner, outer, (least, most) = sides[:4], sides[4:8], sides[8:]
            high = _shared(outer[:, :1], outer[:, 1:])
            with np.errstate(invalid="ignore", divide="ignore"):
                guessed = high / (most[0] + most[1:] - high) > threshold
            if known.all():
                surely = guessed
            else:
                low = _shared(outer[:, :1], inner[:, 1:])
                with np.errstate(invalid="ignore", divide="ignore"):
                    at_least = low / (most[0] + most[1:] - low)
                    at_most = high / np.maximum(most[0] + least[1:] - high, most[0])
                surely = np.where(known[1:], guessed, at_least > threshold + _ROOM)
                surely_not = np.where(known[1:], ~surely, (at_most < threshold - _ROOM) | (high == 0))
                if known[0]:
                    unsure[1:] |= ~(surely | surely_not)
                else:  # its outer box is a guess: it is asked for, and nothing else is
                    needed.append(order[:1])
                    surely &= guessed
                goes[1:] |= guessed & ~surely_not
            rest = np.flatnonzero(~surely) + 1
        order, sides, marks = order[rest], sides[:, rest], marks[:, rest]
    return np.array(kept, np.int64), np.unique(np.concatenate([np.zeros(0, np.int64), *needed]))


def _area(boxes: np.ndarray) -> np.ndarray:
    """Of boxes [4, K]; 0 of those inside out."""
    return np.maximum(boxes[2] - boxes[0], 0) * np.maximum(boxes[3] - boxes[1], 0)


def _shared(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The area that one box [4, 1] shares with others [4, K]."""
    width = np.maximum(np.minimum(one[2], others[2]) - np.maximum(one[0], others[0]), 0)
    height = np.maximum(np.minimum(one[3], others[3]) - np.maximum(one[1], others[1]), 0)
    return width * height


def overlaps(box_xyxy: np.ndarray, others_xyxy: np.ndarray) -> np.ndarray:
    """IoU of one box [4] with others [K, 4], float32 [K], rounded as :func:`suppress` rounds.

    >>> overlaps(np.array([0, 0, 10, 10]), np.array([[0, 0, 10, 5], [20, 20, 30, 30]])).tolist()
    [0.5, 0.0]
    """
    one, others = np.asarray(box_xyxy, np.float32), np.asarray(others_xyxy, np.float32).reshape(-1, 4).T
    area = (one[2] - one[0]) * (one[3] - one[1])
    areas = (others[2] - others[0]) * (others[3] - others[1])
    width = np.clip(np.minimum(one[2], others[2]) - np.maximum(one[0], others[0]), 0, None)
    height = np.clip(np.minimum(one[3], others[3]) - np.maximum(one[1], others[1]), 0, None)
    shared = width * height
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(shared / (area + areas - shared))


@dataclass(frozen=True)
class PixelSuppression:
    """Which of K masks stay, and by which one each of the others is suppressed."""

    kept: np.ndarray  # int64 [<= K]
    by: dict[int, tuple[int, float]]  # number of a mask that goes: the one that it overlaps most, their IoU


def suppress_pixels(masks: Sequence[Rle], iou_threshold: float) -> PixelSuppression:
    """Masks, best first, without those whose pixels overlap a better one that stays by more than a threshold.

    Boxes do not tell nested or crossing masks from doubles; pixels do. A threshold of 1 keeps every mask.
    Equal stays. Empty masks never suppress each other.

    >>> from everymask.masks.rle import encode
    >>> a, b = encode(np.array([[1, 1, 1, 1]], bool)), encode(np.array([[0, 1, 1, 1]], bool))
    >>> suppress_pixels([a, b], 0.7).kept.tolist(), suppress_pixels([a, b], 0.75).kept.tolist()
    ([0], [0, 1])
    """
    if iou_threshold >= 1 or not masks:
        return PixelSuppression(np.arange(len(masks)), {})
    areas = np.array([mask.area for mask in masks])
    boxes = np.array([box_xyxy(mask) for mask in masks])
    kept: list[int] = []
    by = {}
    for number, mask in enumerate(masks):
        best = max(
            ((_iou(mask, masks[k]), k) for k in _near(number, kept, areas, boxes, iou_threshold)),
            default=(0.0, -1),
        )
        if best[0] > iou_threshold:
            by[number] = best[1], best[0]
        else:
            kept.append(number)
    return PixelSuppression(np.array(kept, np.int64), by)


def _near(
    number: int, kept: Sequence[int], areas: np.ndarray, boxes: np.ndarray, threshold: float
) -> Sequence[int]:
    """Those of ``kept`` whose areas and boxes allow an IoU above the threshold."""
    others = np.array(kept, np.int64)
    width, height = (
        np.minimum(boxes[number, axis + 2], boxes[others, axis + 2])
        - np.maximum(boxes[number, axis], boxes[others, axis])
        + 1
        for axis in (0, 1)
    )
    shared = np.minimum(width.clip(0) * height.clip(0), np.minimum(areas[number], areas[others]))
    return others[shared > threshold * (areas[number] + areas[others] - shared)].tolist()


def _iou(a: Rle, b: Rle) -> float:
    shared = rle_intersection(a, b)
    return shared / (a.area + b.area - shared)
