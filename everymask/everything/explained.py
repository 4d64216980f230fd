"""Which points of a grid need not be asked, since points around them agree about what is there.

The idea is that of hierarchical prompting in TinySAM (Shu et al. 2023): ask a coarse grid first, then finer
ones only where something is not known yet. That a mask covers a point says little: its parts, and what it is
a part of, may be unknown. So a point counts as explained only if two points around it, asked apart from each
other, cover it with the same masks at every scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from everymask.everything.coarse_pass import Estimates

SAME = 0.7
"""Masks of two points are the same from this IoU on."""

AROUND = 1.0
"""Points around another are at most so many steps of the last grid away, along both axes."""


class Explained:
    """The masks that points of one crop seem to have."""

    def __init__(self) -> None:
        self._points: list[np.ndarray] = []  # [2] shares of the crop's sides
        self._masks: list[np.ndarray] = []  # of each point: bool [k, M, N]

    def add(self, points: np.ndarray, estimates: Estimates) -> None:
        """What P points [P, 2] (shares of the crop's sides) seem to have."""
        self._points += list(points)
        self._masks += [estimates.cells[estimates.prompt == number] for number in range(len(points))]

    def holds(self, points: np.ndarray, step: float) -> np.ndarray:
        """Which points [N, 2] (shares of the crop's sides) are explained, bool [N].

        ``step`` is how far apart the points asked before are, as a share, too.
        """
        reach = AROUND * step * (1 + 1e-6)
        apart = np.abs(points[:, None] - np.stack(self._points)[None])
        near = np.asarray((apart <= reach).all(2))  # [N, asked]
        pairs = zip(points, near, strict=True)
        return np.array([self._agree(np.flatnonzero(around), point) for point, around in pairs], bool)

    def _agree(self, around: np.ndarray, point: np.ndarray) -> bool:
        """Whether two of the points ``around`` cover a point with the same masks."""
        groups = []
        for masks in (self._masks[i] for i in around):
            height, width = masks.shape[1:]
            covering = masks[:, int(point[1] * height), int(point[0] * width)]
            if covering.any():
                groups.append(masks[covering].reshape(-1, height * width).astype(np.float32))
        return len(groups) > 1 and two_say_the_same(np.concatenate(groups), [len(g) for g in groups])


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
