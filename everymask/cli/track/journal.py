"""What a run of ``everymask track`` has done, so that the same command goes on where it was stopped.

``OUT/.everymask/masks.jsonl`` gets a line when a frame is tracked; ``session.safetensors`` holds what the
model remembers, and is written every so many frames. After a kill the frames since then are tracked again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ...errors import InputError
from ...formats.landing import landing, remove
from ...formats.text import read_json, write_json
from ...formats.video_record import ObjectMask
from ...masks.rle import from_coco, to_coco
from ..shared.folder_lock import alone_in

if TYPE_CHECKING:
    from ...words.clips import Look

CALLED = {
    "video": "another video",
    "stamp": "the video has changed since",
    "weights": "another model",
    "prompts": "other prompts",
    "options": "other options",
    "everything": "another --everything",
    "words": "other words, or another --detector",
    "both_ways": "another --both-ways",
    "stop": "another --stop",
    "generator": "other --options",
}
"""What it means when a setting differs."""


class TrackJournal:
    """The record of one output folder."""

    def __init__(self, out: Path) -> None:
        self.home = out / ".everymask"
        self.session = self.home / "session.safetensors"
        self.scratch = self.home / "unfinished"
        """A folder for files that are being written; a kill leaves nothing elsewhere."""
        self._masks = self.home / "masks.jsonl"
        self._settings = self.home / "track.json"
        self._looks = self.home / "looks.json"
        self._file: IO[str] | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the output folder for this run; raises InputError when another run has it."""
        with alone_in(self.home):
            remove(self.scratch)
            try:
                yield
            finally:
                if self._file is not None:
                    self._file.close()
                remove(self.scratch)

    def can_go_on(self, settings: Mapping[str, Any]) -> bool:
        """Whether an earlier run of the same command can be continued.

        Raises InputError if the folder holds the tracks of another command. Nothing is written.
        """
        if not self._settings.is_file():
            return False
        earlier, now = read_json(self._settings), json.loads(json.dumps(settings))
        if earlier == now:
            return self.session.is_file()
        if self._masks.is_file() or self.session.is_file():
            other = [name for name in {**earlier, **now} if earlier.get(name) != now.get(name)]
            changed = ", ".join(CALLED.get(name, name) for name in other)
            raise InputError(
                f"{self.home.parent} holds tracks made otherwise ({changed}); pass --overwrite or choose "
                "another -o"
            )
        return False

    def earlier_prompts(self, settings: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """The prompts of an earlier run that differs in nothing else and can be continued, or None."""
        if not self._settings.is_file() or not self.session.is_file():
            return None
        earlier, now = read_json(self._settings), json.loads(json.dumps(settings))
        others = [name for name in {**earlier, **now} if name not in ("prompts", "masks")]
        alike = all(earlier.get(name) == now.get(name) for name in others)
        return earlier["prompts"] if alike else None

    def replace_settings(self, settings: Mapping[str, Any]) -> None:
        """Note that the tracks were continued with more prompts."""
        with landing(self._settings, self.scratch) as temporary:
            write_json(temporary, dict(settings))

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Start a record, in place of what is there."""
        for path in (self._masks, self.session, self._looks):
            remove(path)
        self.replace_settings(settings)

    def add(self, index: int, objects: Mapping[int, ObjectMask]) -> None:
        """Note a tracked frame."""
        if self._file is None:
            self._file = self._masks.open("a", encoding="utf-8")
        record = {
            str(object_id): {**to_coco(mask.rle), "score": mask.score, "visibility": mask.visibility}
            for object_id, mask in objects.items()
        }
        self._file.write("\n" + json.dumps({"frame": index, "objects": record}))
        self._file.flush()

    def note_looks(self, looks: Iterable[Look]) -> None:
        """Note what words found on which frames, in place of what was noted before."""
        record = {look.frame: {str(each): list(said) for each, said in look.found.items()} for look in looks}
        with landing(self._looks, self.scratch) as temporary:
            write_json(temporary, record)

    def looks(self, before: int) -> list[Look]:
        """What was found on the frames before one."""
        from ...words.clips import Look

        record = read_json(self._looks) if self._looks.is_file() else {}
        return [
            Look(int(frame), {int(each): (word, score) for each, (word, score) in found.items()})
            for frame, found in record.items()
            if int(frame) < before
        ]

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
