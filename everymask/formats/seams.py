"""Several rings as one: joined by seams of width zero, for formats that hold one outline."""

from __future__ import annotations

import numpy as np


def bridged(first: np.ndarray, rings: list[np.ndarray]) -> np.ndarray:
    """All rings as one: each next nearest ring is entered and left at its nearest corner.

    Every corner that waits knows the nearest corner that is joined; only those joined last can change that.
    """
    waiting = [ring.astype(np.int64) for ring in rings if ring is not first]
    corners = np.concatenate(waiting)  # [N, 2]
    ring_of_corner = np.repeat(np.arange(len(waiting)), [len(ring) for ring in waiting])
    starts = np.cumsum([0, *(len(ring) for ring in waiting)])
    far = np.iinfo(np.int64).max
    distance, nearest = np.full(len(corners), far), np.zeros_like(corners)
    open_ = np.ones(len(corners), dtype=bool)
    joined = latest = first.astype(np.int64)
    for _ in waiting:
        for part in np.array_split(latest, len(latest) * len(corners) // 2**24 + 1):  # in bounded memory
            apart = ((corners[:, None] - part[None]) ** 2).sum(axis=-1)  # [N, n]
            found = apart.argmin(axis=1)
            least = np.take_along_axis(apart, found[:, None], axis=1)[:, 0]
            closer = least < distance
            distance[closer], nearest[closer] = least[closer], part[found[closer]]
        corner = int(np.where(open_, distance, far).argmin())
        ring = ring_of_corner[corner]
        open_[starts[ring] : starts[ring + 1]] = False
        latest = np.roll(waiting[ring], starts[ring] - corner, axis=0)
        at = int(np.flatnonzero((joined == nearest[corner]).all(axis=1))[0])
        joined = np.concatenate([joined[: at + 1], latest, latest[:1], joined[at:]])
    return joined
