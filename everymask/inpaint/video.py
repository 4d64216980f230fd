"""A clip without what its masks cover, as a file: :func:`erase_video`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from everymask.errors import OptionError
from everymask.formats.landing import landing
from everymask.formats.video_record import ClipMasks
from everymask.inpaint.clips import HoleOf, erased_frames, holes_of
from everymask.inpaint.engines import Engine, open_engine
from everymask.inpaint.writing import write_picture
from everymask.media.frame_source import FrameSource
from everymask.media.video_writer import VideoWriter
from everymask.media.videos import open_frames

LOSSY, LOSSLESS = ".mp4", ".mkv"


class LosslessVideo(VideoWriter):
    """FFV1 in Matroska: every pixel as it was."""

    kind = "lossless"


@dataclass(frozen=True)
class Written:
    """Where a clip was written to, and what became of its sound."""

    path: Path
    frames: int
    sound: str
    """"none", "copied", or "left out" where the new file cannot hold it."""


def erase_video(
    video: Any,
    masks: ClipMasks | np.ndarray | Mapping[int, np.ndarray] | HoleOf,
    output: str | os.PathLike[str],
    engine: str | Engine | None = None,
    *,
    objects: Sequence[int] | None = None,
    grow: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Write a clip without what its masks cover, filled with what other frames show, else by ``engine``.

    ``video`` is a file, a folder or list of pictures, or an array [N, H, W, 3]. ``masks`` are those of
    :func:`everymask.find_in_video` or of a file, an array [N, H, W], or by frame (from 0) bool [H, W]; of
    ``ClipMasks`` ``objects`` chooses by number. ``output`` ends in .mp4 (plays everywhere, every pixel
    changed a little), .mkv (lossless: pixels outside of the grown masks stay as they are, to the bit), or is
    a folder for PNGs. The sound goes along where the file can hold it. ``engine`` and ``grow`` are those of
    :func:`everymask.erase`; ``progress(done, of)`` counts frames, each twice.

    Raises ``OptionError`` for an output of another kind, ``PromptError`` for masks, ``VideoError``.

    >>> em.erase_video("clip.mp4", em.find_in_video("clip.mp4", "dog"), "without.mp4")   # doctest: +SKIP
    Written(path=PosixPath('without.mp4'), frames=90, sound='copied')
    """
    target = checked_target(Path(output))
    filler = open_engine(engine) if engine is None or isinstance(engine, str) else engine
    with open_frames(video) as source:
        frames = erased_frames(source, holes_of(masks, objects), filler, grow=grow, progress=progress)
        return write_frames(frames, source, target, video)


def checked_target(output: Path) -> Path:
    """The file or folder to write to. Raises :class:`OptionError` for a kind of file that is not written."""
    if output.suffix.lower() not in ("", LOSSY, LOSSLESS):
        raise OptionError(
            f"a clip is written to {LOSSY} (plays everywhere), {LOSSLESS} (lossless) or a folder of PNGs, "
            f"got {str(output)!r}"
        )
    return output


def write_frames(frames: Iterator[np.ndarray], source: FrameSource, target: Path, video: Any) -> Written:
    """Write frames with the times of those of ``source``, whole or not at all."""
    done = 0
    if not target.suffix:
        for done, frame in enumerate(frames, 1):
            write_picture(target / f"{done:05d}.png", frame)
        return Written(target, done, "none")
    target.parent.mkdir(parents=True, exist_ok=True)
    rate = getattr(source, "frames_per_second", 30.0)
    kind = VideoWriter if target.suffix.lower() == LOSSY else LosslessVideo
    with landing(target) as temporary, kind(temporary, rate, sound_of=sound_file(video)) as writer:
        for frame in frames:
            writer.write(frame, source.time_s(done))
            done += 1
    return Written(target, done, writer.sound)


def sound_file(video: Any) -> Path | None:
    """The file that the sound of a clip is in."""
    if not isinstance(video, (str, os.PathLike)) or not Path(video).is_file():
        return None
    from everymask.media.videos import PICTURE_SUFFIXES

    return None if Path(video).suffix.lower() in PICTURE_SUFFIXES else Path(video)
