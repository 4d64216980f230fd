"""What a run says on stderr while it works: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer

QUIET_S = 5.0
"""Off a terminal, the least time between two lines of progress."""

TOLD_FROM = 0.1
"""Photos after which times are told: those of the first few points are times of the encoder."""


def duration(seconds: float) -> str:
    """A time to read.

    >>> duration(0.42), duration(7.31), duration(95), duration(4000)
    ('0.42 s', '7.3 s', '1 min 35 s', '1 h 06 min')
    """
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "mask"), counted(1200, "mask")
    ('1 mask', '1,200 masks')
    """
    return f"{number:,} {noun}" + "s" * (number != 1)


@dataclass(frozen=True)
class _Step:
    """What is being done with a scene."""

    doing: str
    begun: float
    task: Any


class Progress:
    """Counts photos and says how it goes. Use through :func:`showing_progress`."""

    def __init__(self, total: int, kept: int, bar: Any = None) -> None:
        self.total, self.kept = total, kept
        self.done = self.failed = 0
        self._bar, self._task = bar, None
        self._step: _Step | None = None
        self._begun = time.monotonic()
        self._said = 0.0
        if bar is not None:
            self._task = bar.add_task("photos", total=total, completed=kept, speed="")

    def photo_done(self, name: str, masks: int, seconds: float) -> None:
        """A photo and its outputs are written."""
        self.done += 1
        self._tell(f"{name}: {counted(masks, 'mask')} in {duration(seconds)}")

    def part_done(
        self, name: str, photos: int, masks: int, seconds: float, failed: Sequence[tuple[str, str]]
    ) -> None:
        """Photos that were written together, with those that failed and why."""
        self.done += photos - len(failed)
        for photo, reason in failed:
            self.photo_failed(photo, reason)
        self._tell(f"{name}: {counted(photos, 'photo')}, {counted(masks, 'mask')} in {duration(seconds)}")

    def photo_failed(self, name: str, reason: str) -> None:
        """A photo failed; said at once."""
        self.failed += 1
        self._echo(f"failed: {name}: {reason}")
        self._tell(None)

    def within_photo(self, done: int, total: int) -> None:
        """How far the model is in the present photo."""
        if self._bar is not None and done:
            share = done / max(total, 1)
            finished = self.kept + self.done + self.failed + share
            self._bar.update(self._task, completed=finished, speed=self._speed(share))

    def within_scene(self, name: str, done: int, total: int, masks: int, doing: str) -> None:
        """How far the present step of a scene in tiles is; on a terminal a bar of its own."""
        now = time.monotonic()
        if self._step is None or self._step.doing != doing:
            self._end_step()
            self._step = _Step(doing, now, None if self._bar is None else self._bar.add_task(doing, speed=""))
        if self._bar is not None:
            left = (now - self._step.begun) / max(done, 1) * (total - done)
            told = f"{name}: {doing}, {counted(masks, 'mask')}, {duration(left)} left"
            self._bar.update(self._step.task, completed=done, total=total, speed=told)
        elif done < total and now - self._said >= QUIET_S:
            self._said = now
            self._echo(f"{name}: {doing}, {done:,} of {total:,}, {counted(masks, 'mask')}")

    def _end_step(self) -> None:
        if self._bar is not None and self._step is not None:
            self._bar.remove_task(self._step.task)
        self._step = None

    def said(self, line: str) -> None:
        """A line that stays."""
        self._echo(line)

    def _tell(self, line: str | None) -> None:
        self._end_step()
        finished = self.kept + self.done + self.failed
        if self._bar is not None:
            self._bar.update(self._task, completed=finished, speed=self._speed())
        elif line and (time.monotonic() - self._said >= QUIET_S or finished == self.total):
            self._said = time.monotonic()
            self._echo(
                f"[{finished}/{self.total}] {line}" + (f"; {self._left()}" if finished < self.total else "")
            )

    def _speed(self, share: float = 0.0) -> str:
        """Time a photo and time left; ``share`` is done of the present photo."""
        if self.done + self.failed + share < TOLD_FROM:
            return ""
        each = self._each(share)
        rate = f"{duration(each)} a photo" if each >= 0.5 else f"{1 / max(each, 1e-6):.0f} photos a second"
        all_decided = self.kept + self.done + self.failed + share >= self.total
        return rate if all_decided else f"{rate}, {self._left(share)}"

    def _left(self, share: float = 0.0) -> str:
        worked = self.done + self.failed + share
        return f"{duration(self._each(share) * (self.total - self.kept - worked))} left"

    def _each(self, share: float) -> float:
        """Seconds a photo, from the photos of this run and what is done of the present one."""
        return (time.monotonic() - self._begun) / ((self.done + self.failed + share) or 1)

    def _echo(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            typer.echo(line, err=True)


@contextmanager
def showing_progress(total: int, kept: int) -> Iterator[Progress]:
    """A :class:`Progress` for ``total`` photos of which ``kept`` were done before."""
    if not sys.stderr.isatty():
        yield Progress(total, kept)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (MofNCompleteColumn(), BarColumn(bar_width=None), TextColumn("{task.fields[speed]}"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Progress(total, kept, bar)
