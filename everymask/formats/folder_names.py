"""Names of files in a folder that one format writes for all photos: after the photos, none twice."""

from __future__ import annotations

from itertools import count
from pathlib import PurePosixPath


class FolderNames:
    """Hands out relative paths; the same stem (``a.jpg``, ``a.png``) gets a number.

    >>> names = FolderNames()
    >>> names.new("in/a.jpg", ".png"), names.new("in/A.png", ".png"), names.new("../b", ".png")
    ('in/a.png', 'in/A_2.png', 'b.png')
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, photo: str, suffix: str) -> str:
        """The path of the file for a photo, with forward slashes."""
        parts = [part for part in photo.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        stem = PurePosixPath(*parts or ["photo"]).with_suffix("").as_posix()
        tries = (stem if number == 1 else f"{stem}_{number}" for number in count(1))
        name = next(each for each in tries if each.casefold() not in self._taken)
        self._taken.add(name.casefold())
        return f"{name}{suffix}"
