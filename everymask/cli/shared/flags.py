"""Flags made from the fields of a frozen dataclass, where a name, a default and an explanation live once.

    @with_flags(look=Look, keep=Keep)
    def command(..., *, look: Look, keep: Keep) -> None: ...

A field's metadata holds ``help``; ``flags`` where the flag's name is not the field's, ``metavar``, and
``panel`` (a group of ``--help``) where it is not the dataclass's own ``PANEL``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, field, fields
from types import UnionType
from typing import Annotated, Any, get_args, get_type_hints

import typer


def flag(default: Any, help: str, **more: Any) -> Any:
    """A field that becomes a flag."""
    return field(default=default, metadata={"help": help, **more})


def with_flags(**records: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The command with one flag a field in the place of each keyword argument named.

    The dataclass is made of the flags, so that it checks them; the command gets it.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        parameters = [_parameter(each, record) for record in records.values() for each in fields(record)]

        def call(**values: Any) -> Any:
            built = {}
            for name, record in records.items():
                built[name] = record(**{each.name: values.pop(each.name) for each in fields(record)})
            return command(**values, **built)

        return with_parameters(command, call, parameters, replaced=set(records))

    return decorate


def with_parameters(
    command: Callable[..., Any],
    call: Callable[..., Any],
    parameters: list[inspect.Parameter],
    replaced: set[str],
) -> Callable[..., Any]:
    """``call`` dressed as ``command``, for typer, with other parameters in the place of the replaced ones."""
    signature = inspect.signature(command, eval_str=True)
    own = [each for each in signature.parameters.values() if each.name not in replaced]
    everything = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *parameters)]

    @functools.wraps(command)
    def dressed(**values: Any) -> Any:
        return call(**values)

    dressed.__signature__ = signature.replace(parameters=everything)  # type: ignore[attr-defined]
    dressed.__annotations__ = {each.name: each.annotation for each in everything}
    del dressed.__wrapped__  # type: ignore[attr-defined]
    return dressed


def _parameter(each: Field[Any], record: type) -> inspect.Parameter:
    hint = get_type_hints(record)[each.name]
    names = each.metadata.get("flags") or (f"--{each.name.replace('_', '-')}",)
    info = typer.Option(
        *names,
        help=each.metadata["help"],
        metavar=each.metadata.get("metavar"),
        show_default=each.default is not None and each.default is not False and each.default != (),
        autocompletion=_completing(each.metadata.get("choices", ())),
        rich_help_panel=each.metadata.get("panel", getattr(record, "PANEL", None)),
    )
    default = each.default if each.default is not MISSING else inspect.Parameter.empty
    return inspect.Parameter(
        each.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, info]
    )


def _completing(choices: Sequence[str]) -> Callable[[str], list[str]] | None:
    """What a shell offers as values."""
    if not choices:
        return None

    def offered(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return offered


def kind_of(hint: Any) -> Any:
    """A type without its None."""
    if isinstance(hint, UnionType):
        return next(kind for kind in get_args(hint) if kind is not type(None))
    return hint
