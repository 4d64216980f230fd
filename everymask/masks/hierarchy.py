"""Which mask is a part of which: wholes, parts and parts of parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from everymask.masks.rle import Rle, box_xyxy
from everymask.masks.scores import rle_intersection


def parents(masks: Sequence[Rle], least_share: float = 0.9) -> np.ndarray:
    """For each mask the smallest larger one that holds ``least_share`` of it or more, int64 [K]; -1: none.

    Of masks equal in area the first counts as the larger, so that no two are each other's parents. An empty
    mask has no parent.

    >>> from everymask.masks.rle import encode
    >>> car, wheel = encode(np.array([[1, 1, 1, 0]], bool)), encode(np.array([[1, 0, 0, 0]], bool))
    >>> parents([wheel, car]).tolist()
    [1, -1]
    """
    found = np.full(len(masks), -1, dtype=np.int64)
    order = sorted(range(len(masks)), key=lambda i: (masks[i].area, -i))
    boxes = np.array([box_xyxy(m) for m in masks]).reshape(-1, 4)
    for place, child in enumerate(order):
        area = masks[child].area
        for larger in order[place + 1 :] if area else ():
            if not _touch(boxes[child], boxes[larger]):
                continue
            if rle_intersection(masks[child], masks[larger]) >= least_share * area:
                found[child] = larger
                break
    return found


def _touch(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a[:2] <= b[2:]).all() and (b[:2] <= a[2:]).all())
