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
}


class VideoWriter:
    """Writes RGB uint8 [H, W, 3] frames to an MP4 that every player plays.

    The kinds "prores" and "vp9" take RGBA [H, W, 4] and keep the transparency. Odd sizes lose their last row
    or column, which the usual pixel formats cannot hold.
    """

    kind = "mp4"
    """Which of :data:`KINDS`; subclasses choose."""

    def __init__(self, path: Path, frames_per_second: float) -> None:
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

    def write(self, frame: np.ndarray, time_s: float | None = None) -> None:
        """Add a frame, shown at ``time_s`` (default: one step after the last one)."""
        hw = frame.shape[0], frame.shape[1]
        if self._hw is None:
            self._start(hw)
        elif hw != self._hw:
            raise VideoError(
                f"a frame of {hw[1]} x {hw[0]} does not fit a video of {self._hw[1]} x {self._hw[0]}"
            )
        even = frame[: hw[0] // 2 * 2, : hw[1] // 2 * 2]
        picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format=self._kind.frame)
        time_s = self._last_s + self._step if time_s is None or time_s <= self._last_s else time_s
        picture.pts, picture.time_base = round(time_s / TIME_BASE), TIME_BASE
        self._last_s = time_s
        self._container.mux(self._stream.encode(picture))

    def _start(self, hw: tuple[int, int]) -> None:
        if min(hw) < 2:
            raise VideoError(f"a video's frames must be at least 2 x 2 pixels, got {hw[1]} x {hw[0]}")
        codec = next((name for name in self._kind.codecs if name in self._av.codecs_available), None)
        if codec is None:
            raise VideoError(f"this build of PyAV cannot write {self.kind} ({', '.join(self._kind.codecs)})")
        self._stream = self._container.add_stream(
            codec, rate=Fraction(1 / self._step).limit_denominator(1001)
        )
        self._stream.height, self._stream.width = hw[0] // 2 * 2, hw[1] // 2 * 2
        self._stream.pix_fmt = self._kind.pixels
        self._stream.codec_context.time_base = TIME_BASE
        if codec == "mpeg4":
            self._stream.bit_rate = 8_000_000
        else:
            self._stream.options = dict(self._kind.options)
        self._hw = hw

    def close(self) -> None:
        """Finish the file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())
        self._container.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
