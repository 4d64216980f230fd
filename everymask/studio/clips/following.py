"""The library's tracker session, kept in agreement with the record of a clip.

The record is the truth: it is what is in the project file, what undo brings back, what the page shows. The
session holds the model's memories of it. Where the record says something else than what the session
followed (after undo, after a crash, when the clip is opened again) the session is put back to what it was
when the record said this (``memory.py``). Where that was not kept it is made anew: prompted frames are
prompted with their masks, and what was tracked next to where one goes on is put in as tracked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from everymask import VideoTracker
from everymask.models.features import fingerprint
from everymask.video.result import TrackedFrame
from everymask.video.session import VideoSession
from everymask.video.snapshot import Snapshot

from .memory import ClipMemory, Digest
from .record import MaskValue, Step, Values, by_frame, mask_key, mask_value, pixels_of, prompt_key, prompted
from .store import Changes

NEAR = 6
"""So many tracked frames before the one where tracking goes on are remembered: as many as SAM 2 looks at."""


class Following:
    """Answers prompts and follows objects through one clip. One thread at a time."""

    def __init__(self, tracker: VideoTracker, source: Any, memory: Path, clip: int) -> None:
        """``source`` is whatever ``VideoTracker.open`` takes, ``memory`` the file of snapshots."""
        self._tracker, self._source = tracker, source
        self._memory = ClipMemory(memory, clip)
        self._digest = Digest()
        self._weights: str | None = None
        self._session: VideoSession | None = None
        self._stands = ""  # the digest of the record that the session agrees with
        self._aside: Snapshot | None = None  # all objects, while only some of them are followed

    def answer(
        self, values: Values, frame: int, object_id: int, step: Step, drawn: MaskValue | None = None
    ) -> Changes:
        """What one step more on a frame changes in the record; ``values`` are those before it.

        ``drawn`` is the mask to be kept in place of the model's. Raises PromptError and VideoError.
        """
        session = self._ready(values, {object_id})
        self._know(session, values, object_id, [frame])
        key = prompt_key(frame, object_id)
        said = values.get(key) or {"steps": [], "base": values.get(mask_key(frame, object_id))}
        self.doubt()  # should this fail half-way
        if step["kind"] == "mask":
            shown = session.add_prompt(frame, object_id, mask=pixels_of(step, session.frame_hw))
        elif step["kind"] == "box":
            shown = session.add_prompt(frame, object_id, box=step["xy"])
        else:
            before = said["steps"]
            shown = session.add_prompt(
                frame,
                object_id,
                points=[step["xy"]],
                labels=[int(step["include"])],
                keep_points=bool(before) and before[-1]["kind"] != "mask",
            )
        kept = said["steps"] if step["kind"] == "point" else []
        answer = mask_value(shown.object_masks()[object_id])
        changes = {key: {**said, "steps": [*kept, step]}, mask_key(frame, object_id): drawn or answer}
        self.agrees({**values, **changes})
        return changes

    def follow(
        self, values: Values, objects: set[int], start: int, stop: int | None, reverse: bool
    ) -> Iterator[dict[int, MaskValue]]:
        """The masks of some prompted objects on frame after frame from ``start`` on, up to before ``stop``.

        Say with :meth:`agrees` what the record says after each. Raises as ``VideoSession.propagate`` does.
        """
        session = self._ready(values, objects)
        self._aside = session.snapshot()
        for other in set(session.object_ids) - objects:
            session.remove_object(other)
        step = -1 if reverse else 1
        near = range(start - step * NEAR, start, step)
        for object_id in session.object_ids:
            self._know(session, values, object_id, near)
        for shown in session.propagate(start, stop, reverse):
            yield _values_of(shown)

    def forget(self, values: Values, after: Values, objects: Iterable[int], first: int, last: int) -> None:
        """Forget objects on the frames from ``first`` to ``last``: ``values`` becomes ``after``."""
        if self._session is None or self._stands != self._digest(values):
            return
        session = self._together(self._session)
        for object_id in set(objects) & set(session.object_ids):
            session.forget(object_id, first, last)
        self.agrees(after)

    def agrees(self, values: Values) -> None:
        """Say that the session followed what led to this record."""
        self._stands = self._digest(values)

    def doubt(self) -> None:
        """Say that the session may hold something that did not get into the record."""
        self._stands = ""

    def keep(self, values: Values, *, step: bool) -> None:
        """Keep what the session knows for when the record says this again; ``step``: a person's step ends."""
        if self._session is None or self._stands != self._digest(values):
            return
        snapshot = self._whole(self._session)
        if snapshot.tensors:
            self._memory.keep(self._key(self._stands), snapshot, step)

    def close(self) -> None:
        """Let go of the clip."""
        if self._session is not None:
            self._session.close()
        self._session = None
        self._memory.close()

    def _ready(self, values: Values, objects: set[int]) -> VideoSession:
        """A session that agrees with the record and knows at least these objects, if they were prompted."""
        wanted = objects & prompted(values)
        stands = self._digest(values)
        if self._session is None:
            self._session = self._tracker.open(self._source)
            self.doubt()
        session = self._together(self._session)
        if self._stands == stands and wanted <= set(session.object_ids):
            return session
        self.doubt()  # should a frame that is prompted anew be unreadable
        if not self._put_back(session, stands, wanted):
            self._make_anew(session, values)
        self._stands = stands
        return session

    def _put_back(self, session: VideoSession, stands: str, wanted: set[int]) -> bool:
        """Have the session know what it knew when the record said the same; whether that was kept."""
        if self._memory.is_empty:
            return False
        kept = self._memory.at(self._key(stands), self._tracker.model.device)
        if kept is None or not wanted <= {each["object_id"] for each in kept.objects}:
            return False
        session.restore(kept)
        return True

    def _make_anew(self, session: VideoSession, values: Values) -> None:
        """Have the session know the prompted frames by their masks, and nothing else."""
        session.reset()
        for frame, object_id in by_frame(values, "prompt"):
            mask = pixels_of(values.get(mask_key(frame, object_id)), session.frame_hw)
            session.add_prompt(frame, object_id, mask=mask)

    def _whole(self, session: VideoSession) -> Snapshot:
        """What is known of all objects, those too that are not followed at the moment."""
        now = session.snapshot()
        return now if self._aside is None else now.beside(self._aside)

    def _together(self, session: VideoSession) -> VideoSession:
        """The session with all objects, when some were followed alone."""
        if self._aside is not None:
            if len(self._aside.objects) > len(session.object_ids):
                session.restore(self._whole(session))
            self._aside = None
        return session

    def _key(self, stands: str) -> str:
        """What snapshots are kept under: the weights, and what the record says."""
        if self._weights is None:
            self._weights = fingerprint(self._tracker.model)[:16]
        return f"{self._weights} {stands}"

    def _know(self, session: VideoSession, values: Values, object_id: int, frames: Iterable[int]) -> None:
        """Have the session know what the record says was tracked on these frames."""
        if object_id not in session.object_ids:
            return
        for frame in frames:
            value = values.get(mask_key(frame, object_id))
            if value is not None and not session.knows(frame, object_id):
                session.add_tracked(frame, object_id, pixels_of(value, session.frame_hw))


def _values_of(shown: TrackedFrame) -> dict[int, MaskValue]:
    return {object_id: mask_value(mask) for object_id, mask in shown.object_masks().items()}
