"""What is said of one object on one frame, and how a session hears it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from everymask.video.session import VideoSession


@dataclass(frozen=True)
class Said:
    """Clicks and a box for one object on one frame."""

    frame: int
    """Its index, from 0."""
    object_id: int
    points: Sequence[Sequence[float]] = ()
    """X and y in pixels of the frame."""
    labels: Sequence[int] = ()
    """Of each click: 1 on the object, 0 off it."""
    box: Sequence[float] | None = None
    """XYXY in pixels of the frame."""


def say(session: VideoSession, said: Said, more: bool = False) -> None:
    """The box, then the clicks one after the other, each correcting the answer so far.

    With ``more`` they add to what was said of the object on the frame before. Raises ``InputError``.
    """
    place = (said.frame, said.object_id)
    if said.box is not None:
        session.add_prompt(*place, box=said.box)
    for index, (xy, label) in enumerate(zip(said.points, said.labels, strict=True)):
        session.add_prompt(
            *place, points=[xy], labels=[label], keep_points=more or index > 0 or said.box is not None
        )
