"""``everymask man`` and ``everymask completion``, made from the parser itself."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..errors import OptionError
from .help import grouped

SHELLS = ("bash", "zsh", "fish", "powershell")


def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help=f"One of {', '.join(SHELLS)}.")] = "bash",
) -> None:
    """Print the completion of commands, options and their values for a shell.

    For bash: everymask completion bash >> ~/.bashrc; for zsh the same with ~/.zshrc; for fish into
    ~/.config/fish/completions/everymask.fish.
    """
    from typer.completion import get_completion_script

    from .main import COMPLETE_VARIABLE

    if shell not in SHELLS:
        raise OptionError(f"SHELL must be one of {', '.join(SHELLS)}, got {shell!r}")
    typer.echo(get_completion_script(prog_name="everymask", complete_var=COMPLETE_VARIABLE, shell=shell))


def man(
    command: Annotated[str | None, typer.Argument(metavar="COMMAND", help="One command alone.")] = None,
) -> None:
    """Print the manual page (roff): everymask man > everymask.1; read it with: man ./everymask.1"""
    from .main import COMMANDS, parser_of

    names = [each.name for each in COMMANDS]
    if command is not None and command not in names:
        raise OptionError(f"COMMAND must be one of {', '.join(names)}, got {command!r}")
    chosen = [command] if command else names
    typer.echo(page({name: parser_of(name) for name in chosen}))


def page(commands: dict[str, Any]) -> str:
    """The manual of commands (parser by name), roff for man."""
    from .. import __version__

    lines = [
        f'.TH EVERYMASK 1 "" "everymask {__version__}" "User Commands"',
        ".SH NAME",
        r"everymask \- segment anything in photos and videos",
        ".SH SYNOPSIS",
        ".B everymask",
        ".I COMMAND",
        "[OPTIONS] [ARGUMENTS]",
        ".SH COMMANDS",
    ]
    for name, parser in commands.items():
        lines += [f".SS everymask {name}", *_paragraphs(parser.help or "")]
        for path, leaf in _leaves(name, parser):
            if path != name:
                lines += [".TP", f".B everymask {_plain(path)}", *_paragraphs(leaf.help or "")]
            lines += _options(leaf)
        examples = (parser.epilog or "").splitlines()
        if examples:
            lines += [".PP", "Examples:", ".PP", ".nf", *(f"    {_plain(each)}" for each in examples), ".fi"]
    lines += [
        ".SH EXIT STATUS",
        "0 all done, 1 something failed, 2 the command was wrong, 130 stopped with Ctrl-C.",
    ]
    return "\n".join(lines)


def _leaves(name: str, parser: Any) -> list[tuple[str, Any]]:
    own = getattr(parser, "commands", None)
    return [(f"{name} {each}", leaf) for each, leaf in own.items()] if own else [(name, parser)]


def _options(parser: Any) -> list[str]:
    from typer import Context

    lines = []
    for title, rows in grouped(parser, Context(parser)):
        lines += [".PP", f"{title}:"]
        for name, text in rows:
            lines += [".TP", f".B {_plain(name)}", _plain(" ".join(text.split()))]
    return lines


def _paragraphs(text: str) -> list[str]:
    return [line for part in text.split("\n\n") for line in (".PP", _plain(" ".join(part.split())))]


def _plain(text: str) -> str:
    r"""Text that roff takes as it is.

    >>> _plain("--min-area .5")
    '\\-\\-min\\-area .5'
    """
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped[:1] in (".", "'") else escaped
