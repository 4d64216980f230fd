"""The measures themselves: pure functions on arrays.

Letters used in shapes: M masks, H x W the photo.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..masks.regions import innermost_point


def iou(masks: np.ndarray, region: np.ndarray) -> np.ndarray:
    """IoU of each mask bool [M, H, W] with a region bool [H, W] -> float64 [M]; two empty masks give 0.

    >>> iou(np.array([[[True, True]], [[False, True]]]), np.array([[True, False]]))
    array([0.5, 0. ])
    """
    flat, truth = masks.reshape(len(masks), region.size), region.ravel()
    both = (flat & truth).sum(1)
    either = (flat | truth).sum(1)
    return both / np.maximum(either, 1)


def innermost(region: np.ndarray) -> tuple[float, float]:
    """The pixel (x, y) of a region [H, W] that is farthest from its border; photo borders count as borders.

    >>> innermost(np.ones((3, 5), bool))[1]
    1.0
    """
    x, y = innermost_point(region)
    return float(x), float(y)


def bounding_box(region: np.ndarray) -> tuple[float, float, float, float]:
    """XYXY of the first and last pixels of a region [H, W]."""
    x, y, width, height = cv2.boundingRect(region.astype(np.uint8))
    return float(x), float(y), float(x + width - 1), float(y + height - 1)


def borders(mask: np.ndarray) -> np.ndarray:
    """Pixels whose right or lower neighbour has another value, bool [H, W].

    >>> borders(np.array([[0, 0, 1]]))
    array([[False,  True, False]])
    """
    edge = np.zeros(mask.shape, bool)
    edge[:, :-1] |= mask[:, 1:] != mask[:, :-1]
    edge[:-1] |= mask[1:] != mask[:-1]
    return edge


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation of two lists of numbers (ties get their mean rank); nan for constants.

    >>> rank_correlation(np.array([1, 2, 3]), np.array([10, 20, 90]))
    1.0
    """
    ranks = [mean_ranks(np.asarray(x)) for x in (a, b)]
    centred = [r - r.mean() for r in ranks]
    spread = float(np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum() / spread) if spread > 0 else float("nan")


def mean_ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def edge_counts(
    strength: np.ndarray, humans: list[np.ndarray], thresholds: np.ndarray, reach_px: int
) -> np.ndarray:
    """What edge precision and recall are made of, int64 [T, 4]: predicted, right, human, found.

    ``strength`` [H, W] is the score of the best mask with a border there, ``humans`` the border maps of
    the annotators. A border counts as matched if the other side has one within ``reach_px``.
    """
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach_px + 1, 2 * reach_px + 1))
    near_human = cv2.dilate(np.any(humans, 0).astype(np.uint8), disk).astype(bool)
    rows = []
    for threshold in thresholds:
        predicted = strength >= threshold
        near = cv2.dilate(predicted.astype(np.uint8), disk).astype(bool)
        found = sum(int((h & near).sum()) for h in humans)
        total = sum(int(h.sum()) for h in humans)
        rows.append([int(predicted.sum()), int((predicted & near_human).sum()), total, found])
    return np.array(rows, np.int64)


def best_f(counts: np.ndarray) -> float:
    """The best F over thresholds of summed :func:`edge_counts` [T, 4]."""
    precision = counts[:, 1] / np.maximum(counts[:, 0], 1)
    recall = counts[:, 3] / np.maximum(counts[:, 2], 1)
    return float((2 * precision * recall / np.maximum(precision + recall, 1e-9)).max())
