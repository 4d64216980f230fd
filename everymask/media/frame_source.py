"""What every source of frames has: frames by number, the last ones kept, all of one size."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from everymask.errors import VideoError

CACHE_BYTES = 256 * 2**20
THUMBNAIL_SIDE = 16


class FrameSource(ABC):
    """Frames by number from 0, RGB uint8 [H, W, 3], with the last ones asked for kept in memory.

    One thread at a time reads; others wait.
    """

    def __init__(self, name: str, *, cache_bytes: int = CACHE_BYTES) -> None:
        self.name = name
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        self._cache_bytes = cache_bytes
        self._frame_hw: tuple[int, int] | None = None
        self._reading = threading.RLock()

    @property
    @abstractmethod
    def length(self) -> int | None:
        """The number of frames; None while a stream goes on."""

    @abstractmethod
    def _decode(self, index: int) -> np.ndarray:
        """Frame ``index``, which exists and is not in the cache."""

    def time_s(self, index: int) -> float | None:
        """When the frame is shown, in seconds from the start of the clip; None if nobody said."""
        return None

    def skipped_before(self, index: int) -> int:
        """How many frames of a live stream were left out just before this one to keep up."""
        return 0

    def close(self) -> None:
        """Let go of the file or device; frames in the cache are dropped."""
        with self._reading:
            self._cache.clear()

    @cached_property
    def first_thumbnail(self) -> bytes:
        """:func:`thumbnail` of frame 0, for telling clips apart."""
        return thumbnail(self.frame(0))

    @property
    def frame_hw(self) -> tuple[int, int]:
        """Height and width of every frame, upright."""
        if self._frame_hw is None:
            self.frame(0)
        assert self._frame_hw is not None
        return self._frame_hw

    def has(self, index: int) -> bool:
        """Whether there is such a frame; a stream waits for it."""
        return index >= 0 and (self.length is None or index < self.length)

    def frame(self, index: int) -> np.ndarray:
        """Frame ``index``, RGB uint8 [H, W, 3].

        Raises VideoError, naming the frame, if there is no such frame, it cannot be decoded, or its
        size is not that of the first frame.
        """
        with self._reading:
            if index in self._cache:
                self._cache.move_to_end(index)
                return self._cache[index]
            if not self.has(index):
                raise VideoError(f"there is no frame {index} in {self.name}; {self._extent()}")
            pixels = self._decode(index)
            self._hold(index, pixels)
            return pixels

    def _extent(self) -> str:
        return f"it has {self.length} frames, 0 to {(self.length or 1) - 1}"

    def _hold(self, index: int, pixels: np.ndarray) -> None:
        """Check the frame's size and keep it, dropping what was used longest ago."""
        hw = pixels.shape[0], pixels.shape[1]
        if self._frame_hw is None:
            self._frame_hw = hw
        elif hw != self._frame_hw:
            raise VideoError(
                f"{spelled(index)} of {self.name} is {hw[1]} x {hw[0]}, the clip is {self._frame_hw[1]} x "
                f"{self._frame_hw[0]}; resize the frames to one size, or split the clip there"
            )
        self._cache[index] = pixels
        self._cache.move_to_end(index)
        while len(self._cache) > self._room:
            self._cache.popitem(last=False)

    @property
    def _room(self) -> int:
        """How many frames may be kept."""
        height, width = self._frame_hw or (1080, 1920)
        return max(1, self._cache_bytes // (3 * height * width))

    def __enter__(self) -> FrameSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        frames = "a stream" if self.length is None else f"{self.length} frames"
        return f"{type(self).__name__}({self.name}, {frames})"


def spelled(index: int) -> str:
    """How a message names a frame: as people count, from 1, and as Python does.

    >>> spelled(0)
    'frame 1 (index 0)'
    """
    return f"frame {index + 1} (index {index})"


def file_stamp(file: Any) -> tuple[int, int] | None:
    """Size and time of writing of a file given by its path; None for what is no file, or is not there."""
    if not isinstance(file, (str, os.PathLike)):
        return None
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def refuse_changed(file: Any, stamp: tuple[int, int] | None, what: str) -> None:
    """Frames are read when they are needed: raise VideoError for a file that was written to in between."""
    now = file_stamp(file)
    if stamp is not None and now is not None and now != stamp:
        raise VideoError(
            f"{what} changed after the clip was opened ({os.fspath(file)!r} was written again); what was "
            "tracked so far belongs to the frames before: open the clip again"
        )


def thumbnail(frame: np.ndarray) -> bytes:
    """A frame's average colours in 16 x 16 fields: much the same whoever decoded it.

    >>> set(thumbnail(np.full((90, 140, 3), 7, np.uint8)))
    {7}
    """
    small = Image.fromarray(frame).resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    return small.tobytes()
