"""The masks of a clip as pictures, frame by frame: an overlay video, and each object cut out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from PIL import Image

from everymask.formats.video_record import ObjectMask
from everymask.masks.rle import decode
from everymask.maskset import Mask, MaskSet
from everymask.media.draw import draw_overlay
from everymask.media.video_writer import VideoWriter


class ClipPictures(Protocol):
    """Pictures of a clip, finished when the ``with`` block ends."""

    def add(
        self, index: int, photo: np.ndarray, objects: Mapping[int, ObjectMask], time_s: float | None
    ) -> None:
        """Draw a frame (RGB uint8 [H, W, 3]) and the objects on it."""

    def __enter__(self) -> ClipPictures: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class OverlayVideo(VideoWriter):
    """An MP4 with coloured masks; an object keeps its colour. Frames must be added in rising order."""

    def __init__(
        self,
        path: Path,
        frames_per_second: float,
        names: Mapping[int, str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """``names`` are the objects' labels, looked up when a frame is drawn; ``options`` those of
        ``draw_overlay``."""
        super().__init__(path, frames_per_second)
        self._names, self._options = {} if names is None else names, dict(options or {})

    def add(
        self, index: int, photo: np.ndarray, objects: Mapping[int, ObjectMask], time_s: float | None
    ) -> None:
        """See :class:`ClipPictures`."""
        del index
        seen = {object_id: mask for object_id, mask in objects.items() if mask.rle.area}
        labelled = [Mask(mask.rle, label=self._names.get(object_id)) for object_id, mask in seen.items()]
        masks = MaskSet(labelled, (photo.shape[0], photo.shape[1]))
        self.write(draw_overlay(photo, masks, identities=list(seen), **self._options), time_s)

    def __enter__(self) -> OverlayVideo:
        return self


class _AlphaVideo(VideoWriter):
    """All objects together on a transparent ground. Frames must be added in rising order."""

    def add(
        self, index: int, photo: np.ndarray, objects: Mapping[int, ObjectMask], time_s: float | None
    ) -> None:
        """See :class:`ClipPictures`."""
        del index
        seen = np.zeros(photo.shape[:2], bool)
        for mask in objects.values():
            seen |= decode(mask.rle)
        hidden = photo * seen[..., None]  # nothing that was cut away travels along
        self.write(np.dstack([hidden, seen.astype(np.uint8) * 255]), time_s)


class AlphaMov(_AlphaVideo):
    """ProRes 4444: for Final Cut, Premiere, Resolve, After Effects."""

    kind = "prores"

    def __enter__(self) -> AlphaMov:
        return self


class AlphaWebm(_AlphaVideo):
    """VP9: for browsers and OBS."""

    kind = "vp9"

    def __enter__(self) -> AlphaWebm:
        return self


class CutoutPictures:
    """A folder for each object, object_1, ..., with an RGBA PNG of the frame's size for each frame."""

    def __init__(self, path: Path, frames_per_second: float) -> None:
        del frames_per_second  # pictures have none
        self._path = path

    def add(
        self, index: int, photo: np.ndarray, objects: Mapping[int, ObjectMask], time_s: float | None
    ) -> None:
        """See :class:`ClipPictures`."""
        del time_s
        for object_id, mask in objects.items():
            alpha = decode(mask.rle).astype(np.uint8) * 255
            hidden = photo * (alpha > 0)[..., None]  # nothing that was cut away travels along
            folder = self._path / f"object_{object_id}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.dstack([hidden, alpha])).save(
                folder / f"{index + 1:05d}.png", compress_level=3
            )

    def __enter__(self) -> CutoutPictures:
        self._path.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
