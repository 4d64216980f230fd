"""Small holes and islands of masks, found by 8-connected components (cv2), whatever the model's device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BEYOND = 10.0
"""How far beyond the threshold SAM 2 puts the logits of small holes and islands."""


@dataclass(frozen=True)
class Cleaned:
    """A mask and whether cleaning changed it."""

    mask: np.ndarray  # bool [H, W]
    changed: bool


def remove_small_regions(mask: np.ndarray, min_area_px: float) -> Cleaned:
    """A mask without holes and without islands of fewer than ``min_area_px`` pixels.

    Holes first, then islands; where every island is too small the largest stays. A region of exactly
    ``min_area_px`` stays. Answers to ``postprocess_small_regions`` of segment-anything.

    >>> ring = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
    >>> remove_small_regions(ring, 2).mask.all()
    np.True_
    """
    filled = fill_small_holes(mask, min_area_px)
    kept = drop_small_islands(filled.mask, min_area_px)
    return Cleaned(kept.mask, filled.changed or kept.changed)


def fill_small_holes(mask: np.ndarray, min_area_px: float) -> Cleaned:
    """``mask`` with background components of fewer than ``min_area_px`` pixels filled."""
    labels, sizes = _components(~mask)
    small = np.flatnonzero(sizes[1:] < min_area_px) + 1
    if len(small) == 0:
        return Cleaned(mask, False)
    return Cleaned(mask | _marked(small, len(sizes))[labels], True)


def fill_enclosed_holes(mask: np.ndarray, min_area_px: float) -> np.ndarray:
    """``mask`` with the holes of fewer than ``min_area_px`` pixels filled that it has all around.

    The background around an object is no hole here, however small, nor is what reaches the picture's border.

    >>> fill_enclosed_holes(np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0]], bool), 100).astype(int)
    array([[1, 1, 1, 0],
           [1, 1, 1, 0],
           [1, 1, 1, 0]])
    """
    labels, sizes = _components(np.pad(~mask, 1, constant_values=True))
    small = sizes < min_area_px
    small[[0, labels[0, 0]]] = False
    return mask | small[labels[1:-1, 1:-1]]


def drop_small_islands(mask: np.ndarray, min_area_px: float) -> Cleaned:
    """``mask`` without components of fewer than ``min_area_px`` pixels; the largest stays in any case."""
    labels, sizes = _components(mask)
    small = np.flatnonzero(sizes[1:] < min_area_px) + 1
    if len(small) == 0:
        return Cleaned(mask, False)
    if len(small) == len(sizes) - 1:
        kept = np.array([int(sizes[1:].argmax()) + 1])
    else:
        kept = np.setdiff1d(np.arange(1, len(sizes)), small)
    return Cleaned(_marked(kept, len(sizes))[labels], True)


def clean_logits(logits: np.ndarray, threshold: float, max_area_px: float) -> np.ndarray:
    """Mask logits [h, w] with small holes raised and small islands lowered to 10 beyond the threshold.

    This is SAM 2's ``max_hole_area`` / ``max_sprinkle_area``: components of at most ``max_area_px`` pixels
    (equal goes too) at the resolution of the logits, both found in the logits as they came. The official
    code needs a CUDA extension for it and leaves it out with a warning where there is none.
    """
    inside, cleaned = logits > threshold, logits
    for mask, value in ((~inside, threshold + BEYOND), (inside, threshold - BEYOND)):
        labels, sizes = _components(mask)
        small = sizes <= max_area_px
        small[0] = False
        if small.any():
            cleaned = np.where(small.take(labels), np.float32(value), cleaned)
    return cleaned


def _components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Component labels int32 [H, W] (0: outside of ``mask``) and their sizes [labels]."""
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    return labels, stats[:, cv2.CC_STAT_AREA]


def _marked(which: np.ndarray, count: int) -> np.ndarray:
    table = np.zeros(count, dtype=bool)
    table[which] = True
    return table


def innermost_point(mask: np.ndarray) -> tuple[int, int]:
    """The (x, y) of the pixel of a mask, bool [H, W], that lies deepest within it.

    >>> innermost_point(np.array([[0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]]) > 0)
    (2, 1)
    """
    return innermost(mask)[0]


def innermost(mask: np.ndarray) -> tuple[tuple[int, int], float]:
    """The (x, y) of the pixel that lies deepest within a mask, bool [H, W], and how far it is from the border
    of the mask, in pixels; the picture's border counts. 0 for no pixel."""
    import cv2

    inside = np.pad(np.asarray(mask, np.uint8), 1)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return (int(x), int(y)), float(depth[y, x])
