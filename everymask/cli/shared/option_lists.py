"""Flags that take several values of a generator option: ``--points-per-side 16,32``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, get_type_hints

import typer

from ...errors import OptionError
from ...everything.options import GeneratorOptions
from .flags import kind_of, with_parameters

NOT_LISTS = {"output_mode", "points_per_batch", "point_grids"}
"""Options that change nothing one could see, or that no line can hold."""


def with_option_lists(
    only: set[str] | None = None, panel: str = "Generator, values separated by commas"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``command(..., axes: dict)`` with a flag an option in the place of ``axes``, a list each."""
    flags = [
        o for o in fields(GeneratorOptions) if o.name not in NOT_LISTS and (only is None or o.name in only)
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        def call(**values: Any) -> Any:
            given = {option.name: values.pop(option.name) for option in flags}
            axes = {name: read_list(name, text) for name, text in given.items() if text is not None}
            return command(**values, axes=axes)

        parameters = [
            inspect.Parameter(
                option.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[
                    str | None,
                    typer.Option(
                        f"--{option.name.replace('_', '-')}",
                        metavar="A,B,...",
                        help=option.metadata["help"],
                        show_default=False,
                        rich_help_panel=panel,
                    ),
                ],
            )
            for option in flags
        ]
        return with_parameters(command, call, parameters, {"axes"})

    return decorate


def read_list(name: str, text: str) -> list[Any]:
    """The values of an option, of its own type.

    >>> read_list("points_per_side", "16,32"), read_list("use_m2m", "yes,no")
    ([16, 32], [True, False])
    """
    kind = kind_of(get_type_hints(GeneratorOptions)[name])
    return [_value(name, kind, word.strip()) for word in text.split(",")]


def _value(name: str, kind: type, word: str) -> Any:
    if kind is bool:
        words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
        if word.lower() not in words:
            raise OptionError(f"--{name.replace('_', '-')} takes yes, no or yes,no; got {word!r}")
        return words[word.lower()]
    try:
        return kind(word)
    except ValueError as error:
        what = "whole numbers" if kind is int else "numbers"
        raise OptionError(
            f"--{name.replace('_', '-')} takes {what} separated by commas, got {word!r}"
        ) from error
