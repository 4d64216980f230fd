"""The frames of a clip by number, wherever they come from.

===============================  ==================================================================
what comes                       what is made of it
===============================  ==================================================================
a video file, or its bytes       read with PyAV; upright (rotation metadata applied); frame i is the
                                 i-th picture shown, also when the frame rate varies
a folder of pictures             in natural order (img2 before img10), whatever their names
a TIFF stack, an animated WebP   its pages in order; of a hyperstack times and depths, see ``bands``
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
import warnings
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from everymask.errors import OptionError, PictureError, VideoError
from everymask.media.frame_source import CACHE_BYTES, FrameSource, file_stamp, refuse_changed, spelled
from everymask.media.photos import Range, read_photo
from everymask.media.picture_files import count_pages
from everymask.media.stacks import is_stack, opened_stack

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
        ".dcm",
    }
)
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".wmv", ".mjpeg", ".ogv"}
)
_STREAM_SCHEMES = ("rtsp://", "rtmp://", "udp://", "tcp://", "srt://", "http://", "https://")


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
        refuse_changed(self._pictures[index], self._stamps[index], f"{spelled(index)} of {self.name}")
        return _picture(self._pictures[index], index, self.name, self._range)


class StackFrames(FrameSource):
    """The pages of one picture file: a TIFF stack, an animation."""

    def __init__(
        self,
        path: Path,
        pages: int,
        *,
        range: Range = "dtype",
        bands: Sequence[int] | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        super().__init__(repr(str(path)), cache_bytes=cache_bytes)
        self._path, self._pages, self._bands = path, pages, bands
        self._range: Range = range

    @property
    def length(self) -> int:
        return self._pages

    def _decode(self, index: int) -> np.ndarray:
        try:
            return read_photo(self._path, range=self._range, page=index, bands=self._bands)
        except PictureError as error:
            raise VideoError(f"{spelled(index)} of {self.name} cannot be read: {error}") from error


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
            raise VideoError(f"{self.name} broke off at {spelled(self._arrived)}: {error}") from error
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
            f"{spelled(index)} of {self.name} has passed: of a stream only the last {len(self._cache)} "
            "frames are kept; pass a larger cache_mb, or prompt sooner"
        )

    def _extent(self) -> str:
        return f"it ended after {self._arrived} frames"


def open_frames(
    source: Any,
    *,
    cache_mb: float = CACHE_BYTES / 2**20,
    keep_up: bool = False,
    range: Range = "dtype",
    bands: Sequence[int] | None = None,
) -> FrameSource:
    """The frames of ``source``: see the table at the top of this file.

    ``cache_mb`` limits the decoded frames kept in memory. ``keep_up=True`` is for live sources: frames
    that arrive while an earlier one is being worked on are left out, and counted
    (:meth:`FrameSource.skipped_before`). ``range`` says how deep pictures are mapped to 8 bits; the
    default uses the whole range of the type, so that brightness does not jump from frame to frame.
    ``bands`` chooses one or three channels of a hyperstack, from 1.

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
        return _open_path(Path(source), range, bands, cache)
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


def is_clip(path: Path) -> bool:
    """Whether a path names a video file, by its suffix, or a folder."""
    return path.suffix.lower() in VIDEO_SUFFIXES or path.is_dir()


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


def _open_path(path: Path, range: Range, bands: Sequence[int] | None, cache: int) -> FrameSource:
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
        return _pages_of(path, range, bands, cache)
    return _open_file(path, repr(str(path)), cache)


def _pages_of(path: Path, range: Range, bands: Sequence[int] | None, cache: int) -> FrameSource:
    """A picture is a clip of one frame, a stack one of its pages."""
    try:
        pages = count_pages(path)
    except PictureError as error:
        raise VideoError(str(error)) from error
    if pages == 1 and bands is None:
        return PictureFrames([path], repr(str(path)), range=range, cache_bytes=cache)
    _say_several_axes(path)
    return StackFrames(path, pages, range=range, bands=bands, cache_bytes=cache)


def _say_several_axes(path: Path) -> None:
    """A stack of times and depths is no clip of one thing: from each time's last depth its frames jump to the
    next one's first."""
    if not is_stack(path):
        return
    with opened_stack(path) as stack:
        lengths = {axis: length for axis, length in stack.axes.items() if axis != "C" and length > 1}
    if len(lengths) > 1:
        named = {"T": "times", "Z": "depths"}
        told = " and ".join(f"{length} {named.get(axis, axis)}" for axis, length in lengths.items())
        warnings.warn(
            f"{path.name} has {told}, which are taken as one clip of {math.prod(lengths.values())} frames in "
            "the file's order; to follow an object through one of them, save that as a stack of its own",
            stacklevel=4,
        )


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
        raise VideoError(f"{spelled(index)} of {name} cannot be read: {error}") from error
