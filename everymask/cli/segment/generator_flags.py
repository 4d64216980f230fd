"""The flags of everything mode, made from the fields of ``GeneratorOptions``, where names and help live."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import Field, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import numpy as np
import typer

from ...errors import OptionError
from ...everything.options import GeneratorOptions
from ..shared.flags import kind_of, with_parameters
from ..shared.option_files import OptionsFile, options_of

NOT_FLAGS = {"output_mode"}
"""The command line writes formats; how a Python dict holds a mask is no question there."""

OPTIONS_FILE = inspect.Parameter(
    "options_file",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=OptionsFile,
)


def with_generator_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """``command(..., options: dict)`` with one flag a generator option in the place of ``options``.

    ``options`` gets the flags that were given, so that the model's own defaults hold for the rest.
    """
    flags = {option.name: option for option in fields(GeneratorOptions) if option.name not in NOT_FLAGS}

    def call(**values: Any) -> Any:
        given = {name: values.pop(name) for name in flags}
        chosen = options_of(values.pop("options_file"), values["model"])
        chosen |= _read({name: value for name, value in given.items() if value is not None})
        return command(**values, options=chosen)

    parameters = [OPTIONS_FILE, *(_parameter(each) for each in flags.values())]
    return with_parameters(command, call, parameters, {"options"})


def _parameter(option: Field[Any]) -> inspect.Parameter:
    """The flag of one option, as typer reads it from a signature; not given is None."""
    kind = _kind(option.name)
    names = [f"--{option.name.replace('_', '-')}"]
    if kind is bool:
        names = [f"{names[0]}/--no-{names[0][2:]}"]
    help_text = f"{option.metadata['help']} {_default_text(option)}".strip()
    info = typer.Option(*names, help=help_text, show_default=False, rich_help_panel="Generator")
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, info]
    )


def _kind(name: str) -> type:
    """The type of an option without its None; grids of points come as a file."""
    if name == "point_grids":
        return Path
    return kind_of(get_type_hints(GeneratorOptions)[name])


def _default_text(option: Field[Any]) -> str:
    """SAM's default; a flag that is not given leaves the model its own."""
    if option.default is None:
        return ""
    shown = f"{option.default:.4g}" if isinstance(option.default, float) else option.default
    return f"(SAM: {shown})"


def _read(given: dict[str, Any]) -> dict[str, Any]:
    if "point_grids" in given:
        given["point_grids"] = read_grids(given["point_grids"])
    return given


def read_grids(path: Path) -> list[np.ndarray]:
    """Grids of points, shares of the photo: JSON, one list of [x, y] per crop layer, or .npy, one grid."""
    try:
        if path.suffix == ".npy":
            return [np.load(path, allow_pickle=False)]
        return [np.asarray(grid, dtype=np.float64) for grid in json.loads(path.read_text("utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise OptionError(
            f"--point-grids: {path} is no list of grids [[[x, y], ...], ...]: {error}"
        ) from error
