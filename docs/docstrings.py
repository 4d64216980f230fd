"""Docstrings as the documentation site shows them: roles become code, examples code in a box, ``name:
meaning`` lines a list."""

import re
import textwrap
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):`~?([^`]+)`")
ARGUMENT = re.compile(r"(?P<indent> *)(?P<names>\w+(?:, \w+)*): (?P<meaning>\S.*)")


def as_markdown(text: str) -> str:
    """A docstring of ours in Markdown.

    >>> print(as_markdown("Uses :class:`Mask`.\\n\\na: one\\nb, c: two,\\n    or three"))
    Uses `Mask`.
    <BLANKLINE>
    - `a`: one
    - `b`, `c`: two,
        or three
    """
    return "\n\n".join(_as_code(block) or _as_list(block) for block in ROLE.sub(r"`\1`", text).split("\n\n"))


def _as_code(block: str) -> str:
    """An example in a fence; "" for anything else.

    >>> _as_code("    >>> f(1)\\n    2").splitlines()
    ['```pycon', '>>> f(1)', '2', '```']
    """
    lines = textwrap.dedent(block.strip("\n")).rstrip()
    return f"```pycon\n{lines}\n```" if lines.startswith(">>> ") else ""


def _as_list(block: str) -> str:
    """A paragraph whose first line explains a name, as a list; any other paragraph as it is."""
    lines = block.splitlines()
    if len(lines) < 2 or not ARGUMENT.fullmatch(lines[0]) or block.lstrip().startswith("Raises"):
        return block
    return "\n".join(_as_item(line) for line in lines)


def _as_item(line: str) -> str:
    argument = ARGUMENT.fullmatch(line)
    if not argument:
        return line
    names = ", ".join(f"`{name}`" for name in argument["names"].split(", "))
    return f"{argument['indent']}- {names}: {argument['meaning']}"


class Docstrings(griffe.Extension):
    """Rewrites each docstring while the site is built."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)
