"""Where weights, and what else is kept between runs, lie on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .catalog import entry_of

ASSETS = Path(__file__).resolve().parents[1] / "assets"
EXPORT_NOTE = "everymask.json"
"""The file that makes a folder one that ``everymask export`` wrote."""


def home() -> Path:
    """The cache folder, which need not exist yet."""
    if chosen := os.environ.get("EVERYMASK_HOME"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "everymask"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "everymask" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "everymask"


def path_of(name: str) -> Path:
    """Where the weights called ``name`` lie, or will lie."""
    entry = entry_of(name)
    return (ASSETS if entry.bundled else home() / "models") / entry.file
