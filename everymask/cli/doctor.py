"""``everymask doctor``: what this machine has, what is missing, and whether the main job works here."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated

import typer

from .checks import SOURCES, Check, self_test

MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "problem": ("PROBLEM", "red")}
NARROW, WIDE = 40, 100
MARK_WIDTH, NAME_WIDTH = 8, 23


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Without the self-test.")] = False,
) -> None:
    """Versions, device, threads, precision, cache and extras, and a timed self-test on a bundled photo.

    Says what to do about each problem. Exit status: 0 if everymask works here, 1 if not.
    """
    sources = [source for source in SOURCES if not (quick and source is self_test)]
    found: list[Check] = []
    for source in sources:
        for check in source():
            if not as_json:
                _show(check, starts_group=not found or found[-1].group != check.group)
            found.append(check)
    problems = [check for check in found if check.state == "problem"]
    if as_json:
        typer.echo(json.dumps({"works": not problems, "checks": [asdict(each) for each in found]}, indent=2))
    else:
        typer.echo("")
        for sentence in in_words(found):
            typer.echo(_filled("", sentence))
        typer.echo(f"\n{verdict(found)}")
    raise typer.Exit(1 if problems else 0)


def in_words(checks: Iterable[Check]) -> list[str]:
    """What the checks mean for you, a sentence or two a matter.

    >>> in_words([Check("machine", "device", "ok", "cpu, x86_64")])
    ['Models run on the processor.']
    """
    known = {check.name: check for check in checks}
    sentences = []
    if "device" in known:
        device = known["device"].value
        where = "the processor" if device.startswith("cpu") else f"the graphics card ({device})"
        cores = f", with {known['threads'].value}" if "threads" in known and device.startswith("cpu") else ""
        sentences.append(f"Models run on {where}{cores}.")
    missing = [check.name for check in known.values() if check.group == "extras" and check.state != "ok"]
    if missing:
        install = f"pip install 'everymask[{','.join(missing)}]'"
        sentences.append(f"Optional parts that are not here: {', '.join(missing)}. To get them: {install}")
    if "cached" in known and known["cached"].value.startswith("none"):
        sentences.append(
            "Of the models only nano is here, small and quick. The official ones find more and draw finer "
            "edges: everymask models pull sam2.1_hiera_small"
        )
    elif "cached" in known:
        sentences.append(f"Besides nano you have {known['cached'].value}.")
    if "everything" in known and known["everything"].seconds is not None:
        sentences.append(
            f"nano finds every object of a small photo in {known['everything'].seconds:.1f} s here, and "
            f"answers a click in {known['one click'].seconds or 0:.2f} s."
        )
    noted = [check.name for check in known.values() if check.state == "note" and check.group != "extras"]
    if noted:
        sentences.append(f"Worth a look above: {', '.join(noted)}.")
    return sentences


def verdict(checks: Iterable[Check]) -> str:
    """The last line: does it work, and where to look.

    >>> verdict([Check("machine", "device", "ok", "cpu")])
    'everymask works on this machine.'
    """
    problems = [check.name for check in checks if check.state == "problem"]
    if not problems:
        return "everymask works on this machine."
    return f"{len(problems)} problem{'s' if len(problems) > 1 else ''}: {', '.join(problems)}"


def _show(check: Check, starts_group: bool) -> None:
    if starts_group:
        typer.echo(typer.style(f"\n{check.group}", bold=True))
    text, colour = MARKS[check.state]
    time = f" in {check.seconds:.2f} s" if check.seconds is not None else ""
    line = _filled(f"{text:<{MARK_WIDTH}}{check.name:<{NAME_WIDTH}} ", check.value + time)
    typer.echo(typer.style(line[:MARK_WIDTH], fg=colour) + line[MARK_WIDTH:])
    if check.advice:
        typer.echo(_filled(" " * MARK_WIDTH + "-> ", check.advice))


def _filled(head: str, text: str) -> str:
    """``head`` and ``text`` within the terminal's width, the further lines under the text."""
    return textwrap.fill(
        text,
        min(max(shutil.get_terminal_size().columns, NARROW), WIDE),
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
