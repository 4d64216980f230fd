"""The pages of the documentation in a window 1300 pixels wide: nothing has to be scrolled sideways."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.studio.browser import launched

ROOT = Path(__file__).parents[2]
WIDE = """() => [...document.querySelectorAll('pre > code, .md-typeset__scrollwrap')]
  .filter((block) => block.scrollWidth > block.clientWidth + 1)
  .map((block) => block.textContent.trim().slice(0, 60))"""


@pytest.mark.full
def test_neither_code_nor_pages_scroll_sideways_at_1300_pixels(tmp_path):
    pytest.importorskip("mkdocs", reason="the docs extra is not installed: make docs does it")
    words = ["build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    subprocess.run([sys.executable, "-m", "mkdocs", *words], cwd=ROOT, check=True)
    pages = sorted((tmp_path / "site").rglob("index.html"))
    assert len(pages) > 20
    scrolled = {}
    with launched() as browser:
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        for path in pages:
            page.goto(path.as_uri())
            name = path.parent.relative_to(tmp_path / "site").as_posix()
            beyond = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            if found := page.evaluate(WIDE) + ["the page itself"] * (beyond > 0):
                scrolled[name] = found
    assert scrolled == {}
