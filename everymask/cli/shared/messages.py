"""What a command says on stderr besides its results: notes, which need nothing done, and warnings."""

from __future__ import annotations

import typer


def note(text: str) -> None:
    """Something worth knowing: nothing went wrong."""
    typer.echo(f"note: {text}", err=True)


def warn(text: str) -> None:
    """Something that is probably not what was wanted."""
    typer.echo(f"warning: {text}", err=True)


def disobedience(name: str | int, x: float, y: float, include: bool) -> str:
    """What to say of a click that a mask does not obey.

    >>> disobedience(1, 20, 30, True)[:64]
    'object 1 does not obey the click 20,30,1: it leaves that place o'
    """
    there = "leaves that place out" if include else "still holds that place"
    return (
        f"object {name} does not obey the click {x:g},{y:g},{int(include)}: it {there}; "
        "click once more beside it, or give a box"
    )
