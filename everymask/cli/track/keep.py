"""Which objects and masks of a clip are kept: the filters of ``everymask track``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import ClassVar

from ...errors import OptionError
from ...formats.video_record import ClipMasks, ObjectMask
from ..shared.flags import flag


@dataclass(frozen=True)
class KeepObjects:
    """Bounds are inclusive. Raises :class:`OptionError` for a value that is none."""

    PANEL: ClassVar[str] = "Filters"

    min_area: float | None = flag(None, "Drop an object from frames with fewer pixels of it.", metavar="PX")
    max_area: float | None = flag(None, "Drop an object from frames with more pixels of it.", metavar="PX")
    min_score: float | None = flag(
        None, "Drop an object from frames where its predicted IoU is below this.", metavar="SHARE"
    )
    top: int | None = flag(None, "Keep the N best objects by --sort, over all frames.", metavar="N")
    sort: str | None = flag(
        None, "What --top goes by: score (default) or area.", metavar="KEY", choices=("score", "area")
    )

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise OptionError(f"--top must be at least 1, got {self.top}")
        if self.sort not in (None, "score", "area"):
            raise OptionError(f"--sort must be score or area, got {self.sort!r}")
        if self.min_area is not None and self.max_area is not None and self.min_area > self.max_area:
            raise OptionError(f"--min-area {self.min_area:g} is above --max-area {self.max_area:g}")

    @property
    def is_active(self) -> bool:
        """Whether anything is asked for."""
        return any(getattr(self, each.name) is not None for each in fields(self))

    def of_frame(self, objects: Mapping[int, ObjectMask]) -> dict[int, ObjectMask]:
        """The objects of one frame that are within the bounds."""
        return {
            object_id: mask
            for object_id, mask in objects.items()
            if (self.min_area is None or mask.rle.area >= self.min_area)
            and (self.max_area is None or mask.rle.area <= self.max_area)
            and (self.min_score is None or mask.score >= self.min_score)
        }

    def apply(self, clip: ClipMasks) -> ClipMasks:
        """The clip with what is kept."""
        frames = {index: self.of_frame(objects) for index, objects in clip.frames.items()}
        kept = replace(clip, frames=frames)
        if self.top is None:
            return kept
        best = sorted(kept.object_ids, key=lambda each: -self._worth(kept, each))[: self.top]
        frames = {
            index: {object_id: mask for object_id, mask in objects.items() if object_id in best}
            for index, objects in frames.items()
        }
        return replace(clip, frames=frames)

    def _worth(self, clip: ClipMasks, object_id: int) -> float:
        """An object's mean score, or area, over the frames that show it."""
        masks = [mask for _, mask in clip.of_object(object_id) if mask is not None]
        values = [float(mask.rle.area) if self.sort == "area" else mask.score for mask in masks]
        return sum(values) / len(values) if values else 0.0
