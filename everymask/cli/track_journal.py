"""What a run of ``everymask track`` has done, so that the same command goes on where it was stopped.

``OUT/.everymask/masks.jsonl`` gets a line when a frame is tracked; ``session.safetensors`` holds what the
model remembers, and is written every so many frames. After a kill the frames since then are tracked again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ..errors import InputError
from ..formats.landing import landing, remove
from ..formats.text import read_json, write_json
from ..formats.video_record import ObjectMask
from ..masks.rle import encode, from_coco, to_coco
from ..video.result import TrackedFrame
from .folder_lock import alone_in


class TrackJournal:
    """The record of one output folder."""

    def __init__(self, out: Path) -> None:
        self.home = out / ".everymask"
        self.session = self.home / "session.safetensors"
        self._masks = self.home / "masks.jsonl"
        self._settings = self.home / "track.json"
        self._file: IO[str] | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the output folder for this run; raises InputError when another run has it."""
        with alone_in(self.home):
            try:
                yield
            finally:
                if self._file is not None:
                    self._file.close()

    def agree(self, settings: Mapping[str, Any], overwrite: bool) -> bool:
        """Whether an earlier run of the same command can be continued.

        Raises InputError if the folder holds the tracks of another command, unless ``overwrite``.
        """
        settings = json.loads(json.dumps(settings))
        if self._settings.is_file() and not overwrite:
            if read_json(self._settings) != settings:
                raise InputError(
                    f"{self.home.parent} holds tracks of another video, model or prompts; "
                    "pass --overwrite or choose another -o"
                )
            return self.session.is_file()
        for path in (self._masks, self.session):
            remove(path)
        with landing(self._settings) as temporary:
            write_json(temporary, settings)
        return False

    def add(self, frame: TrackedFrame) -> None:
        """Note a tracked frame."""
        if self._file is None:
            self._file = self._masks.open("a", encoding="utf-8")
        objects = {
            str(object_id): {**to_coco(encode(mask)), "score": float(score), "visibility": float(visibility)}
            for object_id, mask, score, visibility in zip(
                frame.object_ids, frame.masks, frame.scores, frame.visibility, strict=True
            )
        }
        self._file.write("\n" + json.dumps({"frame": frame.index, "objects": objects}))
        self._file.flush()

    def frames(self) -> dict[int, dict[int, ObjectMask]]:
        """All frames noted; the later line of a frame counts, and a line cut short by a kill is none."""
        if not self._masks.is_file():
            return {}
        frames = {}
        for line in self._masks.read_text("utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            frames[int(record["frame"])] = {
                int(object_id): ObjectMask(from_coco(mask), mask["score"], mask["visibility"])
                for object_id, mask in record["objects"].items()
            }
        return frames
