"""``progress=True``: a bar on the terminal or in the notebook while a run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .progress import Progress

Report = Callable[["Progress"], None]


@contextmanager
def reporting(progress: bool | Report | None, title: str = "everymask") -> Iterator[Report | None]:
    """What a run is to call: the caller's own function, one that moves a bar for True, None for silence."""
    if progress is not None and not isinstance(progress, bool):
        yield progress
        return
    with counting(bool(progress), title) as moved:
        yield moved and (lambda state: moved(state.points_done, state.points, ""))


@contextmanager
def counting(progress: bool, title: str = "everymask") -> Iterator[Callable[[int, int, str], None] | None]:
    """A bar to be told what is done of how much, and what that is; or None for silence."""
    if not progress:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title)
        yield lambda done, total, what: bar.update(
            task, completed=done, total=total, description=f"{title}: {what}" if what else title
        )
