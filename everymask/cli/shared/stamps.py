"""How a changed file is known."""

from __future__ import annotations

from pathlib import Path


def stamp_of(path: Path) -> tuple[int, int]:
    """What changes when a file is changed."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns
