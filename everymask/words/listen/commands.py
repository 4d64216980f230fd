"""What can be said, and what it means: a small grammar of commands, not a language model.

    find the dog                segment every car and the truck        remove the bottle
    undo    redo    next photo    previous photo

The same forms are read from text (of any recogniser) and written as a JSGF grammar for one that hears nothing
else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from everymask.errors import PromptError

Action = Literal["find", "erase", "undo", "redo", "next", "previous"]
VERBS: dict[str, Action] = {
    "find": "find",
    "segment": "find",
    "select": "find",
    "show": "find",
    "remove": "erase",
    "erase": "erase",
    "delete": "erase",
}
SPOKEN = ("find", "segment", "show", "remove", "erase")
"""The verbs that a recogniser listens for: "select" and "delete" sound too much alike to mean opposites."""
FIXED: dict[str, Action] = {
    "undo": "undo",
    "redo": "redo",
    "next photo": "next",
    "next image": "next",
    "previous photo": "previous",
    "previous image": "previous",
}
NEAR = 0.75
"""How alike a heard name and one of the vocabulary must be, by difflib's ratio: plurals, slips of the ear."""
DETERMINERS = ("all the", "all", "every", "the", "a")


@dataclass(frozen=True)
class Command:
    """What to do, and with which things."""

    action: Action
    words: tuple[str, ...] = ()


def read_command(text: str) -> Command:
    """The command that a sentence is. Raises ``PromptError`` that says what can be said.

    >>> read_command("Segment every red car and the dog.")
    Command(action='find', words=('red car', 'dog'))
    >>> read_command("next photo")
    Command(action='next', words=())
    """
    heard = " ".join(re.sub(r"[^\w\s'-]", " ", text.lower()).split())
    heard = heard.removeprefix("please ").removesuffix(" please")
    if heard in FIXED:
        return Command(FIXED[heard])
    verb, _, rest = heard.partition(" ")
    rest = rest.removeprefix("me ")
    if verb in VERBS and rest:
        parts = re.split(r"\s+(?:and|or|comma)\s+|,", rest)
        words = tuple(dict.fromkeys(filter(None, map(without_determiner, parts))))
        if words:
            return Command(VERBS[verb], words)
    raise PromptError(
        f"heard {text!r}, which is no command; say {', '.join(VERBS)} and a name, or {', '.join(FIXED)}"
    )


def within_vocabulary(command: Command, vocabulary: Sequence[str]) -> Command:
    """The command with its names as a vocabulary writes those that are the same, or near in spelling.

    >>> within_vocabulary(Command("find", ("cars", "traffic lights", "hats")), ["Car", "traffic light"]).words
    ('Car', 'traffic light', 'hats')
    """
    known = {" ".join(name.lower().split()): name for name in vocabulary}
    words = []
    for word in command.words:
        near = get_close_matches(word, known, 1, NEAR)
        words.append(known[near[0]] if near else word)
    return Command(command.action, tuple(dict.fromkeys(words)))


def without_determiner(text: str) -> str:
    """A name without "the", "every", "all the" before it."""
    for word in DETERMINERS:
        if text.strip().startswith(f"{word} "):
            return text.strip().removeprefix(f"{word} ").strip()
    return text.strip()


def grammar(names: Sequence[str]) -> str:
    """The commands about ``names`` as JSGF, the grammar that speech recognisers read."""
    verbs, fixed = " | ".join(SPOKEN), " | ".join(FIXED)
    before = " | ".join(DETERMINERS)
    listed = " | ".join(" ".join(name.lower().split()) for name in names)
    return (
        "#JSGF V1.0;\ngrammar commands;\n"
        f"<name> = {listed};\n<thing> = [{before}] <name>;\n"
        f"public <command> = ({verbs}) [me] <thing> [and <thing>] | {fixed};\n"
    )
