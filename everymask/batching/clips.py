"""Clips of a run: every object followed, what words name, or what a table points at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from ..errors import NothingFoundError, OptionError, PromptError
from ..everything.settings import short_hash
from ..formats import clip_rows
from ..formats.photo_rows import PhotoRow
from ..formats.video_record import ClipMasks
from ..media.videos import VIDEO_SUFFIXES
from ..models.base import PromptableModel
from ..video.options import TrackerOptions
from ..video.prompting import Said, say
from ..video.session import VideoSession
from ..video.tracker import VideoTracker
from ..words.segmenter import Sought
from .listing import Entry
from .storage import Place
from .work import Opening


@dataclass(frozen=True)
class Clips:
    """Clips are tracked. Raises :class:`OptionError` for a bound out of range.

    Without words and prompts every object is: found by everything mode on the first frame and on every
    ``look_every``-th (0: on the first alone), at most ``most_objects``.
    """

    called: ClassVar[str] = "clips"
    suffixes: ClassVar[frozenset[str]] = VIDEO_SUFFIXES
    keeps_file: ClassVar[bool] = True

    look_every: int = 30
    most_objects: int = 16
    sought: Sought | None = None
    """What words name is followed."""
    prompts: Mapping[str, Sequence[tuple[Said, str | None]]] | None = field(default=None, repr=False)
    """By clip what is followed in it, with what it is called; clips that are not named are left out."""

    def __post_init__(self) -> None:
        if self.look_every < 0:
            raise OptionError(f"look_every must be at least 0 frames, got {self.look_every}")
        if self.most_objects < 1:
            raise OptionError(f"most_objects must be at least 1, got {self.most_objects}")
        if self.sought is not None and self.prompts is not None:
            raise OptionError("words and prompts are two ways to say what is followed; leave one of them out")

    def settled(self, entry: Entry) -> Entry | None:
        """With its prompts in its stamp: a clip whose prompts change is done anew, and no other."""
        if self.prompts is None:
            return entry
        if (said := self.prompts.get(entry.name)) is None:
            return None
        return replace(entry, stamp=f"{entry.stamp}-{short_hash({'said': [repr(each) for each in said]})}")

    def opened(self, model: PromptableModel, recipe: Opening) -> ClipMaker:
        """What follows objects with a model. Raises ``OptionError`` for one without memory."""
        return ClipMaker(model, recipe.model_hash, self, recipe.reading)

    def read(self, path: Path, reading: Mapping[str, Any]) -> Path:
        """A clip is read while it is tracked."""
        return path

    def answer(self, maker: ClipMaker, entry: Entry, read: Path, params_hash: str) -> ClipMasks:
        """The masks of all objects on all frames; none where nothing was found."""
        return replace(maker(read, entry.name), name=entry.name)

    def count(self, answer: ClipMasks) -> int:
        """Its masks, one an object and frame."""
        return sum(len(objects) for objects in answer.frames.values())

    def schema(self) -> Any:
        """A row a clip."""
        return clip_rows.schema()

    def table(self, rows: Sequence[PhotoRow]) -> Any:
        """A row a clip."""
        return clip_rows.to_table(rows)

    def concluded(self, parts: Sequence[Place]) -> dict[str, Any] | None:
        """Nothing beyond the rows."""
        return None


class ClipMaker:
    """Follows objects through clips, with the masks of ``everymask track`` with these options."""

    def __init__(
        self, model: PromptableModel, model_hash: str, work: Clips, reading: Mapping[str, Any]
    ) -> None:
        self.model, self.model_hash = model, model_hash
        self._work, self._reading = work, dict(reading)
        self._tracker = VideoTracker(model, TrackerOptions())
        self._detector = None if work.sought is None else work.sought.detector_for(model)
        how: dict[str, Any] = {"clips": "prompts"}
        if work.prompts is None:
            how = {"clips": "everything" if work.sought is None else "words"}
            how |= {"look_every": work.look_every, "most_objects": work.most_objects}
        self.settings = {"model": model.spec.name, "model_hash": model_hash, **how, **self._reading}
        if work.sought is not None:
            self.settings |= work.sought.settings(self._detector)

    def __call__(self, path: Path, name: str) -> ClipMasks:
        """The masks of a clip called ``name``."""
        with self._tracker.open(path) as session:
            try:
                frames, names = self._followed(session, name)
            except NothingFoundError:
                frames, names = {}, {}
            source = session.source
            rate = getattr(source, "frames_per_second", 30.0)
            return ClipMasks(path.stem, session.frame_hw, source.length or 0, rate, frames, dict(names))

    def _followed(self, session: VideoSession, name: str) -> tuple[dict[int, Any], Mapping[int, str]]:
        if self._work.prompts is not None:
            said = self._work.prompts[name]
            self._say(session, [each for each, _ in said])
            first = min(each.frame for each, _ in said)
            names = {each.object_id: called for each, called in said if called}
            return {frame.index: frame.object_masks() for frame in session.propagate(first)}, names
        watch = self._watch(session)
        watch.begin(None)
        frames = {}
        for frame in session.propagate(min(session.conditioning_frames())):
            if watch.is_time(frame.index) and watch.look(frame.index):
                frame = session.show(frame.index)
            frames[frame.index] = frame.object_masks()
        return frames, watch.names

    def _watch(self, session: VideoSession) -> Any:
        from ..words.clips import Limits, WordWatch
        from ..words.every_object import EveryObject

        work, sought = self._work, self._work.sought
        if sought is None:
            return EveryObject(self.model, session, 0, work.look_every, work.most_objects)
        limits = Limits(sought.at_most, work.most_objects)
        assert self._detector is not None
        return WordWatch(
            session,
            self._detector,
            sought.words,
            self.model,
            sought.threshold,
            limits,
            every=work.look_every,
        )

    def _say(self, session: VideoSession, said: Sequence[Said]) -> None:
        for each in said:
            if not session.source.has(each.frame):
                raise PromptError(f"there is no frame {each.frame + 1}; the clip has {session.length or 0}")
            say(session, each)
