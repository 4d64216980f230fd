"""How well each object was followed, without knowing the truth: seen, sure, weak, lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import first_few
from ...formats.video_record import ClipMasks

WEAK = 0.5
"""A mask whose predicted IoU is below this is weak: look at the object there."""


@dataclass(frozen=True)
class Followed:
    """One object through the frames that were tracked; frames are indices, from 0."""

    object_id: int
    name: str | None
    frames: int
    """Frames on which it has pixels."""
    of: int
    """Frames tracked from the first one that shows it on."""
    first: int | None
    last: int | None
    mean_score: float | None
    first_weak: int | None
    """The first frame whose score is below :data:`WEAK`."""
    lost: tuple[tuple[int, int], ...]
    """Stretches of frames without it (first, last) behind the frame that first shows it."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; frames count from 1, as in all that people read."""
        return {
            "object": self.object_id,
            "name": self.name,
            "frames": self.frames,
            "of": self.of,
            "first": _counted(self.first),
            "last": _counted(self.last),
            "mean_score": self.mean_score,
            "first_weak": _counted(self.first_weak),
            "lost": [[first + 1, last + 1] for first, last in self.lost],
        }

    def __str__(self) -> str:
        called = f"object {self.object_id}" + (f" ({self.name})" if self.name else "")
        if self.mean_score is None:
            return f"{called}: on none of the frames tracked"
        weak = f"; weak from frame {self.first_weak + 1}" if self.first_weak is not None else ""
        stretches = first_few(f"{a + 1}-{b + 1}" if b > a else f"{a + 1}" for a, b in self.lost)
        lost = f"; lost on {stretches}" if self.lost else ""
        return f"{called}: {self.frames} of {self.of} frames, mean score {self.mean_score:.2f}{weak}{lost}"


def _counted(index: int | None) -> int | None:
    """A frame's number from 1."""
    return None if index is None else index + 1


def followed(clip: ClipMasks) -> list[Followed]:
    """How each object of a clip was followed, by its number."""
    tracked = sorted(clip.frames)
    return [_one(clip, object_id, tracked) for object_id in clip.object_ids]


def _one(clip: ClipMasks, object_id: int, tracked: Sequence[int]) -> Followed:
    masks = {frame: clip.frames[frame].get(object_id) for frame in tracked}
    scores = {frame: mask.score for frame, mask in masks.items() if mask is not None and mask.rle.area}
    seen = sorted(scores)
    since = [frame for frame in tracked if seen and frame >= seen[0]]
    return Followed(
        object_id=object_id,
        name=clip.names.get(object_id),
        frames=len(seen),
        of=len(since),
        first=seen[0] if seen else None,
        last=seen[-1] if seen else None,
        mean_score=round(sum(scores.values()) / len(seen), 4) if seen else None,
        first_weak=next((frame for frame in seen if scores[frame] < WEAK), None),
        lost=tuple(_stretches([frame for frame in since if frame not in scores])),
    )


def _stretches(frames: Sequence[int]) -> list[tuple[int, int]]:
    """Rising frame numbers as stretches (first, last).

    >>> _stretches([3, 4, 5, 9])
    [(3, 5), (9, 9)]
    """
    stretches: list[tuple[int, int]] = []
    for frame in frames:
        if stretches and frame == stretches[-1][1] + 1:
            stretches[-1] = stretches[-1][0], frame
        else:
            stretches.append((frame, frame))
    return stretches
