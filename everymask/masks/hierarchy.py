"""Which mask is a part of which: wholes, parts and parts of parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from everymask.masks.rle import Rle, box_xyxy
from everymask.masks.scores import rle_intersection

LEVELS = ("whole", "part", "subpart")
"""Depths in the tree of masks; what lies deeper is a subpart too."""


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


@dataclass(frozen=True)
class MaskTree:
    """Wholes, their parts and the parts of those, by the numbers (from 0) of K masks."""

    parents: np.ndarray  # int64 [K]; -1: none

    @property
    def roots(self) -> list[int]:
        """The wholes: masks that are part of no other."""
        return self.children(-1)

    def children(self, number: int) -> list[int]:
        """The masks right below one."""
        return np.flatnonzero(self.parents == number).tolist()

    @cached_property
    def depths(self) -> np.ndarray:
        """How many masks each one is a part of, int64 [K]: 0 for a whole.

        >>> MaskTree(np.array([-1, 0, 1])).depths.tolist()
        [0, 1, 2]
        """
        depths = np.zeros(len(self.parents), np.int64)
        above = self.parents
        while (above >= 0).any():
            depths += above >= 0
            above = np.where(above >= 0, self.parents[above], -1)
        return depths

    def at(self, level: str) -> np.ndarray:
        """The numbers of the masks of a level: "whole", "part" or "subpart" (parts of parts and deeper)."""
        depth = LEVELS.index(level)
        return np.flatnonzero(np.minimum(self.depths, len(LEVELS) - 1) == depth)

    def __str__(self) -> str:
        """A line a mask, parts under their wholes, numbered from 1."""
        lines: list[str] = []

        def add(number: int) -> None:
            lines.append(f"{'  ' * int(self.depths[number])}{number + 1}")
            for child in self.children(number):
                add(child)

        for root in self.roots:
            add(root)
        return "\n".join(lines)
