"""The masks of a clip between the tracker and files: run lengths by frame and object."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import FormatError
from ..masks.rle import Rle, box_xyxy, decode
from .classes import Classes


@dataclass(frozen=True)
class ObjectMask:
    """One object on one frame."""

    rle: Rle
    score: float = 1.0
    """The model's estimate of the mask's IoU."""
    visibility: float = 1.0
    """Probability that the object is on the frame."""

    @property
    def bbox_xywh(self) -> tuple[int, int, int, int]:
        """Left, top, and the number of columns and rows; zeros for an empty mask."""
        if self.rle.area == 0:
            return 0, 0, 0, 0
        x0, y0, x1, y1 = box_xyxy(self.rle)
        return x0, y0, x1 - x0 + 1, y1 - y0 + 1


@dataclass(frozen=True)
class ClipMasks:
    """All objects of a clip. A frame that is not in ``frames`` was not tracked."""

    name: str
    frame_hw: tuple[int, int]
    length: int
    frames_per_second: float = 30.0
    frames: dict[int, dict[int, ObjectMask]] = field(default_factory=dict)  # frame -> object id -> mask
    names: dict[int, str] = field(default_factory=dict)  # object id -> what it is called
    classes: Classes = field(default_factory=Classes)  # of the file that masks came from, with their numbers

    @property
    def object_ids(self) -> list[int]:
        return sorted({object_id for objects in self.frames.values() for object_id in objects})

    def called(self, object_id: int) -> str:
        return self.names.get(object_id, "object")

    def save(self, path: str | os.PathLike[str], format: str = "sa-v") -> Path:
        """Write the masks to a file, or to a folder for ``davis``; where they were written.

        ``format`` is sa-v, davis, coco-vis or cvat. Raises ``FormatError`` for another one.
        """
        from .video_table import VIDEO_FORMATS

        if format not in VIDEO_FORMATS:
            raise FormatError(f"format must be one of {', '.join(VIDEO_FORMATS)}, got {format!r}")
        VIDEO_FORMATS[format].load().write(Path(path), self)
        return Path(path)

    def of_object(self, object_id: int) -> Iterator[tuple[int, ObjectMask | None]]:
        """(frame, mask) for every frame of the clip; None where there is no pixel of the object."""
        for frame in range(self.length):
            mask = self.frames.get(frame, {}).get(object_id)
            yield frame, mask if mask is not None and mask.rle.area else None

    def label_map(self, frame: int) -> tuple[np.ndarray, dict[int, int]]:
        """Object ids by pixel, int32 [H, W], 0 where there is none; and by object how many pixels it lost.

        Where objects overlap the smaller one is on top.
        """
        labels = np.zeros(self.frame_hw, np.int32)
        lost: dict[int, int] = {}
        objects = sorted(self.frames.get(frame, {}).items(), key=lambda item: -item[1].rle.area)
        for object_id, mask in objects:
            pixels = decode(mask.rle)
            below, counts = np.unique(labels[pixels], return_counts=True)
            for covered, count in zip(below.tolist(), counts.tolist(), strict=True):
                if covered:
                    lost[covered] = lost.get(covered, 0) + count
            labels[pixels] = object_id
        return labels, lost
