"""How much of a photo its masks cover, and where the gaps are."""

from __future__ import annotations

from collections.abc import Iterable

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
