"""Real photos without human masks: their regions are those of a classical hierarchy.

Small segments of even colour (Felzenszwalb and Huttenlocher 2004) are merged two by two, the most alike first
(Ward 1963); three cuts through the tree are the parts, wholes and groups. Such labels follow real edges and
know nothing of objects: worth a share of the scenes, no more.

Letters used in shapes: S side, N segments.
"""

from __future__ import annotations

import heapq

import cv2
import numpy as np

from everymask.errors import require
from everymask.train.scenes import Scene

CUTS = (40, 16, 6)  # regions left on the maps of parts, wholes, groups
COARSE = 2  # segments are looked for in the photo at this fraction of its size


def pseudo_scene(rng: np.random.Generator, photos: list[np.ndarray], side: int = 384) -> Scene:
    """A piece of one of the photos RGB uint8 [H, W, 3], at ``side`` pixels, and its regions."""
    photo = photos[rng.integers(len(photos))]
    height, width = photo.shape[:2]
    extent = int(rng.uniform(0.4, 1.0) * min(height, width))
    top, left = rng.integers(height - extent + 1), rng.integers(width - extent + 1)
    piece = photo[top : top + extent, left : left + extent, :3]
    shown = cv2.resize(piece, (side, side), interpolation=cv2.INTER_AREA)
    return Scene(shown, hierarchy_maps(shown))


def hierarchy_maps(photo: np.ndarray, cuts: tuple[int, int, int] = CUTS) -> np.ndarray:
    """Nested label maps uint8 [3, S, S] of a photo RGB uint8 [S, S, 3]: so many regions are on each."""
    side = photo.shape[0]
    small = cv2.resize(photo, (side // COARSE, side // COARSE), interpolation=cv2.INTER_AREA)
    segments = fine_segments(small)
    colours = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    maps = [region_of[segments] for region_of in merge(segments, colours, cuts)]
    return np.stack([cv2.resize(x, (side, side), interpolation=cv2.INTER_NEAREST) for x in maps])


def fine_segments(photo: np.ndarray) -> np.ndarray:
    """Small segments of even colour, int [S, S], numbered from 0."""
    segmentation = require("skimage.segmentation", "train", "labels for real photos")
    return segmentation.felzenszwalb(photo, scale=60, sigma=0.7, min_size=max(8, photo.shape[0] ** 2 // 1500))


def merge(segments: np.ndarray, colours: np.ndarray, cuts: tuple[int, ...]) -> list[np.ndarray]:
    """For each of the falling ``cuts`` the region, from 1, of every segment, uint8 [N].

    The pair of neighbours goes first whose union adds least to the squared distances of the pixels from
    their region's mean colour; where the step at their border is smaller than the distance of their means,
    as on a wall in uneven light, the step counts.
    """
    count = int(segments.max()) + 1
    areas = np.bincount(segments.ravel()).astype(np.float64)
    sums = np.stack([np.bincount(segments.ravel(), c.ravel()) for c in np.moveaxis(colours, 2, 0)], 1)
    means = sums / areas[:, None]
    borders = borders_of(segments, colours)
    parent = np.arange(count)
    stamp = np.zeros(count, int)  # which version of a region a queued pair was measured with

    def queued(a: int, b: int) -> tuple[float, int, int, int, int]:
        step, length = borders[a][b]
        distance = min(float(((means[a] - means[b]) ** 2).sum()), (step / length) ** 2)
        return areas[a] * areas[b] / (areas[a] + areas[b]) * distance, a, b, stamp[a], stamp[b]

    queue = [queued(a, b) for a in range(count) for b in borders[a] if a < b]
    heapq.heapify(queue)
    left, results = count, []
    for wanted in cuts:
        while left > wanted and queue:
            _, a, b, stamp_a, stamp_b = heapq.heappop(queue)
            if stamp[a] != stamp_a or stamp[b] != stamp_b:
                continue
            means[a] = (areas[a] * means[a] + areas[b] * means[b]) / (areas[a] + areas[b])
            areas[a] += areas[b]
            parent[b] = a
            stamp[a] += 1
            stamp[b] = -1
            left -= 1
            join_borders(borders, a, b)
            for other in borders[a]:
                heapq.heappush(queue, queued(min(a, other), max(a, other)))
        results.append(numbered(parent))
    return results


Borders = list[dict[int, tuple[float, int]]]  # for each region and neighbour: sum of steps, length


def borders_of(segments: np.ndarray, colours: np.ndarray) -> Borders:
    """The steps in colour across the borders of segments, between pixels two apart."""
    found: Borders = [{} for _ in range(int(segments.max()) + 1)]
    for axis in (0, 1):
        labels, values = np.moveaxis(segments, axis, 0), np.moveaxis(colours, axis, 0)
        before, after = labels[:-1], labels[1:]
        ahead = np.concatenate([values[2:], values[-1:]])
        steps = np.linalg.norm(ahead - values[:-1], axis=-1)
        across = before != after
        pairs = np.sort(np.stack([before[across], after[across]], 1), axis=1)
        unique, which, lengths = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
        totals = np.bincount(which.ravel(), steps[across])
        for (a, b), total, length in zip(unique.tolist(), totals.tolist(), lengths.tolist(), strict=True):
            known_total, known_length = found[a].get(b, (0.0, 0))
            found[a][b] = found[b][a] = (known_total + total, known_length + length)
    return found


def join_borders(borders: Borders, a: int, b: int) -> None:
    """Give the borders of region ``b`` to ``a``, in place."""
    del borders[a][b]
    del borders[b][a]
    for other, (total, length) in borders[b].items():
        known_total, known_length = borders[a].get(other, (0.0, 0))
        del borders[other][b]
        borders[a][other] = borders[other][a] = (known_total + total, known_length + length)
    borders[b] = {}


def numbered(parent: np.ndarray) -> np.ndarray:
    """The numbers, from 1, of the regions that a forest of parents stands for, uint8 [N].

    >>> numbered(np.array([0, 0, 2, 1])).tolist()
    [1, 1, 2, 1]
    """
    roots = parent.copy()
    while (roots != roots[roots]).any():
        roots = roots[roots]
    return (1 + np.unique(roots, return_inverse=True)[1]).astype(np.uint8)
