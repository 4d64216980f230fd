"""Help in groups with examples, completion, the manual page: all made of the one parser."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from everymask.cli import main as cli
from everymask.cli.help import GROUPS, folded, grouped
from everymask.cli.manual import page
from everymask.formats import FORMATS
from tests.docs.test_shell_examples import parsed

NAMES = [command.name for command in cli.COMMANDS]


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda each: each.name)
def test_every_command_has_two_examples_that_are_understood(command, monkeypatch):
    assert len(command.examples) == 2
    for example in command.examples:
        words = example.split(" > ")[0].split(" >> ")[0].split(" | ")[0].split()
        assert words[:2] == ["everymask", command.name]
        assert parsed(words[1:]) is not None


def test_help_is_in_groups_and_ends_with_the_examples(capsys):
    assert cli.run(["segment", "--help"]) == 0
    said = capsys.readouterr().out
    places = [said.index(f"\n{title}:") for title in (*GROUPS, "Examples")]
    assert places == sorted(places)
    assert said.index("--opacity") < said.index("--min-area") < said.index("--points-per-side")
    assert said.rstrip().endswith("-o out")


@pytest.mark.parametrize(("columns", "least"), [(60, 50), (80, 70), (120, 105), (200, 105)])
@pytest.mark.parametrize("name", NAMES)
def test_help_fills_the_terminal_up_to_120_columns(name, columns, least, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert cli.run([name, "--help"]) == 0
    longest = max(len(line) for line in capsys.readouterr().out.splitlines())
    assert longest <= min(columns, 120)
    if name in ("segment", "track"):  # with much to say
        assert longest >= least


def test_no_name_is_broken_at_its_hyphen(monkeypatch, capsys):
    for columns in range(50, 121, 5):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert cli.run(["predict", "--help"]) == 0
        said = capsys.readouterr().out
        assert not [line for line in said.splitlines() if line.endswith("-")]
        for name in FORMATS:
            assert re.search(rf"(?<![\w-]){name}(?![\w-])", said)


def test_a_long_example_is_folded_as_a_shell_takes_it():
    lines = folded("everymask segment photos/ --format yolo --output somewhere", 30)
    assert lines == ["everymask segment photos/ \\", "    --format yolo --output \\", "    somewhere"]
    assert folded("everymask demo", 30) == ["everymask demo"]


def test_colour_on_a_terminal_only():
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here (Windows)")
    main, other = pty.openpty()
    words = [sys.executable, "-m", "everymask", "predict", "--help"]
    subprocess.run(words, stdout=other, check=True)
    os.close(other)
    seen = os.read(main, 1 << 16)
    assert b"\x1b[1mInput" in seen
    assert b"\x1b" not in subprocess.run(words, capture_output=True, check=True).stdout


def test_alone_it_shows_the_five_commands_one_starts_with(capsys):
    assert cli.run([]) == 2
    said = capsys.readouterr().err
    shown = [line.split()[0] for line in said.splitlines() if line.startswith("  ")]
    assert shown == list(cli.STARTERS)
    assert len(cli.STARTERS) == 5
    assert max(len(line) for line in said.splitlines()) <= 60


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("everymask seg", ["segment"]),
        ("everymask convert --color", ["--color-map"]),
        ("everymask segment --format geo", ["geojson", "geopackage"]),
        ("everymask predict --style fi", ["fill"]),
        ("everymask track --model nan", ["nano"]),
    ],
)
def test_a_shell_completes_commands_options_and_values(words, offered):
    place = str(len(words.split()) - 1)
    asked = {"COMP_WORDS": words, "COMP_CWORD": place, cli.COMPLETE_VARIABLE: "complete_bash"}
    outcome = subprocess.run(
        [sys.executable, "-m", "everymask"],
        capture_output=True,
        text=True,
        env={**os.environ, **asked},
        check=False,
    )
    assert outcome.stdout.split() == offered, outcome.stderr


def test_the_script_of_each_shell_asks_with_our_variable(capsys):
    for shell in ("bash", "zsh", "fish", "powershell"):
        assert cli.run(["completion", shell]) == 0
        assert cli.COMPLETE_VARIABLE in capsys.readouterr().out
    assert cli.run(["completion", "csh"]) == 2
    assert "SHELL must be one of bash, zsh, fish, powershell, got 'csh'" in capsys.readouterr().err


def test_the_manual_has_every_option_of_every_command(capsys):
    assert cli.run(["man"]) == 0
    manual = capsys.readouterr().out
    for name in NAMES:
        parser = cli.parser_of(name)
        assert f".SS everymask {name}\n" in manual
        for leaf in getattr(parser, "commands", {name: parser}).values():
            for option in leaf.params:
                for word in option.opts if option.param_type_name == "option" else ():
                    assert word.replace("-", "\\-") in manual
    assert not [line for line in manual.splitlines() if line.startswith("'")]
    assert page({"demo": cli.parser_of("demo")}).count(".SS") == 1


def test_groups_of_other_names_come_before_the_last():
    titles = [title for title, _ in grouped(cli.parser_of("track"), _context(cli.parser_of("track")))]
    assert titles[0] == "Arguments"
    assert titles[-1] == "Options"


def _context(parser):
    from typer import Context

    return Context(parser)
