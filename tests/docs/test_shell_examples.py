"""Every ``everymask`` command in the README and the docs, and every flag in our messages, exists."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from everymask.cli import main as cli
from everymask.formats import FORMATS
from everymask.formats.video_table import VIDEO_FORMATS
from tests.docs.pages import PAGES, ROOT, examples


def commands(page: str) -> list[list[str]]:
    """The words after ``everymask`` of each such command in a page's shell blocks."""
    lines = "".join(examples(page, "shell")).replace("\\\n", " ").splitlines()
    parts = [part for line in lines for part in re.split(r"[|;]|&&|>", line.split(" #")[0])]
    found = [re.fullmatch(r"(?:\w+=\S* +)*everymask +(.*)", part.strip()) for part in parts]
    return [shlex.split(match[1]) for match in found if match]


WRITTEN = [(page, words) for page in PAGES for words in commands(page)]


def test_the_pattern_finds_the_commands():
    assert len(WRITTEN) > 20
    assert ("README.md", ["demo"]) in WRITTEN


@pytest.mark.parametrize(
    ("page", "words"), WRITTEN, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_a_command_of_the_docs_is_understood(page, words):
    said = parsed(words)
    assert said is not None, f"{page}: everymask {' '.join(words)} does nothing"
    of_clips = VIDEO_FORMATS if words[0] == "convert" else {}
    unknown = set(said.get("formats") or []) - set(FORMATS) - set(of_clips)
    if words[0] != "track":  # its formats are those of clips, and more
        assert not unknown


def parsed(words: list[str]) -> dict[str, Any] | None:
    """What the parser makes of the words; raises what it raises for words that it does not know."""
    heard: list[dict[str, Any]] = []
    parser = cli._assembled(cli._wanted(words))
    for command in parser.commands.values():
        for leaf in getattr(command, "commands", {"": command}).values():
            leaf.callback = lambda **values: heard.append(values)
    parser(words, prog_name="everymask", standalone_mode=False)
    return heard[0] if heard else None


def test_flags_named_in_messages_exist():
    """A message that says "pass --dtype" when there is no such flag sends people astray."""
    known = {"--help", "--version"}
    for command in cli.COMMANDS:
        parser = cli._assembled(command.name).commands[command.name]
        for leaf in [parser, *getattr(parser, "commands", {}).values()]:
            known |= {word for option in leaf.params for word in (*option.opts, *option.secondary_opts)}
    foreign = {"--force-reinstall", "--nodata", "--no-"}  # pip's, rasterio's; how names of flags begin
    foreign |= {"--directory", "--bind", "--silent"}  # python -m http.server's, npm's
    named = {
        (path.relative_to(ROOT).as_posix(), flag)
        for path in (ROOT / "everymask").rglob("*.py")
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", path.read_text("utf-8"))
    }
    assert {(path, flag) for path, flag in named if flag not in known | foreign} == set()
