"""Settling overlaps of a mask set by a policy, and counting what it costs."""

from __future__ import annotations

from ..masks.overlap import disjoint, nested
from ..maskset import MaskSet
from .losses import Loss, Losses

POLICIES = ("keep", "disjoint", "nested")
"""keep: masks may share pixels. disjoint: each pixel to the smallest mask. nested: any two masks lie within
or beside each other."""


def settled(masks: MaskSet, policy: str) -> tuple[MaskSet, Losses]:
    """The masks by a policy; those of which nothing is left are dropped and counted as covered."""
    if policy == "keep":
        return masks, Losses()
    settle = disjoint if policy == "disjoint" else nested
    before = list(masks)
    runs = settle([mask.runs for mask in before])
    after = [
        old if old.runs.same_as(new) else old.replace(rle=new) for old, new in zip(before, runs, strict=True)
    ]
    pairs = list(zip(before, after, strict=True))
    cut = [old.area - new.area for old, new in pairs if 0 < new.area < old.area]
    gone = [old.area for old, new in pairs if new.area == 0 < old.area]
    counted = (Loss("overlap", len(cut), sum(cut)), Loss("covered", len(gone), sum(gone)))
    left = [new for old, new in pairs if new.area or not old.area]
    return MaskSet(left, masks.photo_hw), Losses(tuple(loss for loss in counted if loss.masks))
