"""Which points of a grid need not be asked, since points around them agree about what is there.

The idea is that of hierarchical prompting in TinySAM (Shu et al. 2023): ask a coarse grid first, then finer
ones only where something is not known yet. That a mask covers a point says little: its parts, and what it is
a part of, may be unknown. So a point counts as explained only if two points around it, asked apart from each
other, cover it with the same masks at every scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from everymask.everything.candidates import Candidate, CropDecoder

SAME = 0.7
"""Masks of two points are the same from this IoU on."""

CELLS = 40
"""Masks are compared at so many samples along a side, at least."""

AROUND = 1.5
"""Points around another are at most so many steps of the last grid away, along both axes."""


class Explained:
    """The masks that points of one crop gave, at a few samples each."""

    def __init__(self, decoder: CropDecoder) -> None:
        self._decoder = decoder
        self._every = max(1, min(decoder.model.logits_size) // CELLS)
        cells = [len(range(0, length, self._every)) for length in decoder.model.logits_size]
        self._hw = cells[0], cells[1]
        self._points = np.zeros((0, 2))
        self._masks: list[np.ndarray] = []  # of each point: float32 [k, cells]

    def add(self, points_xy: np.ndarray, found: Sequence[Candidate]) -> None:
        """Points [P, 2] (crop pixels) that were asked, and their candidates, which are not encoded yet."""
        corner = np.array([self._decoder.crop.x0, self._decoder.crop.y0])
        typed = self._decoder.typed(points_xy)
        for point in typed:
            given = [c for c in found if np.array_equal(c.point_xy, (point + corner).astype(typed.dtype))]
            sampled = [self._sampled(candidate) for candidate in given]
            self._masks.append(np.stack(sampled) if sampled else np.zeros((0, self._hw[0] * self._hw[1])))
        self._points = np.concatenate([self._points, points_xy])

    def holds(self, points_xy: np.ndarray, step_xy: np.ndarray) -> np.ndarray:
        """Which points [N, 2] (crop pixels) are explained, bool [N]; ``step_xy`` [2] between those asked."""
        model, crop = self._decoder.model, self._decoder.crop
        placed = model.frame(crop.hw).to_model(points_xy) / model.spec.image_size * np.array(self._hw)[::-1]
        x, y = np.minimum(placed.astype(np.int64), np.array(self._hw)[::-1] - 1).T
        reach = AROUND * np.asarray(step_xy) * (1 + 1e-6)
        apart = np.abs(points_xy[:, None] - self._points[None])
        near = np.asarray((apart <= reach).all(2))  # [N, asked]
        covering = y * self._hw[1] + x
        return np.array(
            [self._agree(np.flatnonzero(row), at) for row, at in zip(near, covering, strict=True)]
        )

    def _agree(self, around: np.ndarray, cell: int) -> bool:
        """Whether two of the points ``around`` cover a cell with the same masks."""
        groups = [group[group[:, cell] > 0] for group in (self._masks[i] for i in around)]
        groups = [group for group in groups if len(group)]
        return len(groups) > 1 and two_say_the_same(np.concatenate(groups), [len(g) for g in groups])

    def _sampled(self, candidate: Candidate) -> np.ndarray:
        patch = candidate.patch
        assert patch is not None
        inside = patch.values.cpu().numpy() > self._decoder.options.mask_threshold
        mask = np.zeros(self._decoder.model.logits_size, np.float32)
        mask[patch.y : patch.y + inside.shape[0], patch.x : patch.x + inside.shape[1]] = inside
        return mask[:: self._every, :: self._every].reshape(-1)


def two_say_the_same(masks: np.ndarray, sizes: Sequence[int]) -> bool:
    """Whether each mask of one group is among those of another, and the other way round.

    ``masks`` [k, n] of 0 and 1, group after group, ``sizes`` how many each group has, at least one.

    >>> one, other = [1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]
    >>> two_say_the_same(np.array([one, other, other, one]), [2, 2])
    True
    >>> two_say_the_same(np.array([one, other, other]), [2, 1])
    False
    """
    both = masks @ masks.T
    area = np.diag(both)
    same = both >= SAME * (area[:, None] + area[None] - both)
    starts = np.cumsum([0, *sizes[:-1]])
    among = np.logical_or.reduceat(same, starts, axis=1)  # [k, groups]
    covered = np.logical_and.reduceat(among, starts, axis=0)  # [groups, groups]
    pairs = covered & covered.T
    return bool(pairs.sum() > len(starts))
