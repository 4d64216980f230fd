"""Which masks of a frame are objects that are not followed yet: pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from everymask.masks.rle import decode
from everymask.maskset import Mask, MaskSet


@dataclass(frozen=True)
class DiscoveryRule:
    """When a mask counts as a new object."""

    same_iou: float = 0.5
    """A mask that overlaps a followed object by this IoU or more is that object."""
    covered_share: float = 0.5
    """So does one of whose pixels this share or more belongs to followed objects."""
    least_area_share: float = 0.001
    """Smaller masks, as a share of the frame, are left alone."""
    most_objects: int = 16
    """No more objects are followed at once."""


def new_objects(found: MaskSet, followed: np.ndarray, rule: DiscoveryRule) -> list[Mask]:
    """The masks of ``found`` that are no object in ``followed`` (bool [N, H, W], N may be 0), best first.

    A mask is held against the followed objects and against the new ones before it, so that a thing and its
    parts do not become several objects: the one of higher predicted IoU stays.
    """
    known = [mask for mask in followed if mask.any()]
    taken = np.zeros(found.photo_hw, bool)
    for mask in known:
        taken |= mask
    least = rule.least_area_share * taken.size
    room = rule.most_objects - len(followed)
    new: list[Mask] = []
    for mask in sorted(found, key=lambda mask: -(mask.predicted_iou or 0.0)):
        if len(new) >= room:
            break
        if mask.area < max(1.0, least):
            continue
        pixels = decode(mask.runs)
        if (pixels & taken).sum() >= rule.covered_share * mask.area:
            continue
        if any(_iou(pixels, other) >= rule.same_iou for other in known):
            continue
        new.append(mask)
        known.append(pixels)
        taken |= pixels
    return new


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))
