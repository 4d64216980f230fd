"""``--options FILE``: options of everything mode from a TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ...everything.options_file import read_options, tuned_on
from .messages import note

OptionsFile = Annotated[
    Path | None,
    typer.Option(
        "--options",
        metavar="FILE",
        help="Options from a TOML file, such as `everymask tune` writes; flags go before it.",
        rich_help_panel="Generator",
    ),
]


def options_of(file: Path | None, model: str) -> dict[str, Any]:
    """The options in a file, none without one; says so if they were chosen for another model than the named
    one. Which model a file of weights is, is not asked here."""
    if file is None:
        return {}
    from ...models.specs import MODELS

    options, other = read_options(file), tuned_on(file)
    if other is not None and other != model and model in MODELS:
        note(f"{file} was tuned for {other}; {model} may want other options")
    return options
