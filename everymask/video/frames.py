"""The features of a clip's frames, each computed once while it is needed."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from everymask.media.videos import FrameSource
from everymask.models.sam2 import Sam2
from everymask.nn.records import ImageFeatures

# Division in float64, rounded once, as the official loader does it.
_SHARE_OF_BYTE = (np.arange(256) / 255.0).astype(np.float32)


def frame_pixels(frame: np.ndarray, size: int) -> Tensor:
    """A frame RGB uint8 [H, W, 3] squeezed to float32 [3, S, S], values 0 to 1.

    Bicubic on bytes, as the official video loader does it; photos are resized otherwise
    (:meth:`everymask.geometry.Squash.resize`).
    """
    if frame.shape[:2] != (size, size):
        frame = np.asarray(Image.fromarray(frame).resize((size, size)))
    return torch.from_numpy(_SHARE_OF_BYTE[frame]).permute(2, 0, 1)


class FrameFeatures:
    """Image features by frame number, the last few kept."""

    def __init__(self, model: Sam2, source: FrameSource, keep: int) -> None:
        self._model, self._source, self._keep = model, source, keep
        self._kept: OrderedDict[int, ImageFeatures] = OrderedDict()

    def __getitem__(self, index: int) -> ImageFeatures:
        """The features of frame ``index`` (B = 1), without memory; raises VideoError as the source does."""
        if index not in self._kept:
            pixels = frame_pixels(self._source.frame(index), self._model.spec.image_size)
            pixels = self._model.normalise(pixels.to(self._model.device))
            self._kept[index] = self._model.encode_frame(pixels[None])
        self._kept.move_to_end(index)
        while len(self._kept) > self._keep:
            self._kept.popitem(last=False)
        return self._kept[index]

    def clear(self) -> None:
        self._kept.clear()
