"""How a camera moved: one frame laid over another, by what both show outside of holes.

Letters: H x W the frame. Moves are homographies, float64 [3, 3], from (x, y, 1) of one frame to the other.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

WORKED_AT = 640
"""The longer side, in pixels, at which motion from frame to frame is looked for."""
MOST_POINTS = 400
FEWEST = 8
"""With fewer points that agree there is no telling how a frame moved."""
BACK_AND_FORTH_PX = 1.0
"""A point that does not come back to where it was, by more, is not followed."""
RANSAC_PX = 2.0


def small_grey(frame: np.ndarray) -> np.ndarray:
    """A frame RGB uint8 [H, W, 3] as grey uint8, no longer than ``WORKED_AT``."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    scale = WORKED_AT / max(grey.shape)
    return grey if scale >= 1 else cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def move_between(one: np.ndarray, other: np.ndarray, usable: np.ndarray | None = None) -> np.ndarray | None:
    """The homography that takes pixels of ``one`` to ``other``, both grey uint8 [H, W], or None.

    Only points of ``one`` in ``usable``, bool [H, W], are followed: corners (Shi and Tomasi 1994) by the
    method of Lucas and Kanade, there and back; then what most of them agree on, by RANSAC.
    """
    mask = None if usable is None else usable.astype(np.uint8) * 255
    corners = cv2.goodFeaturesToTrack(one, MOST_POINTS, 0.01, 5, mask=mask)
    if corners is None or len(corners) < FEWEST:
        return None
    follow: Any = cv2.calcOpticalFlowPyrLK  # its types do not know that the guess may be None
    there, found, _ = follow(one, other, corners, None, winSize=(21, 21), maxLevel=4)
    back, found_back, _ = follow(other, one, there, None, winSize=(21, 21), maxLevel=4)
    stays = np.linalg.norm((back - corners).reshape(-1, 2), axis=1) <= BACK_AND_FORTH_PX
    good = stays & (found.ravel() > 0) & (found_back.ravel() > 0)
    if good.sum() < FEWEST:
        return None
    cv2.setRNGSeed(0)  # the same clip, the same answer
    move, agree = cv2.findHomography(corners[good], there[good], cv2.RANSAC, RANSAC_PX)
    return move if move is not None and agree.sum() >= FEWEST and is_sane(move) else None


def is_sane(move: np.ndarray) -> bool:
    """Whether a homography could be a camera's: neither mirrored nor far from keeping sizes."""
    scale = np.linalg.det(move[:2, :2])
    return bool(np.isfinite(move).all() and 0.25 < scale < 4 and np.abs(move[2, :2]).max() < 2e-3)


def at_full_size(move: np.ndarray, scale: float) -> np.ndarray:
    """A move between frames shrunk by ``scale`` (small / full) as one between the full ones.

    >>> float(at_full_size(np.array([[1, 0, 3.0], [0, 1, 0], [0, 0, 1]]), 0.5)[0, 2])
    6.0
    """
    shrink = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2], [0, 0, 1]])  # pixel centres
    return np.linalg.inv(shrink) @ move @ shrink


def shifted(move: np.ndarray, from_xy: tuple[int, int], to_xy: tuple[int, int]) -> np.ndarray:
    """A move between frames as one between crops of them that begin at these places."""
    into, out = np.eye(3), np.eye(3)
    into[:2, 2], out[:2, 2] = from_xy, (-to_xy[0], -to_xy[1])
    return out @ move @ into
