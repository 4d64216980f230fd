"""What a run does with its files, as flags: photos are segmented, or clips tracked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import OptionError

if TYPE_CHECKING:
    from ..words.segmenter import Sought
    from .work import Work

SEGMENT, TRACK = "segment", "track"
WORKS = (SEGMENT, TRACK)


@dataclass(frozen=True)
class Task:
    """The command line's flags are made from the fields. Raises :class:`OptionError` for wrong ones."""

    PANEL: ClassVar[str] = "Work"

    work: str = field(
        default=SEGMENT,
        metadata={
            "help": "segment: photos. track: video clips; every object is followed, or what --text or "
            "--prompts say.",
            "metavar": "NAME",
            "choices": WORKS,
        },
    )
    prompts: str | None = field(
        default=None,
        metadata={
            "help": "Of clips: a CSV or Parquet table, a row a click or box: clip, frame, object, x, y, "
            "label, x0, y0, x1, y1, name.",
            "metavar": "FILE",
        },
    )
    look_every: int = field(
        default=30, metadata={"help": "Of clips: look for objects again every N frames; 0: never."}
    )
    most_objects: int = field(default=16, metadata={"help": "Of clips: follow at most N objects in each."})

    @property
    def noun(self) -> str:
        """What one of its files is called."""
        return "clip" if self.work == TRACK else "photo"

    def __post_init__(self) -> None:
        if self.work not in WORKS:
            raise OptionError(f"work must be one of {', '.join(WORKS)}, got {self.work!r}")
        if self.work != TRACK and (given := self._given({"work"})):
            raise OptionError(f"{', '.join(given)}: for clips alone; say work track")

    def _given(self, besides: set[str]) -> list[str]:
        """Fields that are not as by default."""
        named = [each for each in fields(self) if each.name not in besides]
        return [each.name for each in named if getattr(self, each.name) != each.default]

    def checked(
        self, sought: Sought | None, options: Mapping[str, Any], photo_options: Mapping[str, bool]
    ) -> tuple[Work, dict[str, Any] | None]:
        """The work, and how files are read if not as photos are. ``photo_options`` says which options were
        given that only photos have.

        Raises OptionError, and PromptError for a table that cannot be used.
        """
        from .work import Photos

        if self.work == SEGMENT:
            return Photos(), None
        from .clips import Clips
        from .prompt_table import read_prompt_table

        foreign = [*options, *(name for name, given in photo_options.items() if given)]
        if foreign:
            raise OptionError(f"{', '.join(foreign)}: for photos alone, not for clips; leave it out")
        table = None if self.prompts is None else read_prompt_table(self.prompts)
        return Clips(self.look_every, self.most_objects, sought, table), {}
