"""What a download looks like in the shell: a bar on a terminal, a line every tenth otherwise."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ...models import hub
from ...models.download import Progress

if TYPE_CHECKING:
    from ...models.base import PromptableModel
    from ...models.file_sets import FileSet


def size_text(size_bytes: int | None) -> str:
    """A size to read: decimal units, as download pages give them.

    >>> size_text(156_008_466), size_text(2_564_550_879), size_text(999), size_text(None)
    ('156 MB', '2.6 GB', '999 B', '?')
    """
    if size_bytes is None:
        return "?"
    for unit, scale, digits in (("GB", 10**9, 1), ("MB", 10**6, 0), ("kB", 10**3, 0)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.{digits}f} {unit}"
    return f"{size_bytes} B"


def pull_visibly(name: str) -> Path:
    """``hub.pull`` with progress and notes on stderr."""
    with _shown(name) as progress:
        return hub.pull(name, progress)


def pull_set_visibly(files: FileSet) -> Path:
    """``file_sets.pull_set`` with progress and notes on stderr."""
    from ...models.file_sets import pull_set

    with _shown(files.name) as progress:
        return pull_set(files, progress)


def load_visibly(source: str | Path, device: str | None = None, dtype: str | None = None) -> PromptableModel:
    """``everymask.load`` with the progress and notes of a download, if there is one, on stderr."""
    from ...models.load import load

    with _shown(str(source)) as progress:
        return load(source, device, dtype, progress=progress)


@contextmanager
def _shown(name: str) -> Iterator[Progress]:
    """A progress callback that the shell sees; what the hub warns of becomes a note."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", hub.UnverifiedWeightsWarning)
        if sys.stderr.isatty():
            with _bar(name) as progress:
                yield progress
        else:
            yield _lines(name)
    for note in notes:
        if issubclass(note.category, hub.UnverifiedWeightsWarning):
            typer.echo(f"note: {note.message}", err=True)
        else:
            warnings.warn_explicit(note.message, note.category, note.filename, note.lineno)


@contextmanager
def _bar(name: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (name, BarColumn(bar_width=None), DownloadColumn(), TimeRemainingColumn(compact=True))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None, start=True, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def _lines(name: str) -> Progress:
    """A line at the start and at each tenth: what a log wants."""
    last = -1

    def progress(done: int, total: int | None) -> None:
        nonlocal last
        tenth = done * 10 // total if total else done // 10**8
        if tenth != last:
            last = tenth
            percent = f" ({done * 100 // total}%)" if total else ""
            typer.echo(f"{name}: {size_text(done)} of {size_text(total)}{percent}", err=True)

    return progress
