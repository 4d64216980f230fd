"""Engines without weights: OpenCV's, and patches of the same picture."""

from __future__ import annotations

import numpy as np

from everymask.inpaint import patches

TELEA_RADIUS = 5
WORKED_ON = 40_000
"""Pixels of a hole that patches are matched for; a larger hole is filled at a smaller size first."""


class Telea:
    """OpenCV's fast marching (Telea 2004), channel by channel: smooth."""

    def fill(self, picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
        """See :class:`everymask.inpaint.engines.Engine`."""
        return patches.started(picture, hole, TELEA_RADIUS)


class Patches:
    """Patches of the picture itself: texture goes on as texture."""

    def fill(self, picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
        """See :class:`everymask.inpaint.engines.Engine`."""
        return patches.fill(picture, hole, most=WORKED_ON)
