"""Several rings as one: joined by seams of width zero, for formats that hold one outline."""

from __future__ import annotations

from collections import defaultdict, deque

import numpy as np

ALL_PAIRS = 3_000
"""Up to so many corners each ring is joined where it is nearest to any other; that takes their square."""
RINGS_BEFORE, CORNERS = 64, 32
"""With more of them a ring looks at so many others before it, and at so many corners of each."""


def bridged(first: np.ndarray, rings: list[np.ndarray]) -> np.ndarray:
    """All rings as one, from ``first`` on: each is entered and left at a corner near to one of another."""
    waiting = [ring.astype(np.int64) for ring in rings if ring is not first]
    if sum(map(len, waiting)) <= ALL_PAIRS:
        return _nearest_first(first.astype(np.int64), waiting)
    return _in_rows(first.astype(np.int64), waiting)


def _nearest_first(joined: np.ndarray, waiting: list[np.ndarray]) -> np.ndarray:
    """Each next nearest ring at its nearest corner.

    Every corner that waits knows the nearest corner that is joined; only those joined last can change that.
    """
    corners = np.concatenate(waiting)  # [N, 2]
    ring_of_corner = np.repeat(np.arange(len(waiting)), [len(ring) for ring in waiting])
    starts = np.cumsum([0, *(len(ring) for ring in waiting)])
    far = np.iinfo(np.int64).max
    distance, nearest = np.full(len(corners), far), np.zeros_like(corners)
    open_ = np.ones(len(corners), dtype=bool)
    latest = joined
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


def _in_rows(first: np.ndarray, waiting: list[np.ndarray]) -> np.ndarray:
    """Each ring at one of those before it, row by row of the picture, every other row backwards; seams are
    hardly longer so, and time grows with the rings alone."""
    rings, joined_at = [first], [(-1, -1)]  # the ring that each hangs on, and at which of its corners
    band: deque[tuple[int, np.ndarray]] = deque(maxlen=RINGS_BEFORE)  # rings, and which corners are looked at
    band.append((0, _some(first)))
    for ring in _by_rows(waiting):
        own = _some(ring)
        theirs = np.concatenate([rings[number][some] for number, some in band])
        apart = ((ring[own][:, None] - theirs[None]) ** 2).sum(axis=-1)
        mine, found = divmod(int(apart.argmin()), len(theirs))
        for number, some in band:
            if found < len(some):
                joined_at.append((number, int(some[found])))
                break
            found -= len(some)
        rings.append(np.roll(ring, -own[mine], axis=0))
        band.append((len(rings) - 1, _some(ring)))
    return _walked(rings, joined_at)


def _some(ring: np.ndarray) -> np.ndarray:
    """Which corners of a ring are looked at."""
    return np.unique(np.linspace(0, len(ring) - 1, CORNERS).astype(np.int64))


def _by_rows(rings: list[np.ndarray]) -> list[np.ndarray]:
    places = np.array([ring[0] for ring in rings])
    extent = np.ptp(places, axis=0) + 1
    height = max(float(np.sqrt(extent.prod() / len(rings))), 1.0)
    row = ((places[:, 1] - places[:, 1].min()) // height).astype(np.int64)
    along = np.where(row % 2, -places[:, 0], places[:, 0])
    return [rings[number] for number in np.lexsort((along, row))]


def _walked(rings: list[np.ndarray], joined_at: list[tuple[int, int]]) -> np.ndarray:
    """All corners on a way around the first ring that goes around each other where it hangs on one."""
    hanging: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, (other, corner) in enumerate(joined_at[1:], 1):
        hanging[other].append((corner, number))
    way: list[np.ndarray] = []
    open_ = [(0, 0, iter(sorted(hanging[0])))]
    while open_:
        ring, place, rest = open_.pop()
        corner, following = next(rest, (-1, -1))
        if following < 0:
            way += [rings[ring][place:], rings[ring][: 1 if ring else 0]]
            continue
        way.append(rings[ring][place : corner + 1])
        open_ += [(ring, corner, rest), (following, 0, iter(sorted(hanging[following])))]
    return np.concatenate(way)
