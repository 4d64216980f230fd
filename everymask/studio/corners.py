"""A mask as corners that one can drag: its outline, no further off than one likes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from everymask.formats.outlines import outlines


def corners_of(pixels: np.ndarray, detail_px: float) -> list[list[list[float]]]:
    """A mask, bool [H, W], as rings of corners (x, y), holes after their shells, at most ``detail_px`` off.

    0 is exact: filling the rings gives the pixels back.
    """
    rings = [ring for polygon in outlines(pixels) for ring in polygon.rings]
    return [_simplified(ring, detail_px) for ring in rings]


def _simplified(ring: Sequence[tuple[int, int]], detail_px: float) -> list[list[float]]:
    """A ring with fewer corners; one that would vanish keeps those it has."""
    corners = np.array(ring, np.int32)
    fewer = cv2.approxPolyDP(corners[:, None], detail_px, True)[:, 0] if detail_px > 0 else corners
    return (fewer if len(fewer) >= 3 else corners).tolist()
