"""The ``everymask`` command: finds the subcommand that is meant, imports only that, and speaks its errors.

Exit status of every command: 0 all done, 1 something failed (and what), 2 the command was wrong, 130 Ctrl-C.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from ..errors import EverymaskError, InputError, UnknownModelError

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True)
class Command:
    """A subcommand and where it lives; the module has a function or a ``typer.Typer`` of that name."""

    name: str
    module: str
    attribute: str
    summary: str


COMMANDS = (
    Command("segment", "segment.command", "segment", "Every object of photos, in any mask format."),
    Command("predict", "predict.command", "predict", "One object, from points, a box or a mask."),
    Command("track", "track.command", "track", "Objects through a video, from clicks."),
    Command("convert", "convert", "convert", "Mask files from one format to another."),
    Command("models", "models", "app", "List, fetch, verify and remove weights."),
    Command("doctor", "doctor", "doctor", "Whether everymask works on this machine."),
    Command("demo", "demo", "demo", "A first picture, from a bundled photo."),
    Command("evaluate", "evaluate", "evaluate", "Measure a model on data with known masks."),
    Command("train", "train", "train", "Fine-tune a model on your own photos."),
)

EPILOG = "everymask COMMAND --help explains a command. Start with: everymask demo"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Run a command line; the exit status. Whatever goes wrong on purpose is one line on stderr."""
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        return _run(arguments)


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning as one line on stderr, without the file and line that Python adds."""
    typer.echo(f"warning: {message}", err=True)


def _run(arguments: list[str]) -> int:
    try:
        outcome = _assembled(_wanted(arguments))(arguments, prog_name="everymask", standalone_mode=False)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except typer.Abort:
        return _complain("aborted", FAILED)
    except BrokenPipeError:
        # The reader of our output is gone (`| head`); Python must not try to flush to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (InputError, UnknownModelError) as error:
        return _complain(f"error: {error}", WRONG_USE)
    except EverymaskError as error:
        return _complain(f"error: {error}", FAILED)
    except OSError as error:
        return _complain(f"error: {error}", FAILED)
    except Exception as error:
        if not hasattr(error, "format_message"):  # what the command parser raises has it
            raise
        return _complain(_usage_text(error, _wanted(arguments)), WRONG_USE)
    return outcome if isinstance(outcome, int) else DONE


def _wanted(arguments: Sequence[str]) -> str | None:
    """The subcommand that a command line names."""
    return next((word for word in arguments if not word.startswith("-")), None)


def _assembled(wanted: str | None) -> Any:
    """The parser: the wanted command in full, the others by name and summary only."""
    # Plain help rather than rich's frames: it is twice as quick, and frames cut the official long option
    # names short on an 80-column terminal.
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        epilog=EPILOG,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_front)
    for command in COMMANDS:
        _mount(app, command, command.name == wanted)
    # A parser with a single command takes its name away; with all of them mounted this cannot happen.
    return typer.main.get_command(app)


def _mount(app: typer.Typer, command: Command, in_full: bool) -> None:
    if not in_full:
        app.command(command.name, help=command.summary)(_placeholder)
        return
    target = getattr(importlib.import_module(f"{__package__}.{command.module}"), command.attribute)
    if isinstance(target, typer.Typer):
        target.rich_markup_mode = None
        app.add_typer(target, name=command.name)
    else:
        app.command(command.name)(target)


def _placeholder() -> None:
    """Stands for a command that the command line does not name; never called."""


def _print_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"everymask {__version__}")
        raise typer.Exit(DONE)


def _front(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Segment Anything on photos and videos: every object, one object, or an object through time."""


def _complain(text: str, status: int) -> int:
    typer.echo(text, err=True)
    return status


def _usage_text(error: Any, wanted: str | None) -> str:
    known = wanted if wanted in {command.name for command in COMMANDS} else None
    help_command = " ".join(word for word in ("everymask", known, "--help") if word)
    message = error.format_message()
    if not message or message.lstrip().startswith("Usage:"):  # a bare `everymask models`: the help itself
        return message
    return f"error: {' '.join(message.split())}\nSee: {help_command}"


if __name__ == "__main__":
    main()
