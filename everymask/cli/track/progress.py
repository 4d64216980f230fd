"""What commands on videos say on stderr while they work."""

from __future__ import annotations

import sys
import time
from typing import Any

import typer

from ..shared.progress import QUIET_S, counted, duration


class FrameProgress:
    """Frames done, frames per second and time left: a bar on a terminal, lines elsewhere."""

    def __init__(self, total: int, verb: str = "tracked") -> None:
        self.total, self.done, self._verb = total, 0, verb
        self._begun = self._said = time.monotonic()
        self._bar: Any = None

    def frame_done(self) -> None:
        """One frame more is done."""
        self.done += 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, speed=f"{self._speed()}{self._left()}")
        elif time.monotonic() - self._said >= QUIET_S:
            self._said = time.monotonic()
            typer.echo(f"[{self.done}/{self.total}] {self._speed()}{self._left()}", err=True)

    def __enter__(self) -> FrameProgress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            columns = (MofNCompleteColumn(), BarColumn(bar_width=None), TextColumn("{task.fields[speed]}"))
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=self.total, speed="")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self.done:
            typer.echo(f"{self._verb} {counted(self.done, 'frame')}, {self._speed()}", err=True)

    def _each(self) -> float:
        return (time.monotonic() - self._begun) / max(self.done, 1)

    def _speed(self) -> str:
        return f"{1 / max(self._each(), 1e-9):.2f} frames a second"

    def _left(self) -> str:
        return f", {duration(self._each() * (self.total - self.done))} left" if self.done < self.total else ""
