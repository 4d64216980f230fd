"""Engines that know RGB pictures alone."""

from __future__ import annotations

import numpy as np

from everymask.inpaint import patches


class ColourEngine:
    """Fills RGB pictures; grey is looked at as RGB, alpha is filled by Telea."""

    def fill(self, picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
        """See :class:`everymask.inpaint.engines.Engine`."""
        channels = picture.shape[2]
        rgb = np.repeat(picture, 3, axis=2) if channels == 1 else picture[..., :3]
        made = self.fill_rgb(np.rint(rgb).clip(0, 255).astype(np.uint8), hole).astype(np.float32)
        if channels == 1:
            return made.mean(axis=2, keepdims=True)
        if channels == 4:
            return np.concatenate([made, patches.started(picture[..., 3:], hole)], axis=2)
        return made

    def fill_rgb(self, rgb: np.ndarray, hole: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] and bool [H, W] -> values 0 to 255 [H, W, 3]."""
        raise NotImplementedError
