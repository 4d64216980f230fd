"""Scores of masks: stability under a shifted threshold, overlap of two masks."""

from __future__ import annotations

import numpy as np

from everymask.masks.rle import Rle


def stability(area_above: np.ndarray, area_below: np.ndarray) -> np.ndarray:
    """IoU of a mask thresholded higher and lower, from the two areas, float32 [K].

    The higher mask lies inside the lower one, so the IoU is the quotient of the areas. 0 / 0 is NaN: such
    a mask is empty at any threshold, and a filter of the kind ``>=`` drops it. The division is in float32,
    as in both official generators.

    >>> stability(np.array([3, 0]), np.array([4, 0])).tolist()
    [0.75, nan]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(area_above).astype(np.float32) / np.asarray(area_below).astype(np.float32)


def mask_iou(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two boolean masks [H, W]; 1 where both are empty.

    >>> mask_iou(np.array([[True, True]]), np.array([[True, False]]))
    0.5
    """
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 1.0


def rle_intersection(a: Rle, b: Rle) -> int:
    """How many pixels two masks of one photo share, without unpacking them.

    >>> rle_intersection(Rle((1, 4), np.array([0, 3, 1])), Rle((1, 4), np.array([1, 3])))
    2
    """
    bounds = np.union1d(np.cumsum(a.counts), np.cumsum(b.counts))
    starts = np.concatenate([[0], bounds[:-1]])
    in_a = np.searchsorted(np.cumsum(a.counts), starts, side="right") % 2
    in_b = np.searchsorted(np.cumsum(b.counts), starts, side="right") % 2
    return int(((bounds - starts) * (in_a & in_b)).sum())


def rle_iou(a: Rle, b: Rle) -> float:
    """IoU of two masks of one photo; 1 where both are empty."""
    shared = rle_intersection(a, b)
    union = a.area + b.area - shared
    return shared / union if union else 1.0
