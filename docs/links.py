"""The changelog as a page of the site: it lies beside docs/, and its links into docs/ are to pages here."""

from pathlib import Path
from typing import Any


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """A page's Markdown; of the changelog that of the file in the root (mkdocs calls this hook)."""
    if page.file.src_uri != "changelog.md":
        return markdown
    text = (Path(__file__).parents[1] / "CHANGELOG.md").read_text("utf-8")
    return text.replace("](docs/", "](")
