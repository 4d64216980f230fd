"""Pictures to video files, with PyAV (the ``video`` extra)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from everymask.errors import VideoError, require

TIME_BASE = Fraction(1, 90_000)


@dataclass(frozen=True)
class VideoKind:
    """A container and how its pictures are coded."""

    container: str
    codecs: tuple[str, ...]  # the first that this build of FFmpeg has
    pixels: str  # as FFmpeg calls them
    options: Mapping[str, str]
    frame: str = "rgb24"  # what comes in
    container_options: Mapping[str, str] = field(default_factory=dict)
    odd_sizes: bool = False  # its pixels do not come in pairs


KINDS = {
    "mp4": VideoKind(
        "mp4",
        ("libx264", "mpeg4"),
        "yuv420p",
        {"crf": "18", "preset": "veryfast"},
        container_options={"movflags": "faststart"},
    ),
    "prores": VideoKind(
        "mov", ("prores_ks",), "yuva444p10le", {"profile": "4444", "alpha_bits": "16"}, frame="rgba"
    ),
    "vp9": VideoKind(
        "webm",
        ("libvpx-vp9",),
        "yuva420p",
        {"crf": "24", "b": "0", "auto-alt-ref": "0", "deadline": "good", "cpu-used": "4"},
        frame="rgba",
    ),
    "lossless": VideoKind("matroska", ("ffv1",), "bgr0", {}, odd_sizes=True),
}


class VideoWriter:
    """Writes RGB uint8 [H, W, 3] frames to an MP4 that every player plays.

    The kinds "prores" and "vp9" take RGBA [H, W, 4] and keep the transparency. Odd sizes lose their last row
    or column, which the usual pixel formats cannot hold; "lossless" (FFV1) keeps every pixel as it is.
    """

    kind = "mp4"
    """Which of :data:`KINDS`; subclasses choose."""

    def __init__(self, path: Path, frames_per_second: float, *, sound_of: Path | None = None) -> None:
        """``sound_of`` is a file whose first sound track goes along as it is, where the container can hold it
        (:attr:`sound` says so)."""
        self._av = require("av", "video", "writing video files")
        self._path = path
        self._step = 1 / max(frames_per_second, 0.001)
        self._kind = KINDS[self.kind]
        self._container: Any = self._av.open(
            str(path), "w", format=self._kind.container, options=dict(self._kind.container_options)
        )
        self._stream: Any = None
        self._hw: tuple[int, int] | None = None
        self._last_s = -self._step
        self._sound_of = None if sound_of is None else SoundTrack(self._av, sound_of)
        self.sound = "none" if self._sound_of is None else self._sound_of.state
        """"none" where there is none, "copied", or "left out"."""

    def write(self, frame: np.ndarray, time_s: float | None = None) -> None:
        """Add a frame, shown at ``time_s`` (default: one step after the last one)."""
        hw = frame.shape[0], frame.shape[1]
        if self._hw is None:
            self._start(hw)
        elif hw != self._hw:
            raise VideoError(
                f"a frame of {hw[1]} x {hw[0]} does not fit a video of {self._hw[1]} x {self._hw[0]}"
            )
        even = frame if self._kind.odd_sizes else frame[: hw[0] // 2 * 2, : hw[1] // 2 * 2]
        picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format=self._kind.frame)
        time_s = self._last_s + self._step if time_s is None or time_s <= self._last_s else time_s
        picture.pts, picture.time_base = round(time_s / TIME_BASE), TIME_BASE
        self._last_s = time_s
        self._container.mux(self._stream.encode(picture))
        if self._sound_of is not None:
            self._sound_of.copy_until(time_s, self._container)

    def _start(self, hw: tuple[int, int]) -> None:
        if min(hw) < 2:
            raise VideoError(f"a video's frames must be at least 2 x 2 pixels, got {hw[1]} x {hw[0]}")
        codec = next((name for name in self._kind.codecs if name in self._av.codecs_available), None)
        if codec is None:
            raise VideoError(f"this build of PyAV cannot write {self.kind} ({', '.join(self._kind.codecs)})")
        self._stream = self._container.add_stream(
            codec, rate=Fraction(1 / self._step).limit_denominator(1001)
        )
        step = 1 if self._kind.odd_sizes else 2
        self._stream.height, self._stream.width = hw[0] // step * step, hw[1] // step * step
        self._stream.pix_fmt = self._kind.pixels
        self._stream.codec_context.time_base = TIME_BASE
        if codec == "mpeg4":
            self._stream.bit_rate = 8_000_000
        else:
            self._stream.options = dict(self._kind.options)
        if self._sound_of is not None:
            self._sound_of.begin(self._container)
            self.sound = self._sound_of.state
        self._hw = hw

    def close(self) -> None:
        """Finish the file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())
            if self._sound_of is not None:
                self._sound_of.copy_until(self._last_s + self._step, self._container)
        self._container.close()
        if self._sound_of is not None:
            self._sound_of.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SoundTrack:
    """The first sound track of a video file, copied packet by packet beside new pictures."""

    def __init__(self, av: Any, path: Path) -> None:
        self._container = av.open(str(path))
        self._streams = self._container.streams.audio[:1]
        self._packets: Any = iter(())
        self._waiting: Any = None
        self._start_s = 0.0
        self.state = "left out" if self._streams else "none"

    def begin(self, output: Any) -> None:
        """Announce the track to the container that is written, if that can hold it."""
        if not self._streams or self._streams[0].codec_context.name not in output.supported_codecs:
            return
        stream = self._streams[0]
        self._stream = output.add_stream_from_template(stream)
        pictures = self._container.streams.video
        if pictures and pictures[0].start_time is not None:
            self._start_s = float(pictures[0].start_time * pictures[0].time_base)
        self._packets = self._container.demux(stream)
        self.state = "copied"

    def copy_until(self, time_s: float, output: Any) -> None:
        """Copy what is heard up to a time of the new file."""
        while True:
            packet = self._waiting or next(self._packets, None)
            self._waiting = None
            if packet is None:
                return
            if packet.dts is None or packet.pts is None:  # the end of the track
                continue
            if float(packet.pts * packet.time_base) - self._start_s > time_s:
                self._waiting = packet
                return
            shift = round(self._start_s / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = self._stream
            output.mux(packet)

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()
