"""The command itself: quick, plain, usable anywhere, and every error one line."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys

import pytest

from everymask.cli import main as cli
from everymask.errors import DownloadError, OptionError, UnknownModelError


def shell(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a shell does, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "everymask", *words],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_help_lists_every_command():
    outcome = shell("--help")
    assert outcome.returncode == 0
    for command in cli.COMMANDS:
        assert f"  {command.name} " in outcome.stdout


def test_help_takes_little_of_a_processor():
    """Under 0.4 s of processor time; the best of three, for machines that are busy."""
    best = min(_cpu_seconds("--help") for _ in range(3))
    assert best < 0.4


def _cpu_seconds(*words: str) -> float:
    before = os.times()
    shell(*words)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


@pytest.mark.parametrize("words", [["--help"], ["segment", "--help"], ["convert", "--help"], ["--version"]])
def test_help_imports_neither_torch_nor_rich(words):
    program = f"import sys; from everymask.cli.main import run; run({words!r}); print('torch' in sys.modules)"
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert outcome.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("name", [command.name for command in cli.COMMANDS])
def test_every_command_explains_itself_in_sixty_columns(name):
    outcome = shell(name, "--help", COLUMNS="60", TERM="dumb")
    assert outcome.returncode == 0, outcome.stderr
    assert "Usage: everymask" in outcome.stdout
    assert max(len(line) for line in outcome.stdout.splitlines()) <= 60
    assert "\x1b" not in outcome.stdout


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_every_command_is_where_the_table_says(command):
    module = importlib.import_module(f"everymask.cli.{command.module}")
    assert callable(getattr(module, command.attribute))


def test_nothing_at_all_shows_the_help():
    outcome = shell()
    assert outcome.returncode == 2
    assert "everymask demo" in outcome.stderr


def test_version():
    import everymask

    assert shell("--version").stdout == f"everymask {everymask.__version__}\n"


def test_an_unknown_command_is_one_line_and_a_pointer():
    outcome = shell("segmnt")
    assert outcome.returncode == 2
    assert outcome.stdout == ""
    assert outcome.stderr.splitlines()[0].startswith("error: No such command 'segmnt'")
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OptionError("a wrong option"), 2),
        (UnknownModelError("no such model"), 2),
        (DownloadError("the server is away"), 1),
        (OSError(28, "No space left on device", "out/coco.json"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_are_one_line_with_a_status(monkeypatch, capsys, error, status):
    def fails(wanted):
        raise error

    monkeypatch.setattr(cli, "_assembled", fails)
    assert cli.run(["segment"]) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1


def test_an_error_of_ours_is_not_hidden(monkeypatch):
    monkeypatch.setattr(cli, "_assembled", lambda wanted: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.run(["segment"])


def test_progress_off_a_terminal_is_plain_lines(capsys):
    from everymask.cli.shared.progress import showing_progress

    with showing_progress(total=3, kept=1) as progress:
        progress.photo_done("a.jpg", 5, 0.2)
        progress.photo_failed("b.jpg", "broken")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[0].startswith("[2/3] a.jpg: 5 masks in 0.20 s; ")
    assert said.err.splitlines()[0].endswith(" left")
    assert said.err.splitlines()[1] == "failed: b.jpg: broken"


def test_progress_of_a_scene_off_a_terminal_names_its_step(capsys, monkeypatch):
    from everymask.cli.shared import progress as shown

    monkeypatch.setattr(shown, "QUIET_S", 0.0)
    with shown.showing_progress(total=1, kept=0) as progress:
        progress.within_scene("a.tif", 1, 2, 30, "tiles")
        progress.within_scene("a.tif", 2, 2, 61, "tiles")
        progress.within_scene("a.tif", 3, 1200, 61, "asking tiles again, round 1")
        progress.photo_done("a.tif", 50, 12)
    assert capsys.readouterr().err.splitlines() == [
        "a.tif: tiles, 1 of 2, 30 masks",
        "a.tif: asking tiles again, round 1, 3 of 1,200, 61 masks",
        "[1/1] a.tif: 50 masks in 12.0 s",
    ]


def test_progress_of_a_scene_on_a_terminal_is_a_bar_a_step():
    from rich.progress import Progress as Bar

    from everymask.cli.shared.progress import Progress

    bar = Bar(disable=True)
    progress = Progress(2, 0, bar)
    (photos,) = bar.tasks
    for done in (1, 2):
        progress.within_scene("a.tif", done, 2, 30, "tiles")
    progress.within_scene("a.tif", 1, 40, 61, "asking tiles again, round 1")
    _, step = bar.tasks
    assert (step.completed, step.total) == (1, 40)
    assert step.fields["speed"].startswith("a.tif: asking tiles again, round 1, 61 masks, ")
    assert photos.completed == 0
    progress.photo_done("a.tif", 50, 12)
    assert (len(bar.tasks), photos.completed) == (1, 1)


def test_times_are_told_when_enough_is_done_and_none_is_left_at_the_end(monkeypatch):
    from rich.progress import Progress as Bar

    from everymask.cli.shared import progress as shown

    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(shown.time, "monotonic", lambda: next(now))
    bar = Bar(disable=True, get_time=lambda: 0.0)
    progress = shown.Progress(2, 0, bar)
    (photos,) = bar.tasks

    def said():
        return photos.fields["speed"]

    progress.within_photo(8, 1024)
    assert said() == ""
    progress.within_photo(512, 1024)
    assert re.fullmatch(r"\d+\.\d s a photo, .+ left", said())
    progress.photo_done("a.jpg", 3, 1.0)
    assert said().endswith(" left")
    progress.within_photo(1024, 1024)
    assert re.fullmatch(r"\d+\.\d s a photo", said())


def test_a_reader_that_leaves_is_no_error():
    program = f"{sys.executable} -m everymask segment --help | head -1"
    outcome = subprocess.run(program, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout.startswith("Usage:")


def test_a_warning_is_one_line_on_stderr(monkeypatch, capsys):
    import warnings

    def command(arguments, **options):
        warnings.warn("half precision is slow here", UserWarning, stacklevel=2)

    monkeypatch.setattr(cli, "_assembled", lambda wanted: command)
    with warnings.catch_warnings(action="default"):
        assert cli.run(["segment"]) == 0
    assert capsys.readouterr().err == "warning: half precision is slow here\n"
