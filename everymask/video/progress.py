"""How far a run through a clip is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Where tracking stands."""

    next_frame: int
    stop: int | None
    reverse: bool
