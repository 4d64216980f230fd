"""How far a run of everything mode is, and telling whoever asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    points_done: int
    points: int
    crop: int  # the crop being worked on, from 1
    crops: int
    candidates: int  # masks above the predicted IoU so far, before suppression


class Reporter:
    """Counts what is done and tells whoever asked; ``points`` are those of each crop."""

    def __init__(self, progress: Callable[[Progress], None] | None, points: Sequence[int]) -> None:
        self._progress = progress
        self._state = Progress(0, sum(points), 1, len(points), 0)

    def advance(self, points: int, candidates: int) -> None:
        """So many more points are done and gave so many candidates."""
        state = self._state
        self._state = replace(
            state, points_done=state.points_done + points, candidates=state.candidates + candidates
        )
        if self._progress is not None:
            self._progress(self._state)

    def next_crop(self) -> None:
        """The crop being worked on is done."""
        self._state = replace(self._state, crop=min(self._state.crop + 1, self._state.crops))
