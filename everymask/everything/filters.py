"""Which candidates stay: by predicted IoU, by stability, by the edge of the crop, by non-maximum suppression.

Each function gives indices or marks, so that it can be read and tested without a model. Which side a
threshold includes is the official code's choice, and differs from filter to filter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from everymask.everything.grid import Crop
from everymask.masks import boxes as boxes_of
from everymask.masks.nms import suppress


def by_predicted_iou(iou: np.ndarray, threshold: float) -> np.ndarray:
    """Strictly above the threshold, bool as ``iou``; a threshold of 0 switches the filter off.

    >>> by_predicted_iou(np.array([0.8, 0.9], np.float32), 0.8).tolist()
    [False, True]
    """
    if threshold <= 0:
        return np.ones(np.shape(iou), dtype=bool)
    return np.asarray(iou) > np.asarray(iou).dtype.type(threshold)


def by_stability(stability: np.ndarray, threshold: float) -> np.ndarray:
    """At least the threshold, bool [K]; NaN (a mask empty at any threshold) goes, unless 0 switches it off.

    >>> by_stability(np.array([0.95, 0.94, np.nan], np.float32), 0.95).tolist()
    [True, False, False]
    """
    if threshold <= 0:
        return np.ones(np.shape(stability), dtype=bool)
    return np.asarray(stability) >= np.asarray(stability).dtype.type(threshold)


def whole(boxes_xyxy: np.ndarray, crop: Crop, photo_hw: tuple[int, int]) -> np.ndarray:
    """Masks not cut off by the crop's edge, bool [K]; ``boxes_xyxy`` [K, 4] in the photo's frame."""
    return ~boxes_of.near_crop_edge(boxes_xyxy, crop.xyxy, photo_hw)


def within_crop(boxes_xyxy: np.ndarray, iou: np.ndarray, threshold: float) -> np.ndarray:
    """Indices to keep of one crop's masks, best predicted IoU first."""
    return suppress(boxes_xyxy, iou, threshold)


def between_crops(boxes_xyxy: np.ndarray, crops: Sequence[Crop], threshold: float) -> np.ndarray:
    """Indices to keep of all crops' masks, smallest crop first: it has seen the object in most detail."""
    areas = np.array([c.area for c in crops], np.float32)
    return suppress(boxes_xyxy, np.float32(1) / areas, threshold)


def after_cleaning(boxes_xyxy: np.ndarray, changed: np.ndarray, threshold: float) -> np.ndarray:
    """Indices to keep of masks whose small regions are gone, untouched masks first."""
    return suppress(boxes_xyxy, np.where(changed, 0.0, 1.0), threshold)
