"""Masks that are pieces of one object, found and put together.

Two rules. A mask of a higher score that several others make up together stands for them. And two masks side
by side whose common border is no edge in the photo are one.

Letters used in shapes: K masks, H x W the photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np

from everymask.masks import rle
from everymask.masks.rle import Rle
from everymask.masks.scores import rle_intersection

INSIDE = 0.9
"""A mask lies in another that holds at least this share of it."""
RIM = 4
"""How far from a common border colours are compared, in pixels."""
SHARED_BORDER = 0.2
"""Masks side by side have at least this share of the shorter outline in common."""
OVERLAP = 0.1
"""Masks side by side share at most this part of the smaller one."""
SMOOTH = 1.25
"""At most so many times the gradient within the masks is found along a border that is no edge."""


@dataclass(frozen=True)
class Merge:
    """Masks that become one."""

    numbers: tuple[int, ...]  # of the masks that go
    mask: Rle  # what takes their place
    by: int | None  # number of the mask that covers them; None: their union
    because: str  # in words; masks count from 1


def covered_together(
    masks: Sequence[Rle], scores: Sequence[float], share: float = 0.8, pieces_of: int | None = None
) -> list[Merge]:
    """Masks of a higher score that two or more others make up: at least ``share`` of its pixels.

    Only the first ``pieces_of`` masks may be merged (default: all); the others may stand for them. Best
    scores first; a mask that is merged stands for no other.
    """
    count = len(masks) if pieces_of is None else pieces_of
    order = sorted(range(len(masks)), key=lambda i: -scores[i])
    gone: set[int] = set()
    found = []
    for number in order:
        whole = masks[number]
        if number in gone or whole.area == 0:
            continue
        pieces = [
            i
            for i in range(count)
            if i not in gone
            and i != number
            and scores[i] < scores[number]
            and 0 < masks[i].area < whole.area
            and _touch(masks[i], whole)
            and rle_intersection(masks[i], whole) >= INSIDE * masks[i].area
        ]
        # A piece that holds most of the whole is a double of it, no piece.
        pieces = [i for i in pieces if masks[i].area < share * whole.area]
        if len(pieces) < 2:
            continue
        joined = rle_intersection(rle.union([masks[i] for i in pieces]), whole)
        if joined < share * whole.area:
            continue
        gone.update(pieces)
        named = ", ".join(str(i + 1) for i in pieces)
        because = (
            f"masks {named} make up {joined / whole.area:.0%} of a mask of predicted IoU "
            f"{scores[number]:.2f}, theirs is at most {max(scores[i] for i in pieces):.2f}"
        )
        found.append(Merge(tuple(pieces), whole, number, because))
    return found


def without_edge_between(masks: Sequence[Rle], photo: np.ndarray, contrast: float = 6.0) -> list[Merge]:
    """Groups of masks side by side whose common borders are no edges in the photo, uint8 [H, W, 3].

    A border is none where colours on both sides differ by less than ``contrast`` (Delta E of CIE Lab: about 2
    is just seen) and the photo's gradient along it is like that within the masks.
    """
    lab = cv2.cvtColor(photo.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    smooth = cv2.GaussianBlur(lab, (0, 0), 1.0)
    gradient = sum(
        np.hypot(cv2.Scharr(channel, cv2.CV_32F, 1, 0), cv2.Scharr(channel, cv2.CV_32F, 0, 1)) / 32
        for channel in cv2.split(smooth)
    )
    borders = []
    for a, b in combinations(range(len(masks)), 2):
        border = _border(masks[a], masks[b], smooth, np.asarray(gradient))
        if border is not None and border.contrast < contrast and border.steepness < SMOOTH:
            borders.append((border, a, b))
    groups = _connected([(a, b) for _, a, b in borders])
    found = []
    for group in groups:
        told = [
            f"{a + 1} and {b + 1}: {border.length} px of border, colours differ by {border.contrast:.1f}"
            for border, a, b in borders
            if a in group
        ]
        because = f"no edge between masks {'; '.join(told)} (Delta E, an edge has {contrast:g} or more)"
        found.append(Merge(tuple(group), rle.union([masks[i] for i in group]), None, because))
    return found


@dataclass(frozen=True)
class _Border:
    """What lies along the common border of two masks."""

    length: int  # pixels
    contrast: float  # Delta E between the colours on both sides
    steepness: float  # gradient along it, as a multiple of that within the masks


def _border(a: Rle, b: Rle, lab: np.ndarray, gradient: np.ndarray) -> _Border | None:
    """The common border of two masks that lie side by side; None where they do not."""
    small = min(a.area, b.area)
    if small == 0 or not _touch(a, b, RIM) or rle_intersection(a, b) > OVERLAP * small:
        return None
    height, width = a.size
    x0, y0, x1, y1 = np.stack([rle.box_xyxy(a), rle.box_xyxy(b)]).T
    left, top = max(0, int(x0.min()) - RIM), max(0, int(y0.min()) - RIM)
    right, bottom = min(width, int(x1.max()) + RIM + 1), min(height, int(y1.max()) + RIM + 1)
    first, second = (rle.decode_box(m, (left, top, right, bottom)).astype(np.uint8) for m in (a, b))
    near = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RIM + 1, 2 * RIM + 1))
    here, there = (cv2.dilate(m, near).astype(bool) for m in (first, second))
    one, two = first.astype(bool) & there & (second == 0), second.astype(bool) & here & (first == 0)
    length = round(min(one.sum(), two.sum()) / RIM)
    outlines = [int((m - cv2.erode(m, np.ones((3, 3), np.uint8))).sum()) for m in (first, second)]
    if length < max(RIM, SHARED_BORDER * min(outlines)):
        return None
    colours, slope = lab[top:bottom, left:right], gradient[top:bottom, left:right]
    within = (first | second).astype(bool) & ~here & ~there | (first.astype(bool) & ~there)
    within |= second.astype(bool) & ~here
    inner = float(slope[within].mean()) if within.any() else float(slope[one | two].mean())
    along = float(slope[one | two].mean())
    apart = float(np.linalg.norm(colours[one].mean(axis=0) - colours[two].mean(axis=0)))
    return _Border(length, apart, along / max(inner, 1e-3) if along > 1.0 else 0.0)


def _touch(a: Rle, b: Rle, margin: int = 0) -> bool:
    ax0, ay0, ax1, ay1 = rle.box_xyxy(a)
    bx0, by0, bx1, by1 = rle.box_xyxy(b)
    return ax0 <= bx1 + margin and bx0 <= ax1 + margin and ay0 <= by1 + margin and by0 <= ay1 + margin


def _connected(pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Numbers that pairs connect, in groups, each in order.

    >>> _connected([(0, 3), (3, 5), (1, 2)])
    [[0, 3, 5], [1, 2]]
    """
    groups: list[set[int]] = []
    for pair in pairs:
        joined = set(pair).union(*(group for group in groups if group & set(pair)))
        groups = [group for group in groups if not group & joined] + [joined]
    return sorted(sorted(group) for group in groups)
