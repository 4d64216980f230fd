"""What ``everymask track`` writes: pictures while it tracks, mask files at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from ...errors import EverymaskError, FormatError
from ...formats.landing import landing
from ...formats.video_record import ClipMasks, ObjectMask
from ...formats.video_table import VIDEO_FORMATS
from ...media.frame_source import FrameSource
from ...video.pictures import CLIP_PICTURES, PictureOutput
from ..shared.look import Style
from .keep import KeepObjects

if TYPE_CHECKING:
    from ...video.render import ClipPictures


STRIP = "strip"
FORMAT_NAMES = ("overlay", "alpha", *VIDEO_FORMATS, "alpha-mov", "alpha-webm", STRIP)


def chosen_formats(names: list[str] | None) -> list[str]:
    """The formats asked for, each once. Raises FormatError for one that does not exist."""
    for name in names or []:
        if name not in FORMAT_NAMES:
            raise FormatError(f"--format must be one of {', '.join(FORMAT_NAMES)}, got {name!r}")
    return list(dict.fromkeys(names or ["overlay", "strip", "sa-v"]))


@dataclass(frozen=True)
class Wish:
    """Which objects are kept, what they are called, and how overlays look."""

    keep: KeepObjects
    style: Style
    names: Mapping[int, str]


class Drawing:
    """Picture outputs of a run, each whole or not at all: they land when the ``with`` block ends well.

    Without a single frame nothing is written.
    """

    def __init__(
        self,
        names: Iterable[str],
        folder: Path,
        scratch: Path,
        stem: str,
        frames: FrameSource,
        wish: Wish,
    ) -> None:
        """``scratch`` is a folder for what is not finished yet."""
        self._wish = wish
        self._scratch = scratch
        self._outputs = [
            (CLIP_PICTURES[name], folder / f"{stem}{CLIP_PICTURES[name].suffix}") for name in names
        ]
        self._frames = frames
        self._drawn: list[ClipPictures] | None = None
        self._open = ExitStack()

    @property
    def wanted(self) -> bool:
        """Whether there is anything to draw."""
        return bool(self._outputs)

    @property
    def written(self) -> list[Path]:
        """What is written when the block has ended."""
        return [path for _, path in self._outputs] if self._drawn else []

    def add(self, index: int, photo: np.ndarray, objects: Mapping[int, ObjectMask]) -> None:
        """Draw a frame, RGB uint8 [H, W, 3]."""
        if self._drawn is None:
            self._drawn = [self._begun(output, path) for output, path in self._outputs]
        kept = self._wish.keep.of_frame(objects)
        for pictures in self._drawn:
            pictures.add(index, photo, kept, self._frames.time_s(index))

    def _begun(self, output: PictureOutput, path: Path) -> ClipPictures:
        rate = getattr(self._frames, "frames_per_second", 30.0)
        temporary = self._open.enter_context(landing(path, self._scratch))
        options: dict[str, Any] = {}
        if output.is_drawn:
            options = {"names": self._wish.names, "options": self._wish.style.overlay_options}
        pictures = output.load()(temporary, rate, **options)
        return self._open.enter_context(pictures)

    def __enter__(self) -> Drawing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)


def write_strip(path: Path, scratch: Path, clip: ClipMasks, frames: FrameSource) -> Path:
    """The clip at a glance, a JPEG."""
    from PIL import Image

    from ...video.strip import strip_picture

    with landing(path, scratch) as temporary:
        Image.fromarray(strip_picture(clip, frames.frame)).save(temporary, quality=90)
    return path


def path_of(folder: Path, clip: str, format: str) -> Path:
    """Where the masks of a clip go.

    >>> path_of(Path("out"), "dog", "sa-v").as_posix()
    'out/dog_sa_v.json'
    """
    return folder / f"{clip}_{format.replace('-', '_')}{VIDEO_FORMATS[format].suffix}"


def write_masks(
    names: Iterable[str], folder: Path, scratch: Path, clip: ClipMasks
) -> tuple[list[Path], list[str]]:
    """Write mask files, each whole or not at all: the paths, and what went wrong with others."""
    written, failures = [], []
    for name in names:
        path = path_of(folder, clip.name, name)
        try:
            with landing(path, scratch) as temporary:
                losses = VIDEO_FORMATS[name].load().write(temporary, clip)
        except (EverymaskError, OSError) as error:
            failures.append(f"{path} could not be written: {error}")
        else:
            written.append(path)
            typer.echo(f"wrote {path}" + (f" ({losses})" if losses else ""), err=True)
    return written, failures
