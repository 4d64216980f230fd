"""The pages people read, and the examples in them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
}


def examples(page: str, language: str) -> list[str]:
    """The code blocks of a page in a language, from the top, each without its indentation."""
    found = re.findall(
        rf"^( *)```{language}\n(.*?)^\1```", PAGES[page].read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    return [textwrap.dedent(code) for _, code in found]
