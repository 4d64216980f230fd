"""What a session knows of one object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import Tensor

from everymask.models.memory import Seen


@dataclass(frozen=True)
class PointPrompt:
    """Points of one object on one frame, corners of a box first."""

    points: Tensor  # float32 [1, N, 2] model pixels
    labels: Tensor  # int32 [1, N]


@dataclass(frozen=True)
class Known:
    """One object on one frame, and the memory made of it."""

    seen: Seen  # B = 1
    memory: Tensor | None  # bfloat16 [1, D, h, w]; None until tracking begins: the prompt may change


@dataclass
class Track:
    """One object through the clip. Keys of the dicts are frame numbers."""

    object_id: int
    points: dict[int, PointPrompt] = field(default_factory=dict)
    masks: dict[int, Tensor] = field(default_factory=dict)  # bool [1, 1, S, S]
    conditioning: dict[int, Known] = field(default_factory=dict)
    recent: dict[int, Known] = field(default_factory=dict)
    new_conditioning: dict[int, Known] = field(default_factory=dict)  # prompted since tracking last ran
    new_recent: dict[int, Known] = field(default_factory=dict)
    tracked: dict[int, bool] = field(default_factory=dict)  # frame -> tracked backwards?

    def latest(self, frame: int) -> Known | None:
        """The newest that is known of the object on a frame."""
        for known in (self.new_conditioning, self.new_recent, self.conditioning, self.recent):
            if frame in known:
                return known[frame]
        return None

    def known(self, frame: int) -> Known:
        """What tracking is to recall of a frame."""
        return self.conditioning[frame] if frame in self.conditioning else self.recent[frame]

    @property
    def prompted_frames(self) -> list[int]:
        return sorted({*self.points, *self.masks})

    @property
    def has_news(self) -> bool:
        return bool(self.new_conditioning or self.new_recent)

    @property
    def can_be_tracked(self) -> bool:
        return bool(self.conditioning or self.new_conditioning)

    def drop_prompts(self, frame: int) -> None:
        """Forget what was prompted on a frame; a conditioning frame becomes an ordinary one."""
        for record in (self.points, self.masks, self.new_conditioning, self.new_recent):
            record.pop(frame, None)  # type: ignore[attr-defined]
        if frame in self.conditioning:
            self.recent[frame] = self.conditioning.pop(frame)
            self.tracked.pop(frame, None)

    def forget_all(self, first: int, last: int) -> None:
        """Forget everything about the frames from ``first`` to ``last``."""
        banks = (self.conditioning, self.recent, self.new_conditioning, self.new_recent)
        for record in (self.points, self.masks, self.tracked, *banks):
            for frame in [frame for frame in record if first <= frame <= last]:  # type: ignore[attr-defined]
                del record[frame]  # type: ignore[attr-defined]

    def drop_memories(self, frames: Iterable[int]) -> None:
        """Drop the memories of ordinary frames that may be wrong; that they were tracked stays known."""
        for frame in frames:
            self.recent.pop(frame, None)

    def forget(self, frames: Iterable[int]) -> None:
        """Drop all that is known of ordinary frames that lie far back."""
        for frame in frames:
            self.recent.pop(frame, None)
            if frame not in self.conditioning:
                self.tracked.pop(frame, None)
