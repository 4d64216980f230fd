"""Tracking under way: one frame a step, so that whoever waits for the model gets a turn in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .record import MaskValue

Answers = Mapping[int, MaskValue]


@dataclass(frozen=True)
class Span:
    """The frames from ``start`` up to before ``stop``."""

    start: int
    stop: int
    reverse: bool

    @property
    def length(self) -> int:
        """How many frames."""
        return abs(self.stop - self.start)

    def frame(self, number: int) -> int:
        """The frame done as number so many, from 0.

        >>> Span(5, 2, True).frame(1)
        4
        """
        return self.start - number if self.reverse else self.start + number


class Run:
    """Follows objects over a span; set :attr:`wanted` to False to end it before its next frame."""

    def __init__(
        self,
        span: Span,
        objects: list[int],
        *,
        begin: Callable[[], Iterator[Answers]],
        keep: Callable[[int, Answers], object],
        ended: Callable[[Run], object],
    ) -> None:
        """``begin`` gives the masks of frame after frame, ``keep`` takes them, ``ended`` hears of the end."""
        self.span, self.objects = span, objects
        self.wanted = True
        self.state = "running"  # then "done", "stopped" or "failed"
        self.error: str | None = None
        self.done = 0
        self._begin, self._keep, self._ended = begin, keep, ended
        self._answers: Iterator[Answers] | None = None

    def to_json(self) -> dict[str, Any]:
        """Where the run is; ``frame`` is the last one done, or the one to begin with."""
        return {
            "state": self.state,
            "error": self.error,
            "frame": self.span.frame(max(0, self.done - 1)),
            "done": self.done,
            "total": self.span.length,
            "reverse": self.span.reverse,
            "objects": self.objects,
        }

    def end(self) -> None:
        """End it between two frames, if it is under way; nobody hears of it from here."""
        self.wanted = False
        if self.state == "running":
            self.state = "stopped"

    def step(self) -> bool:
        """Track one frame, keep its masks; whether there is more to do."""
        if self.state == "running":
            try:
                self._one_frame()
            except Exception as error:  # a frame that cannot be read, memory: what was tracked is kept
                self.state, self.error = "failed", str(error) or type(error).__name__
            if self.state != "running":
                self._ended(self)
        return self.state == "running"

    def _one_frame(self) -> None:
        if not self.wanted:
            self.state = "stopped"
            return
        if self._answers is None:
            self._answers = self._begin()
        answers = next(self._answers, None)
        if answers is not None:
            self.done += 1
            self._keep(self.span.frame(self.done - 1), answers)
        if answers is None or self.done == self.span.length:
            self.state = "done"
