"""Options of everything mode as a TOML file: ``--options tuned.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from everymask.errors import OptionError
from everymask.everything.options import GeneratorOptions

TABLE = "generator"


def read_options(path: Path | str) -> dict[str, Any]:
    """The options in the table ``[generator]`` of a TOML file, checked.

    Raises :class:`OptionError` for a file that is none, an unknown key, or a value out of range.
    """
    path, content = Path(path), _content(path)
    unknown = sorted(set(content) - {TABLE, "about"})
    if TABLE not in content or unknown or not isinstance(content[TABLE], dict):
        raise OptionError(
            f"{path} must have its options under [{TABLE}] (and may have [about]), got {unknown or 'neither'}"
        )
    options = content[TABLE]
    try:
        GeneratorOptions.for_model({}, options)
    except OptionError as error:
        raise OptionError(f"{path}: {error}") from error
    return options


def tuned_on(path: Path | str) -> str | None:
    """The model that a file of options says it was chosen for; None where it says nothing."""
    about = _content(path).get("about")
    model = about.get("model") if isinstance(about, dict) else None
    return model if isinstance(model, str) else None


def _content(path: Path | str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise OptionError(f"options are read from a TOML file; {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"{path} is no TOML file: {error}") from error


def write_options(
    path: Path | str, options: Mapping[str, Any], about: Mapping[str, Any] | None = None
) -> Path:
    """Write options, and under ``[about]`` where they come from. Grids of points cannot be written."""
    known = {option.name for option in fields(GeneratorOptions)} - {"point_grids"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise OptionError(f"a file of options holds {', '.join(sorted(known))}; got {', '.join(unknown)}")
    lines = [
        f"[{TABLE}]",
        *(f"{name} = {_toml(value)}" for name, value in options.items() if value is not None),
    ]
    if about:
        lines += ["", "[about]", *(f"{name} = {_toml(value)}" for name, value in about.items())]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _toml(value: Any) -> str:
    """A value as TOML writes it.

    >>> _toml(True), _toml(0.5), _toml(3), _toml('a "b"')
    ('true', '0.5', '3', '"a \\\\"b\\\\""')
    """
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return repr(float(value))
    text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'
