"""Engines with weights, run by ONNX Runtime: MI-GAN and LaMa (extra ``inpaint``).

Both files come by the library's own verified download, as all weights do.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from everymask.errors import CheckpointError, require
from everymask.inpaint.colour_engine import ColourEngine
from everymask.models import hub

LAMA_SIDE = 512
"""LaMa's ONNX file takes pictures of this size alone."""


class Network(ColourEngine):
    """An ONNX file that fills holes in RGB pictures."""

    def __init__(self, weights: str) -> None:
        runtime = require("onnxruntime", "inpaint", f"the engine {weights}")
        path = hub.pull(weights)
        try:
            self.session = runtime.InferenceSession(str(path), providers=runtime.get_available_providers())
        except Exception as error:  # ONNX Runtime has no public class for a file that it cannot read
            raise CheckpointError(f"{path} is no ONNX file that ONNX Runtime opens: {error}") from error

    def run(self, **inputs: np.ndarray) -> np.ndarray:
        """The first output, [H, W, 3], of [H, W, C] inputs by name."""
        batches: dict[str, Any] = {
            name: np.ascontiguousarray(value.transpose(2, 0, 1)[None]) for name, value in inputs.items()
        }
        return self.session.run(None, batches)[0][0].transpose(1, 2, 0)


class MiGan(Network):
    """MI-GAN (Sargsyan et al. 2023) with its own cropping and blending; any size."""

    def fill_rgb(self, rgb: np.ndarray, hole: np.ndarray) -> np.ndarray:
        """255 in its mask is what stays."""
        return self.run(image=rgb, mask=np.where(hole, 0, 255).astype(np.uint8)[..., None])


class Lama(Network):
    """LaMa (Suvorov et al. 2022), on a square of 512 pixels."""

    def fill_rgb(self, rgb: np.ndarray, hole: np.ndarray) -> np.ndarray:
        """1 in its mask is the hole; answers are 0 to 255."""
        height, width = hole.shape
        square = (LAMA_SIDE, LAMA_SIDE)
        smaller = max(height, width) > LAMA_SIDE
        seen = cv2.resize(rgb, square, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
        missing = cv2.resize(hole.astype(np.float32), square, interpolation=cv2.INTER_LINEAR) > 0
        made = self.run(image=seen.astype(np.float32) / 255, mask=missing.astype(np.float32)[..., None])
        return np.clip(cv2.resize(made, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255)
