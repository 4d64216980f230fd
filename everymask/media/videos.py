"""The frames of a clip by number, wherever they come from.

===============================  ==================================================================
what comes                       what is made of it
===============================  ==================================================================
a video file, or its bytes       read with PyAV; upright (rotation metadata applied); frame i is the
                                 i-th picture shown, also when the frame rate varies
a folder of pictures             in natural order (img2 before img10), whatever their names
a TIFF stack, an animated WebP   its pages in order
a list of pictures               paths, arrays or PIL pictures, in the order given
an array [N, H, W, 3] uint8      its frames
an iterator of pictures          a stream: frames that have passed stay available for a while
a camera number, rtsp:// etc.    a stream read with PyAV
===============================  ==================================================================

All frames of a clip have one size, that of the first; a frame of another size is refused when it is
reached. Frames are decoded when they are asked for, and a limited number of bytes of them is kept.
"""

from __future__ import annotations

import math
import os
import re
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from everymask.errors import OptionError, PictureError, VideoError
from everymask.media.photos import Range, read_photo
from everymask.media.picture_files import count_pages

CACHE_BYTES = 256 * 2**20
PICTURE_SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".png",
        ".webp",
        ".bmp",
        ".tif",
        ".tiff",
        ".avif",
        ".heic",
        ".ppm",
        ".pgm",
        ".jp2",
    }
)
THUMBNAIL_SIDE = 16
_STREAM_SCHEMES = ("rtsp://", "rtmp://", "udp://", "tcp://", "srt://", "http://", "https://")


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
                f"frame {index} of {self.name} is {hw[1]} x {hw[0]}, the clip is {self._frame_hw[1]} x "
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


class PictureFrames(FrameSource):
    """Pictures one after the other: paths, arrays or PIL pictures."""

    def __init__(
        self,
        pictures: Sequence[Any] | np.ndarray,
        name: str = "the list of pictures",
        *,
        range: Range = "dtype",
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        super().__init__(name, cache_bytes=cache_bytes)
        if len(pictures) == 0:
            raise VideoError(f"{name} has no frames; a clip needs at least one")
        self._pictures = pictures
        self._range: Range = range
        self._stamps = [file_stamp(picture) for picture in pictures]

    @property
    def length(self) -> int:
        return len(self._pictures)

    def _decode(self, index: int) -> np.ndarray:
        refuse_changed(self._pictures[index], self._stamps[index], f"frame {index} of {self.name}")
        return _picture(self._pictures[index], index, self.name, self._range)


class StackFrames(FrameSource):
    """The pages of one picture file: a TIFF stack, an animation."""

    def __init__(
        self, path: Path, pages: int, *, range: Range = "dtype", cache_bytes: int = CACHE_BYTES
    ) -> None:
        super().__init__(repr(str(path)), cache_bytes=cache_bytes)
        self._path, self._pages = path, pages
        self._range: Range = range

    @property
    def length(self) -> int:
        return self._pages

    def _decode(self, index: int) -> np.ndarray:
        try:
            return read_photo(self._path, range=self._range, page=index)
        except PictureError as error:
            raise VideoError(f"frame {index} of {self.name} cannot be read: {error}") from error


class StreamFrames(FrameSource):
    """Frames of an iterator, numbered as they come; only the last ones can be asked for again."""

    def __init__(
        self, frames: Iterable[Any], name: str = "the stream", *, cache_bytes: int = CACHE_BYTES
    ) -> None:
        super().__init__(name, cache_bytes=cache_bytes)
        self._frames: Iterator[Any] = iter(frames)
        self._arrived = 0
        self._ended = False
        self._skipped: dict[int, int] = {}

    @property
    def length(self) -> int | None:
        return self._arrived if self._ended else None

    def has(self, index: int) -> bool:
        while index >= self._arrived and not self._ended:
            self._pull()
        return 0 <= index < self._arrived

    def skipped_before(self, index: int) -> int:
        return self._skipped.get(index, 0)

    def _pull(self) -> None:
        try:
            frame = next(self._frames)
        except StopIteration:
            self._ended = True
            if self._arrived == 0:
                raise VideoError(f"{self.name} has no frames; a clip needs at least one") from None
            return
        except VideoError:
            raise
        except Exception as error:
            raise VideoError(f"{self.name} broke off at frame {self._arrived}: {error}") from error
        if isinstance(frame, tuple):  # (frame, how many were skipped before it): see `keeping_up`
            frame, skipped = frame
            if skipped:
                self._skipped[self._arrived] = skipped
        pixels = _picture(frame, self._arrived, self.name, "dtype")
        self._arrived += 1
        self._hold(self._arrived - 1, pixels)

    def _decode(self, index: int) -> np.ndarray:
        if index in self._cache:  # it came while we looked whether there is one
            return self._cache[index]
        raise VideoError(
            f"frame {index} of {self.name} has passed: of a stream only the last {len(self._cache)} frames "
            "are kept; pass a larger cache_mb, or prompt sooner"
        )

    def _extent(self) -> str:
        return f"it ended after {self._arrived} frames"


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


def open_frames(
    source: Any, *, cache_mb: float = CACHE_BYTES / 2**20, keep_up: bool = False, range: Range = "dtype"
) -> FrameSource:
    """The frames of ``source``: see the table at the top of this file.

    ``cache_mb`` limits the decoded frames kept in memory. ``keep_up=True`` is for live sources: frames
    that arrive while an earlier one is being worked on are left out, and counted
    (:meth:`FrameSource.skipped_before`). ``range`` says how deep pictures are mapped to 8 bits; the
    default uses the whole range of the type, so that brightness does not jump from frame to frame.

    Raises VideoError if there is nothing to read, OptionError for a ``cache_mb`` below 0.

    >>> open_frames(np.zeros((5, 4, 6, 3), np.uint8)).frame_hw
    (4, 6)
    """
    if isinstance(cache_mb, bool) or not isinstance(cache_mb, (int, float)) or not 0 <= cache_mb < math.inf:
        raise OptionError(f"cache_mb must be a number of megabytes from 0, got {cache_mb!r}")
    cache = int(cache_mb * 2**20)
    if isinstance(source, FrameSource):
        return source
    if isinstance(source, np.ndarray):
        return PictureFrames(_frames_of_array(source), "the array", range=range, cache_bytes=cache)
    if isinstance(source, bool):
        raise VideoError(
            f"a clip must be a file, folder, list, array, iterator or camera number, got {source}"
        )
    if isinstance(source, int) or (isinstance(source, str) and source.startswith(_STREAM_SCHEMES)):
        return _open_live(source, keep_up, cache)
    if isinstance(source, bytes):
        return _open_file(BytesIO(source), "the video bytes", cache)
    if isinstance(source, (str, os.PathLike)):
        return _open_path(Path(source), range, cache)
    if isinstance(source, (list, tuple)):
        return PictureFrames(source, range=range, cache_bytes=cache)
    if isinstance(source, Iterable):
        frames = keeping_up(source) if keep_up else source
        return StreamFrames(frames, cache_bytes=cache)
    raise VideoError(
        "a clip must be a file, folder, list of pictures, array [N, H, W, 3], iterator of frames or camera "
        f"number, got {type(source).__name__}"
    )


def picture_files(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order; other files and hidden ones are passed over."""
    files = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
    ]
    return sorted(files, key=lambda path: natural_key(path.name))


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """A sorting key that puts numbers in a name in order of size.

    >>> sorted(["f10.png", "f9.png", "F1.png"], key=natural_key)
    ['F1.png', 'f9.png', 'f10.png']
    """
    parts = re.split(r"(\d+)", name.casefold())
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]


def keeping_up(frames: Iterable[Any]) -> Iterator[tuple[Any, int]]:
    """Always the newest frame that has come, with the number of those left out before it.

    A thread reads ``frames`` as fast as they come; the caller gets what came last when it asks.
    """
    from everymask.media.live import LatestOnly

    return iter(LatestOnly(frames))


def _open_path(path: Path, range: Range, cache: int) -> FrameSource:
    if path.is_dir():
        files = picture_files(path)
        if not files:
            raise VideoError(
                f"there are no pictures in the folder {str(path)!r}; it needs files like 00001.jpg or f1.png"
            )
        return PictureFrames(files, repr(str(path)), range=range, cache_bytes=cache)
    if not path.exists():
        raise VideoError(f"there is no video at {str(path)!r}")
    if path.stat().st_size == 0:
        raise VideoError(f"{str(path)!r} is empty (0 bytes)")
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return _pages_of(path, range, cache)
    return _open_file(path, repr(str(path)), cache)


def _pages_of(path: Path, range: Range, cache: int) -> FrameSource:
    """A picture is a clip of one frame, a stack one of its pages."""
    try:
        pages = count_pages(path)
    except PictureError as error:
        raise VideoError(str(error)) from error
    if pages == 1:
        return PictureFrames([path], repr(str(path)), range=range, cache_bytes=cache)
    return StackFrames(path, pages, range=range, cache_bytes=cache)


def _open_file(file: Any, name: str, cache: int) -> FrameSource:
    from everymask.media.video_file import VideoFile  # needs PyAV, an extra

    return VideoFile(file, name, cache_bytes=cache)


def _open_live(source: int | str, keep_up: bool, cache: int) -> FrameSource:
    from everymask.media.video_file import live_frames

    frames = live_frames(source)
    name = f"camera {source}" if isinstance(source, int) else source
    return StreamFrames(keeping_up(frames) if keep_up else frames, name, cache_bytes=cache)


def _frames_of_array(frames: np.ndarray) -> np.ndarray:
    if frames.ndim == 3 and frames.shape[-1] not in (3, 4):  # [N, H, W], gray
        return frames
    if frames.ndim != 4 or frames.shape[-1] not in (1, 3, 4):
        hint = "; one picture is no clip: add an axis, array[None]" if frames.ndim == 3 else ""
        if frames.ndim == 4 and frames.shape[1] in (1, 3, 4):
            hint = "; channels come last: array.transpose(0, 2, 3, 1)"
        raise VideoError(f"a clip must have shape (N, H, W, 3), got {frames.shape}{hint}")
    return frames


def _picture(picture: Any, index: int, name: str, range: Range) -> np.ndarray:
    if not isinstance(picture, (str, os.PathLike, np.ndarray, Image.Image)):
        picture = np.asarray(picture)
    try:
        return read_photo(picture, range=range)
    except PictureError as error:
        raise VideoError(f"frame {index} of {name} cannot be read: {error}") from error
