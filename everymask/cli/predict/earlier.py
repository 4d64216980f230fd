"""What earlier runs of ``everymask predict`` wrote: the next one may replace it, if nobody changed it."""

from __future__ import annotations

import json
from pathlib import Path

from ..shared.stamps import stamp_of


class Earlier:
    """The record of one output folder, in OUT/.everymask/predict.json."""

    def __init__(self, out: Path) -> None:
        self._file = out / ".everymask" / "predict.json"
        self._out = out
        try:
            content = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):
            content = {}
        self._stamps: dict[str, list[list[object]]] = content if isinstance(content, dict) else {}

    def may_replace(self, path: Path) -> bool:
        """Whether ``predict`` made a file or folder, and it is as it was left."""
        return self._stamps.get(self._name(path)) == _stamps(path)

    def note(self, paths: list[Path]) -> None:
        """Remember what was written."""
        self._stamps |= {self._name(path): _stamps(path) for path in paths}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self._stamps, indent=1), "utf-8")

    def _name(self, path: Path) -> str:
        return path.relative_to(self._out).as_posix()


def _stamps(path: Path) -> list[list[object]]:
    """Name, size and time of a file, or of all files of a folder."""
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    return [[each.name, *stamp_of(each)] for each in files]
