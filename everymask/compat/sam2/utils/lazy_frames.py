"""The frames of a clip as a sequence of tensors, each read when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from everymask.media.frame_source import FrameSource
from everymask.media.videos import open_frames
from everymask.video.frames import FramePixels


class LazyFrames:
    """What official code has in ``inference_state["images"]``: ``[index]``, ``len`` and iteration.

    A slice is a tensor [n, 3, S, S]. Frames may be replaced (``images[3] = ...``). Frames asked for one after
    the other are read one ahead. A copy, deep or not, reads from the same clip.
    """

    def __init__(self, source: FrameSource, image_size: int, prepare: Callable[[Tensor], Tensor]) -> None:
        """``prepare`` takes pixels of 0 to 1 [3, S, S] and gives what the trunk takes."""
        self.source, self.image_size = source, image_size
        self._prepare = prepare
        self._pixels = FramePixels(source, image_size)
        self._replaced: dict[int, Tensor] = {}
        self._last: int | None = None

    @classmethod
    def of(cls, clip: Any, image_size: int, prepare: Callable[[Tensor], Tensor]) -> LazyFrames:
        """The frames of anything that :meth:`everymask.VideoTracker.open` takes."""
        return cls(open_frames(clip), image_size, prepare)

    def __len__(self) -> int:
        return self.source.length or 0

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self), 3, self.image_size, self.image_size))

    def __getitem__(self, index: Any) -> Tensor:
        if isinstance(index, slice):
            return torch.stack([self[each] for each in range(*index.indices(len(self)))])
        place = int(index)
        if not -len(self) <= place < len(self):
            raise IndexError(f"there is no frame {place}; the clip has {len(self)} frames")
        place %= len(self)
        if place in self._replaced:
            return self._replaced[place]
        step = 0 if self._last is None else place - self._last
        self._last = place
        with self._pixels.going(step if abs(step) == 1 else 0):
            return self._prepare(self._pixels[place])

    def __setitem__(self, index: int, pixels: Tensor) -> None:
        self._replaced[range(len(self))[index]] = pixels

    def __iter__(self) -> Iterator[Tensor]:
        return (self[index] for index in range(len(self)))

    def __copy__(self) -> LazyFrames:
        twin = LazyFrames(self.source, self.image_size, self._prepare)
        twin._replaced = dict(self._replaced)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> LazyFrames:
        return self.__copy__()

    def __repr__(self) -> str:
        return f"LazyFrames({self.source!r})"
