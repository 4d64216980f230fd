"""Help that is read: options in groups, examples at the end, colour on a terminal.

The text is plain: rich's frames take twice the time and cut long option names short. Which group an option
belongs to stands with the option, a command's examples in the table of ``main.py``.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

ARGUMENTS, OTHERS = "Arguments", "Options"
GROUPS = (ARGUMENTS, "Input", "Output", "Look", "Filters", "Generator", "Model", OTHERS)
"""The order in which groups are shown. Groups of other names come before the last one."""
NARROW, NARROW_COLUMN, WIDE_COLUMN = 70, 20, 30
WIDEST = 120
"""Columns that help fills at most; longer lines are hard to read."""
LEAST = 10
"""Columns of an explanation."""


class Command(TyperCommand):
    """A command whose help shows its options in groups, and its epilog as examples, one a line."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The arguments, then each group's options."""
        for title, rows in grouped(self, ctx):
            with formatter.section(_heading(title)):
                _write_rows(formatter, rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples."""
        _write_examples(formatter, (self.epilog or "").splitlines())


class Group(TyperGroup):
    """A command with commands of its own; its epilog is examples, one a line."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples."""
        _write_examples(formatter, (self.epilog or "").splitlines())


class Front(TyperGroup):
    """``everymask`` itself: the commands one starts with, then the others."""

    starters: tuple[str, ...] = ()

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Two groups of commands."""
        named = {
            name: command for name in self.list_commands(ctx) if (command := self.get_command(ctx, name))
        }
        others = [name for name in named if name not in self.starters]
        for title, names in (("To start with", self.starters), ("And then", others)):
            with formatter.section(_heading(title)):
                room = formatter.width - 6 - max(map(len, named))
                _write_rows(formatter, [(name, named[name].get_short_help_str(room)) for name in names])


def grouped(command: Any, ctx: Any) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each group's title and its options' names and explanations."""
    found: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            is_argument = parameter.param_type_name == "argument"
            title = ARGUMENTS if is_argument else getattr(parameter, "rich_help_panel", None) or OTHERS
            found.setdefault(title, []).append(record)
    for title in sorted(found, key=_place):
        yield title, found[title]


def _place(title: str) -> int:
    return GROUPS.index(title) if title in GROUPS else len(GROUPS) - 2


def folded(example: str, width: int) -> list[str]:
    r"""A command on lines of at most ``width``, as a shell takes it: all but the last end in a backslash.

    >>> folded("everymask convert out/coco.json --format yolo", 36)
    ['everymask convert out/coco.json \\', '    --format yolo']
    """
    lines = [""]
    for word in example.split():
        longer = f"{lines[-1]}{' ' if lines[-1].strip() else ''}{word}"
        if len(longer) + 2 > width and lines[-1].strip():
            lines.append(f"    {word}")
        else:
            lines[-1] = longer
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


def _write_rows(formatter: Any, rows: Sequence[tuple[str, str]]) -> None:
    """Names and explanations in two columns; a long name stands on its own line. No word is broken: what is
    read here is typed elsewhere."""
    most = NARROW_COLUMN if formatter.width < NARROW else WIDE_COLUMN
    indent = " " * formatter.current_indent
    column = min(max(len(name) for name, _ in rows), most) + 2
    room = max(formatter.width - len(indent) - column, LEAST)
    for name, text in rows:
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
        beside = lines.pop(0) if lines and len(name) <= most else ""
        formatter.write(f"{indent}{_name(name)}{' ' * (column - len(name))}{beside}".rstrip() + "\n")
        for line in lines:
            formatter.write(f"{indent}{' ' * column}{line}\n")


def _write_examples(formatter: Any, examples: Sequence[str]) -> None:
    if not examples:
        return
    with formatter.section(_heading("Examples")):
        indent = " " * formatter.current_indent
        for example in examples:
            for line in folded(example, formatter.width - formatter.current_indent):
                formatter.write(f"{indent}{line}\n")


def _heading(text: str) -> str:
    return typer.style(text, bold=True) if sys.stdout.isatty() else text


def _name(text: str) -> str:
    return typer.style(text, fg="cyan") if sys.stdout.isatty() else text
