"""Settling overlaps of a mask set for formats and readers that want one mask a pixel."""

from __future__ import annotations

import numpy as np

from ..maskset import Mask, MaskSet
from .losses import Loss, Losses

POLICIES = ("keep", "disjoint", "nested")


def settled(masks: MaskSet, policy: str) -> tuple[MaskSet, Losses]:
    """The masks by a policy of :data:`POLICIES`, and what that cost."""
    return disjoint(masks) if policy == "disjoint" else (masks, Losses())


def disjoint(masks: MaskSet) -> tuple[MaskSet, Losses]:
    """Each pixel to the smallest mask that holds it; masks with nothing left are dropped and counted."""
    owner = np.full(masks.photo_hw, -1, dtype=np.int32)
    for index in sorted(range(len(masks)), key=lambda i: -masks[i].area):
        window = owner[masks[index].extent]
        window[masks[index].crop()] = index
    kept = [_owned(mask, owner, index) for index, mask in enumerate(masks)]
    return _counted(masks, kept)


def _owned(mask: Mask, owner: np.ndarray, index: int) -> Mask:
    """The part of a mask that is its own; the same mask where it lost nothing."""
    own = owner[mask.extent] == index
    if int(own.sum()) == mask.area:
        return mask
    pixels = np.zeros(mask.size, dtype=bool)
    pixels[mask.extent] = own
    return mask.replace(rle=Mask.from_segmentation(pixels).runs)


def _counted(before: MaskSet, after: list[Mask]) -> tuple[MaskSet, Losses]:
    """The masks that still have pixels, and what the others lost."""
    cut = [old.area - new.area for old, new in zip(before, after, strict=True) if 0 < new.area < old.area]
    gone = [old.area for old, new in zip(before, after, strict=True) if new.area == 0 < old.area]
    items = [Loss("overlap", len(cut), sum(cut))] * bool(cut) + [
        Loss("covered", len(gone), sum(gone))
    ] * bool(gone)
    left = [new for old, new in zip(before, after, strict=True) if new.area or not old.area]
    return MaskSet(left, before.photo_hw), Losses(tuple(items))
