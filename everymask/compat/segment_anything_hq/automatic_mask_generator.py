"""``segment_anything_hq.automatic_mask_generator``."""

from __future__ import annotations

from typing import Any

import numpy as np

from everymask.compat.generators import SamAutomaticMaskGenerator as PlainGenerator
from everymask.compat.segment_anything_hq.predictor import SamPredictor

__all__ = ["SamAutomaticMaskGenerator"]


class SamAutomaticMaskGenerator(PlainGenerator):
    """As SAM's; each point gives one mask."""

    PREDICTOR = SamPredictor
    multimask_output = True

    def generate(self, image: np.ndarray, multimask_output: bool = True) -> list[dict[str, Any]]:
        """As SAM's; without ``multimask_output`` a point's mask is the one for clear prompts."""
        self.multimask_output = multimask_output
        return super().generate(image)
