"""Boxes of masks. A box is (x0, y0, x1, y1) in pixels, maximum edges inclusive unless a name says otherwise.

Letters used in shapes: K boxes or masks, H x W the photo.
"""

from __future__ import annotations

import numpy as np


def box_of_mask(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The smallest box around a boolean mask [H, W]; (0, 0, 0, 0) where it is empty.

    >>> box_of_mask(np.array([[False, True], [False, True]]))
    (1, 0, 1, 1)
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def xyxy_to_xywh(boxes_xyxy: np.ndarray) -> np.ndarray:
    """(x0, y0, x1, y1) -> (x0, y0, x1 - x0, y1 - y0), [..., 4].

    Between inclusive edges the width is one less than the number of columns: that is how both official
    generators report ``bbox``.

    >>> xyxy_to_xywh(np.array([1, 0, 1, 1])).tolist()
    [1, 0, 0, 1]
    """
    boxes = np.asarray(boxes_xyxy)
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def areas(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Width times height of each box, [K, 4] -> [K]; edges as they are, without the inclusive pixel."""
    boxes = np.asarray(boxes_xyxy)
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def shift(boxes_xyxy: np.ndarray, offset_xy: tuple[int, int]) -> np.ndarray:
    """Boxes of a crop in the frame of the photo, [K, 4]."""
    x0, y0 = offset_xy
    return np.asarray(boxes_xyxy) + np.array([x0, y0, x0, y0], dtype=np.asarray(boxes_xyxy).dtype)


def near_crop_edge(
    boxes_xyxy: np.ndarray,
    crop_box_xyxy: tuple[int, int, int, int],
    photo_hw: tuple[int, int],
    tolerance_px: float = 20.0,
) -> np.ndarray:
    """Which boxes [K, 4] (photo frame) touch an edge of the crop that is no edge of the photo, bool [K].

    A mask that ends at a crop's edge was probably cut off by it; the next crop has the whole object. An edge
    exactly ``tolerance_px`` away counts as touching, as in both official generators.

    >>> near_crop_edge(np.array([[100, 5, 199, 80]]), (100, 0, 400, 300), (300, 400)).tolist()
    [True]
    """
    boxes = np.asarray(boxes_xyxy, np.float32)
    photo_box = np.array([0, 0, photo_hw[1], photo_hw[0]], np.float32)
    near_crop = np.abs(boxes - np.asarray(crop_box_xyxy, np.float32)) <= tolerance_px
    near_photo = np.abs(boxes - photo_box) <= tolerance_px
    return (near_crop & ~near_photo).any(axis=1)


def iou_matrix(a_xyxy: np.ndarray, b_xyxy: np.ndarray) -> np.ndarray:
    """Box IoU of all pairs, float64 [K, L]; 0 where both boxes have no area."""
    a, b = np.asarray(a_xyxy, np.float64), np.asarray(b_xyxy, np.float64)
    left_top = np.maximum(a[:, None, :2], b[None, :, :2])
    right_bottom = np.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = np.clip(right_bottom - left_top, 0, None).prod(axis=2)
    union = areas(a)[:, None] + areas(b)[None] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
