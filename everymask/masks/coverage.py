"""How much of a photo its masks cover, and where the gaps are."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from everymask.masks.rle import Rle, decode


def covered(masks: Iterable[Rle], photo_hw: tuple[int, int]) -> np.ndarray:
    """The pixels that lie under at least one mask, bool [H, W].

    >>> from everymask.masks.rle import encode
    >>> covered([encode(np.array([[True, False]]))], (1, 2)).tolist()
    [[True, False]]
    """
    pixels = np.zeros(photo_hw[::-1], dtype=bool)  # [W, H], as the runs go
    for mask in masks:
        pixels |= decode(mask).T
    return pixels.T


def share(masks: Iterable[Rle], photo_hw: tuple[int, int]) -> float:
    """The covered share of the photo, 0 to 1; 0 for a photo without pixels.

    >>> from everymask.masks.rle import encode
    >>> share([encode(np.array([[True, False]]))], (1, 2))
    0.5
    """
    pixels = covered(masks, photo_hw)
    return float(pixels.mean()) if pixels.size else 0.0


def largest_gap(covered: np.ndarray) -> tuple[int, tuple[int, int, int, int]]:
    """The largest connected area that nothing covers: its pixels, and where it is (XYWH, whole pixels).

    ``covered`` is bool [H, W]; areas that touch at corners are one. Zeros where all is covered.

    >>> largest_gap(np.array([[False, True, False, False]]))
    (2, (2, 0, 2, 1))
    """
    _, _, stats, _ = cv2.connectedComponentsWithStats((~covered).astype(np.uint8), connectivity=8)
    if len(stats) < 2:
        return 0, (0, 0, 0, 0)
    x, y, width, height, area = stats[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())].tolist()
    return area, (x, y, width, height)
