"""What a run does with its files, as flags: photos are segmented, clips tracked, a model is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import OptionError

if TYPE_CHECKING:
    from ..words.segmenter import Sought
    from .work import Work

SEGMENT, TRACK, EVALUATE = "segment", "track", "evaluate"
WORKS = (SEGMENT, TRACK, EVALUATE)
FOR = {TRACK: ("prompts", "look_every", "most_objects"), EVALUATE: ("masks", "clicks", "only_prompts")}
"""Which fields are for which work alone."""


@dataclass(frozen=True)
class Task:
    """The command line's flags are made from the fields. Raises :class:`OptionError` for wrong ones."""

    PANEL: ClassVar[str] = "Work"

    work: str = field(
        default=SEGMENT,
        metadata={
            "help": "segment: photos. track: video clips; every object is followed, or what --text or "
            "--prompts say. evaluate: photos with known masks; the model is measured.",
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
    masks: str | None = field(
        default=None,
        metadata={
            "help": "To evaluate: masks of any format, a file for all or a folder; by default beside photos.",
            "metavar": "PATH",
        },
    )
    clicks: int = field(
        default=0, metadata={"help": "To evaluate: also so many clicks that correct one another."}
    )
    only_prompts: bool = field(default=False, metadata={"help": "To evaluate: without everything mode."})

    @property
    def noun(self) -> str:
        """What one of its files is called."""
        return "clip" if self.work == TRACK else "photo"

    def __post_init__(self) -> None:
        if self.work not in WORKS:
            raise OptionError(f"work must be one of {', '.join(WORKS)}, got {self.work!r}")
        for work, names in FOR.items():
            defaults = {each.name: each.default for each in fields(self)}
            given = [name for name in names if getattr(self, name) != defaults[name]]
            if given and self.work != work:
                raise OptionError(f"{', '.join(given)}: for work {work} alone")

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
        foreign = [name for name, given in photo_options.items() if given]
        if self.work == EVALUATE:
            return self._evaluation(sought, options, foreign)
        foreign = [*options, *foreign]
        if foreign:
            raise OptionError(f"{', '.join(foreign)}: for photos alone, not for clips; leave it out")
        from .clips import Clips
        from .prompt_table import read_prompt_table

        table = None if self.prompts is None else read_prompt_table(self.prompts)
        return Clips(self.look_every, self.most_objects, sought, table), {}

    def _evaluation(
        self, sought: Sought | None, options: Mapping[str, Any], foreign: list[str]
    ) -> tuple[Work, dict[str, Any]]:
        from .scoring import Evaluation

        foreign += ["text"] * (sought is not None)
        foreign += [*options] * self.only_prompts
        if foreign:
            raise OptionError(f"{', '.join(foreign)}: does not go with work evaluate; leave it out")
        return Evaluation(self.masks, self.clicks, not self.only_prompts, options), {}
