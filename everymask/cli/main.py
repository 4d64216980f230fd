"""The ``everymask`` command: finds the subcommand that is meant, imports only that, and speaks its errors.

Exit status of every command: 0 all done, 1 something failed (and what), 2 the command was wrong, 130 Ctrl-C.
"""

from __future__ import annotations

import codecs
import errno
import importlib
import io
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from ..errors import EverymaskError, InputError, UnknownModelError, one_line
from .help import WIDEST, Front, Group
from .help import Command as Leaf

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True)
class Command:
    """A subcommand and where it lives; the module has a function or a ``typer.Typer`` of that name."""

    name: str
    module: str
    attribute: str
    summary: str
    examples: tuple[str, ...] = ()
    """Shown at the end of its help; each runs as it stands."""


COMMANDS = (
    Command(
        "segment",
        "segment.command",
        "segment",
        "Every object of photos, in any mask format.",
        (
            "everymask segment photo.jpg --overlay --cutouts",
            "everymask segment photos/ -r -f yolo --min-area 400 -o out",
        ),
    ),
    Command(
        "predict",
        "predict.command",
        "predict",
        "One object, from points, a box or a mask.",
        (
            "everymask predict photo.jpg -p 300,60 -p 20,30,0 --label cup",
            "everymask predict photo.jpg -b 85,80,530,370 --multimask --overlay",
        ),
    ),
    Command(
        "find",
        "find",
        "find",
        "What words name, in photos or a video.",
        (
            "everymask find photo.jpg --text cat --text dog",
            "everymask find photos/ -r --text bird --text vehicle -f yolo -o out",
        ),
    ),
    Command(
        "erase",
        "erase.command",
        "erase",
        "Take things out of a photo or video.",
        (
            "everymask erase photo.jpg --point 300,60 -o without.png",
            "everymask erase clip.mp4 --text dog -o without.mp4",
        ),
    ),
    Command(
        "replace",
        "replace",
        "replace",
        "Something else where something was.",
        (
            "everymask replace photo.jpg --point 300,60 --with vase",
            "everymask replace photo.jpg --box 85,80,530,370 --with vase --seed 7 -o vase.png",
        ),
    ),
    Command(
        "why",
        "why",
        "why",
        "Why a place of a photo has its mask, or none.",
        (
            "everymask why photo.jpg 300,60",
            "everymask why photo.jpg 300,60 20,30 --picture why.png --findings photo.findings",
        ),
    ),
    Command(
        "track",
        "track.command",
        "track",
        "Objects through a video, from clicks.",
        (
            "everymask track clip.mp4 -p 1:210,350@1=dog -o out",
            "everymask track clip.mp4 --everything -f overlay -f sa-v",
        ),
    ),
    Command(
        "studio",
        "studio",
        "studio",
        "Click, correct and export, in the browser.",
        (
            "everymask studio photos/",
            "everymask studio photo.jpg --model sam2.1_hiera_small",
        ),
    ),
    Command(
        "compare",
        "compare",
        "compare",
        "One photo under several options, side by side.",
        (
            "everymask compare photo.jpg --crop-n-layers 0,1 --points-per-side 16,32",
            "everymask compare photo.jpg --pred-iou-thresh 0.6,0.7,0.8 -o out/quality",
        ),
    ),
    Command(
        "tune",
        "tune",
        "tune",
        "The options that fit your photos best.",
        (
            "everymask tune slides/ --masks slides/annotations.json -o tuned.toml",
            "everymask tune photos/ --count 10,40 --points-per-side 16,32",
        ),
    ),
    Command(
        "convert",
        "convert",
        "convert",
        "Mask files from one format to another.",
        (
            "everymask convert out/coco.json -f yolo -o yolo",
            "everymask convert out/coco.json --photos . --colour-map --overlay --labels",
        ),
    ),
    Command(
        "batch",
        "batch",
        "batch",
        "A million photos, on a cluster or here.",
        (
            "everymask batch photos/ -r -o out --dry-run",
            "everymask batch s3://bucket/photos -o s3://bucket/masks --ray auto",
        ),
    ),
    Command(
        "models",
        "models",
        "app",
        "List, fetch, verify, convert and remove weights.",
        (
            "everymask models pull sam2.1_hiera_small",
            "everymask models convert mine.pt out/hf --to transformers",
        ),
    ),
    Command(
        "export",
        "export",
        "export",
        "A model as ONNX files, without PyTorch.",
        (
            "everymask export nano -o out/onnx",
            "everymask export nano --web out/page",
        ),
    ),
    Command(
        "doctor",
        "doctor",
        "doctor",
        "Whether everymask works on this machine.",
        (
            "everymask doctor",
            "everymask doctor --quick --json",
        ),
    ),
    Command(
        "demo",
        "demo",
        "demo",
        "A first picture, from a bundled photo.",
        (
            "everymask demo",
            "everymask demo -o first",
        ),
    ),
    Command(
        "evaluate",
        "evaluate",
        "evaluate",
        "Measure a model on data with known masks.",
        (
            "everymask evaluate photos/",
            "everymask evaluate photos/ -m sam_vit_b --json",
        ),
    ),
    Command(
        "train",
        "train",
        "train",
        "Fine-tune a model on your own photos.",
        (
            "everymask train photos/ --minutes 20 -o mine.safetensors",
            "everymask train photos/ --masks coco.json --parts all -o mine.safetensors",
        ),
    ),
    Command(
        "completion",
        "manual",
        "completion",
        "Complete commands and options in your shell.",
        (
            "everymask completion bash >> ~/.bashrc",
            "everymask completion zsh >> ~/.zshrc",
        ),
    ),
    Command(
        "man",
        "manual",
        "man",
        "The manual page.",
        (
            "everymask man > everymask.1",
            "everymask man track | man -l -",
        ),
    ),
)

COMPLETE_VARIABLE = "_EVERYMASK_COMPLETE"
"""Set by shells that ask for completions."""
STARTERS = ("demo", "segment", "predict", "track", "doctor")
"""What one starts with: all that a bare ``everymask`` shows."""

FOR_PYTHON = ", or pass outside='keep'"
"""Advice of an error that nobody can follow in the shell."""

EPILOG = "everymask COMMAND --help explains a command. Start with: everymask demo"


class _Front(Front):
    starters = STARTERS


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    _open_closed_streams()
    _print_any_name()
    _outlive_stderr()
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def _open_closed_streams() -> None:
    """A program started with a closed stdin, stdout or stderr gets the null device in its place."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # the lowest free numbers come first: no file of ours may get one of these three
    os.close(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 (for good)


def _print_any_name() -> None:
    """What a console or pipe has no characters for is printed by number instead of ending the run: Windows'
    pipes have 256 of them. In UTF-8, names that are no text keep their bytes."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        is_utf8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")


class _Unfailing(io.FileIO):
    """A stream that takes what it is given, also where it cannot be written to."""

    def write(self, data: Any, /) -> int:
        try:
            written: int | None = super().write(data)
        except OSError:
            return len(data)
        return len(data) if written is None else written  # None: it would have to wait


def _outlive_stderr() -> None:
    """What is said on stderr, in a log on a full disk say, may get lost; the work goes on."""
    stream = sys.stderr
    if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
        raw = io.BufferedWriter(_Unfailing(stream.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(raw, stream.encoding, stream.errors, line_buffering=True)


def run(arguments: list[str]) -> int:
    """Run a command line; the exit status. Whatever goes wrong on purpose is one line on stderr."""
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        return _run(arguments)


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning as one line on stderr, without the file and line that Python adds."""
    typer.echo(f"warning: {message}", err=True)


def _run(arguments: list[str]) -> int:
    if not arguments and COMPLETE_VARIABLE not in os.environ:
        return _complain(first_steps(), WRONG_USE)
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
        return _complain(f"error: {error}".removesuffix(FOR_PYTHON), WRONG_USE)
    except EverymaskError as error:
        return _complain(f"error: {error}", FAILED)
    except OSError as error:
        if os.name == "nt" and error.errno == errno.EINVAL and error.filename is None:
            return FAILED  # a closed pipe is called that there
        return _complain(f"error: {one_line(error)}", FAILED)
    except Exception as error:
        if not hasattr(error, "format_message"):  # what the command parser raises has it
            raise
        return _complain(_usage_text(error, _wanted(arguments)), WRONG_USE)
    return outcome if isinstance(outcome, int) else DONE


def first_steps() -> str:
    """What a bare ``everymask`` says: the commands one starts with."""
    summaries = {command.name: command.summary for command in COMMANDS}
    lines = [f"  {name:<9} {summaries[name]}" for name in STARTERS]
    more = "Begin with: everymask demo\nAll commands: everymask --help"
    return "\n".join(["Usage: everymask COMMAND ...", "", *lines, "", more])


def parser_of(name: str) -> Any:
    """The parser of one command, in full."""
    return _assembled(name).commands[name]


def _wanted(arguments: Sequence[str]) -> str | None:
    """The subcommand that a command line names."""
    if COMPLETE_VARIABLE in os.environ:  # a shell asks what could follow these words
        words = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
        arguments = words.split()[1:]
    return next((word for word in arguments if not word.startswith("-")), None)


def _assembled(wanted: str | None) -> Any:
    """The parser: the wanted command in full, the others by name and summary only."""
    # Plain help rather than rich's frames: it is twice as quick, and frames cut the official long option
    # names short on an 80-column terminal.
    app = typer.Typer(
        cls=_Front,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        epilog=EPILOG,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDEST},
    )
    app.callback()(_front)
    for command in COMMANDS:
        _mount(app, command, command.name == wanted)
    if COMPLETE_VARIABLE in os.environ:
        from typer.completion import completion_init

        completion_init()
    # A parser with a single command takes its name away; with all of them mounted this cannot happen.
    return typer.main.get_command(app)


def _mount(app: typer.Typer, command: Command, in_full: bool) -> None:
    if not in_full:
        app.command(command.name, cls=Leaf, help=command.summary)(_placeholder)
        return
    examples = "\n".join(command.examples)
    target = getattr(importlib.import_module(f"{__package__}.{command.module}"), command.attribute)
    if isinstance(target, typer.Typer):
        target.rich_markup_mode = None
        app.add_typer(target, name=command.name, cls=Group, epilog=examples)
    else:
        app.command(command.name, cls=Leaf, epilog=examples)(target)


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
