"""How well objects are followed, as the DAVIS benchmark counts it (Perazzi et al. 2016).

J is the IoU of a mask with the truth, F says how well their outlines agree. Letters used in shapes: O
objects, F frames, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

OUTLINE_REACH = 0.008
"""Outlines agree within this share of the frame's diagonal, rounded up to pixels."""


@dataclass(frozen=True)
class TrackScores:
    """Means over objects of their means over the frames on which they can be seen."""

    objects: int
    frames: int  # object-frames that were counted
    j: float
    f: float
    presence: float
    """Share of all object-frames on which "there" and "not there" were told apart rightly."""

    @property
    def jf(self) -> float:
        """The mean of J and F."""
        return (self.j + self.f) / 2


def score_tracks(tracks: list[tuple[np.ndarray, np.ndarray]], min_pixels: int = 1) -> TrackScores:
    """Scores of followed objects, each a pair of masks bool [F, H, W]: what was said, and the truth.

    Leave out frames that were prompted. An object can be seen where the truth has at least ``min_pixels``.
    """
    js, fs, counted, right = [], [], 0, []
    for said, truth in tracks:
        seen = truth.sum((1, 2)) >= min_pixels
        right += list(said.any((1, 2)) == truth.any((1, 2)))
        if not seen.any():
            continue
        counted += int(seen.sum())
        js.append(np.mean([region_overlap(s, t) for s, t in zip(said[seen], truth[seen], strict=True)]))
        fs.append(np.mean([outline_agreement(s, t) for s, t in zip(said[seen], truth[seen], strict=True)]))
    mean = [float(np.mean(x)) if len(x) else float("nan") for x in (js, fs, right)]
    return TrackScores(len(js), counted, *mean)


def region_overlap(said: np.ndarray, truth: np.ndarray) -> float:
    """IoU of two masks bool [H, W]; 1 where both are empty.

    >>> region_overlap(np.array([[True, True]]), np.array([[True, False]]))
    0.5
    """
    either = int((said | truth).sum())
    return int((said & truth).sum()) / either if either else 1.0


def outline_agreement(said: np.ndarray, truth: np.ndarray, reach_px: int | None = None) -> float:
    """F of the outlines of two masks bool [H, W]: how many pixels of each have one of the other near.

    ``reach_px`` says how near; DAVIS takes 0.8% of the diagonal. Where both have no outline they agree.

    >>> square = np.pad(np.ones((4, 4), bool), 4)
    >>> outline_agreement(square, np.roll(square, 1, axis=1), reach_px=1)
    1.0
    """
    if reach_px is None:
        reach_px = int(np.ceil(OUTLINE_REACH * np.hypot(*said.shape)))
    ours, theirs = outline(said), outline(truth)
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    precision = float((ours & _within(theirs, reach_px)).sum() / ours.sum())
    recall = float((theirs & _within(ours, reach_px)).sum() / theirs.sum())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def outline(mask: np.ndarray) -> np.ndarray:
    """Pixels whose right, lower or lower right neighbour has another value, bool [H, W]; the picture's border
    is no outline.

    >>> outline(np.array([[False, False], [False, True]])).astype(int).tolist()
    [[1, 1], [1, 0]]
    """
    wide = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, across = wide[:-1, 1:], wide[1:, :-1], wide[1:, 1:]
    return (mask != right) | (mask != below) | (mask != across)


def _within(pixels: np.ndarray, reach_px: int) -> np.ndarray:
    """Pixels at most ``reach_px`` from one of ``pixels``."""
    away = cv2.distanceTransform((~pixels).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away <= reach_px)
