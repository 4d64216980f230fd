"""Video files and live devices, read with PyAV (the ``video`` extra)."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from everymask.errors import VideoError, require
from everymask.media.frame_source import CACHE_BYTES, FrameSource, file_stamp, refuse_changed, spelled


@dataclass(frozen=True)
class _Index:
    """Which frames a file holds, in the order in which they are shown."""

    pts: list[int]  # presentation time of every frame, rising
    keyframes: list[int]  # numbers of the frames at which decoding can start
    missing: int  # frames that the header announces and the file does not hold


class VideoFile(FrameSource):
    """A video file: any frame by number, by seeking to the key frame before it.

    Opening reads the file's packets once, without decoding them, to learn the frames' times.
    """

    def __init__(self, file: Any, name: str, *, cache_bytes: int = CACHE_BYTES) -> None:
        super().__init__(name, cache_bytes=cache_bytes)
        self._av = require("av", "video", "reading video files")
        self._file = file
        self._stamp = file_stamp(file)
        self._container: Any = None
        self._frames: Iterator[tuple[int, Any]] = iter(())
        self._at: int | None = None  # the number of the frame that is decoded next
        self._open()
        with _reading(name):
            self._index = _read_index(self._container, self._stream)
        if not self._index.pts:
            raise VideoError(f"{name} has no frames that can be decoded; is the file complete?")
        self._number_of = {pts: number for number, pts in enumerate(self._index.pts)}
        self._restart(0)

    @property
    def length(self) -> int:
        return len(self._index.pts) + self._index.missing

    @property
    def frames_per_second(self) -> float:
        """The average rate."""
        rate = self._stream.average_rate or self._stream.guessed_rate
        return float(rate) if rate else 30.0

    def time_s(self, index: int) -> float | None:
        if not 0 <= index < len(self._index.pts):
            return None
        return float((self._index.pts[index] - self._index.pts[0]) * self._stream.time_base)

    def close(self) -> None:
        super().close()
        with self._reading:
            self._frames = iter(())
            self._at = None
            if self._container is not None:
                self._container.close()
                self._container = None

    def _open(self) -> None:
        if self._container is not None:
            self._container.close()
        if hasattr(self._file, "seek"):
            self._file.seek(0)
        with _reading(self.name):
            self._container = self._av.open(self._file if hasattr(self._file, "read") else str(self._file))
        if not self._container.streams.video:
            raise VideoError(f"{self.name} has no video stream")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"

    def _decode(self, index: int) -> np.ndarray:
        refuse_changed(self._file, self._stamp, self.name)
        if index >= len(self._index.pts):
            raise VideoError(
                f"{self.name} breaks off: {self.length} frames are announced and the file holds "
                f"{len(self._index.pts)}; the first {len(self._index.pts)} can be used"
            )
        if self._container is None:
            raise VideoError(f"{self.name} is closed; open it again")
        if self._at is None or not self._at <= index < self._at + max(1, self._gap_to_keyframe()):
            self._restart(index)
        pixels = self._read_until(index)
        if pixels is None and index:
            # Some files seek to a place behind the frame; from the start it is always found.
            self._open()
            self._frames, self._at = self._decoded(), 0
            pixels = self._read_until(index)
        if pixels is None:
            raise VideoError(f"{spelled(index)} of {self.name} cannot be decoded; the file is damaged there")
        return pixels

    def _gap_to_keyframe(self) -> int:
        """Frames from here to the second next key frame: reading on is cheaper than seeking."""
        assert self._at is not None
        following = self._index.keyframes[bisect_right(self._index.keyframes, self._at) :]
        return (following[1] if len(following) > 1 else len(self._index.pts)) - self._at

    def _restart(self, index: int) -> None:
        """Stand at the key frame before ``index``."""
        with _reading(self.name):
            self._container.seek(self._index.pts[index], stream=self._stream)
        self._frames = self._decoded()
        self._at = None

    def _read_until(self, index: int) -> np.ndarray | None:
        """Decode up to frame ``index``; frames on the way are kept, those behind it mean that it is lost."""
        came_by_seeking = self._at is None  # then playing backwards is likely: keep what is on the way
        for number, frame in self._frames:
            self._at = number + 1
            if number < index:
                if came_by_seeking and number >= index - self._room and number not in self._cache:
                    self._hold(number, _upright(frame))
                continue
            pixels = _upright(frame)
            if number == index:
                return pixels
            self._hold(number, pixels)
            return None
        self._at = None
        return None

    def _decoded(self) -> Iterator[tuple[int, Any]]:
        """(number, frame) from where the container stands; packets that cannot be decoded are passed over,
        their frame is then missing."""
        damaged = self._av.error.FFmpegError
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
                frames = packet.decode()
            except StopIteration:
                return
            except damaged:
                continue
            for frame in frames:
                number = self._number_of.get(frame.pts)
                if number is not None:
                    yield number, frame


def live_frames(source: int | str) -> Iterator[np.ndarray]:
    """The pictures of a camera (by number) or a network stream as they come."""
    av = require("av", "video", "reading cameras and streams")
    with _reading(str(source)), _open_device(av, source) as container:
        for frame in container.decode(video=0):
            yield _upright(frame)


def _open_device(av: Any, source: int | str) -> Any:
    if isinstance(source, str):
        return av.open(source)
    if sys.platform == "darwin":
        return av.open(str(source), format="avfoundation", options={"framerate": "30"})
    if sys.platform == "win32":
        raise VideoError("on Windows pass an iterator of frames, e.g. one that reads cv2.VideoCapture(0)")
    return av.open(f"/dev/video{source}", format="v4l2")


def _read_index(container: Any, stream: Any) -> _Index:
    """Presentation times and key frames from the packets; nothing is decoded."""
    packets, shown, keys = 0, [], set()
    damaged = _damage()
    iterator = container.demux(stream)
    while True:
        try:
            packet = next(iterator)
        except (StopIteration, damaged):
            break
        if packet.size == 0 or packet.is_corrupt:
            continue
        packets += 1
        if packet.is_discard:  # cut off by an edit list
            continue
        if packet.pts is None:
            return _index_by_decoding(container, stream)
        shown.append(packet.pts)
        if packet.is_keyframe:
            keys.add(packet.pts)
    pts = sorted(set(shown))
    keyframes = [number for number, time in enumerate(pts) if time in keys]
    return _Index(pts, keyframes, max(0, (stream.frames or 0) - packets))


def _index_by_decoding(container: Any, stream: Any) -> _Index:
    """For containers whose packets carry no presentation times: decode once and note the frames'."""
    container.seek(0)
    times = [frame.pts for frame in container.decode(stream)]
    if None in times:
        raise VideoError("the file carries no times of its frames; rewrap it: ffmpeg -i IN -c copy OUT.mp4")
    return _Index(sorted(set(times)), [0], 0)


def _upright(frame: Any) -> np.ndarray:
    """RGB uint8 [H, W, 3] as a player shows it: phones store portrait clips lying, with an angle."""
    pixels = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _damage() -> type[Exception]:
    import av

    return av.error.FFmpegError


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """What FFmpeg says about a file it cannot read, as a VideoError that names the file."""
    try:
        yield
    except _damage() as error:
        raise VideoError(
            f"{name} cannot be read as a video: {getattr(error, 'strerror', None) or error}; "
            "is it complete? A recording that was cut off has lost its index"
        ) from error
