"""The features of a clip's frames, each computed once while it is needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from everymask.media.frame_source import FrameSource
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


class FramePixels:
    """The pixels of frames by number (:func:`frame_pixels`); while frames are asked for in order, the next
    one is read ahead."""

    def __init__(self, source: FrameSource, size: int) -> None:
        self._source, self._size = source, size
        self._step = 0
        self._ahead: tuple[int, Future[Tensor]] | None = None
        self._reader: ThreadPoolExecutor | None = None

    def __getitem__(self, index: int) -> Tensor:
        """Frame ``index`` as float32 [3, S, S]; raises VideoError as the source does."""
        if self._ahead is not None and self._ahead[0] == index:
            reading, self._ahead = self._ahead[1], None
            pixels = reading.result()
        else:
            pixels = self._pixels(index)
        following = index + self._step
        if self._step and self._source.has(following):
            self._reader = self._reader or ThreadPoolExecutor(1, "everymask-reader")
            self._ahead = following, self._reader.submit(self._pixels, following)
        return pixels

    @contextmanager
    def going(self, step: int) -> Iterator[None]:
        """While frames are asked for in steps of 1 or -1, read each next one ahead, in a thread.

        What goes wrong with it is raised when that frame is asked for. Streams are not read ahead: their
        next frame may be long in coming, and keeping up means taking the newest.
        """
        self._step = 0 if self._source.length is None else step
        try:
            yield
        finally:
            self._step = 0

    def clear(self) -> None:
        """Forget what is being read ahead."""
        self._ahead = None
        if self._reader is not None:
            self._reader.shutdown(cancel_futures=True)
            self._reader = None

    def _pixels(self, index: int) -> Tensor:
        return frame_pixels(self._source.frame(index), self._size)


class FrameFeatures:
    """Image features by frame number, the last few kept; the next frame is read while this one is encoded."""

    def __init__(self, model: Sam2, source: FrameSource, keep: int) -> None:
        self._model, self._keep = model, keep
        self._pixels = FramePixels(source, model.spec.image_size)
        self._kept: OrderedDict[int, ImageFeatures] = OrderedDict()

    def __getitem__(self, index: int) -> ImageFeatures:
        """The features of frame ``index`` (B = 1), without memory; raises VideoError as the source does."""
        if index not in self._kept:
            pixels = self._model.normalise(self._pixels[index].to(self._model.device))
            self._kept[index] = self._model.encode_frame(pixels[None])
        self._kept.move_to_end(index)
        while len(self._kept) > self._keep:
            self._kept.popitem(last=False)
        return self._kept[index]

    def going(self, step: int) -> AbstractContextManager[None]:
        """:meth:`FramePixels.going`."""
        return self._pixels.going(step)

    def clear(self) -> None:
        """Forget everything, what is being read ahead included."""
        self._kept.clear()
        self._pixels.clear()
