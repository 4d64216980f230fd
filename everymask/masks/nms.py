"""Non-maximum suppression on boxes: of several boxes around one thing, the best stays."""

from __future__ import annotations

import numpy as np


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
    area = (boxes[2] - boxes[0]) * (boxes[3] - boxes[1])
    threshold = np.float64(iou_threshold)
    kept = []
    while len(order):
        kept.append(order[0])
        (x0, y0, x1, y1), rest = boxes[:, 0], boxes[:, 1:]
        width = np.clip(np.minimum(x1, rest[2]) - np.maximum(x0, rest[0]), 0, None)
        height = np.clip(np.minimum(y1, rest[3]) - np.maximum(y0, rest[1]), 0, None)
        shared = width * height
        with np.errstate(invalid="ignore", divide="ignore"):
            stays = np.flatnonzero(~(shared / (area[0] + area[1:] - shared) > threshold)) + 1
        order, boxes, area = order[stays], boxes[:, stays], area[stays]
    return np.array(kept, np.int64)
