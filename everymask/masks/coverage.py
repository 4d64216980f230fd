"""How much of a photo its masks cover, and where the gaps are."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from everymask.masks.rle import Rle, decode, encode


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


def layers(masks: Iterable[Rle], photo_hw: tuple[int, int]) -> np.ndarray:
    """Under how many masks each pixel lies, int32 [H, W].

    >>> from everymask.masks.rle import encode
    >>> layers([encode(np.array([[True, False]])), encode(np.array([[True, True]]))], (1, 2)).tolist()
    [[2, 1]]
    """
    counts = np.zeros(photo_hw[::-1], np.int32)  # [W, H], as the runs go
    for mask in masks:
        counts += decode(mask).T
    return counts.T


def share(masks: Iterable[Rle], photo_hw: tuple[int, int], valid: Rle | None = None) -> float:
    """The covered share of the photo, or of its ``valid`` pixels, 0 to 1; 0 for a photo without pixels.

    >>> from everymask.masks.rle import encode
    >>> share([encode(np.array([[True, False]]))], (1, 2))
    0.5
    """
    pixels = covered(masks, photo_hw)
    counted = pixels if valid is None else pixels[decode(valid)]
    return float(counted.mean()) if counted.size else 0.0


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


def gaps(
    masks: Iterable[Rle], photo_hw: tuple[int, int], min_area_px: float = 1, valid: Rle | None = None
) -> list[Rle]:
    """The connected regions of ``min_area_px`` (``valid``) pixels or more under no mask, largest first.

    >>> from everymask.masks.rle import encode
    >>> [gap.area for gap in gaps([encode(np.array([[0, 0, 1, 0]], bool))], (1, 4))]
    [2, 1]
    """
    free = ~covered(masks, photo_hw)
    if valid is not None:
        free &= decode(valid)
    if not free.size:
        return []
    count, labels, stats, _ = cv2.connectedComponentsWithStats(free.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    large = [n for n in range(1, count) if areas[n] >= min_area_px]
    return [encode(labels == n) for n in sorted(large, key=lambda n: -areas[n])]


def least_gap(photo_hw: tuple[int, int]) -> float:
    """The area in pixels from which on a gap is worth a word: 1/2000 of the photo, 16 at least."""
    return max(16.0, photo_hw[0] * photo_hw[1] / 2000)
