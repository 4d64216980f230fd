"""The library's tracker session, kept in agreement with the record of a clip.

The record is the truth: it is what is in the project file, what undo brings back, what the page shows. The
session holds the model's memories of it. Where the two may differ (after undo, after a crash, when the clip
is opened again) the session is made anew: prompted frames are prompted with their masks, and what was
tracked next to where one goes on is put in as tracked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from everymask import VideoTracker
from everymask.video.result import TrackedFrame
from everymask.video.session import VideoSession

from .record import MaskValue, Step, Values, by_frame, mask_key, mask_value, pixels_of, prompt_key, prompted

NEAR = 6
"""So many tracked frames before the one where tracking goes on are remembered: as many as SAM 2 looks at."""


class Following:
    """Answers prompts and follows objects through one clip. One thread at a time."""

    def __init__(self, tracker: VideoTracker, source: Any) -> None:
        """``source`` is whatever ``VideoTracker.open`` takes."""
        self._tracker, self._source = tracker, source
        self._session: VideoSession | None = None

    def forget(self) -> None:
        """The record was changed by something else: look at it again the next time."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def answer(self, values: Values, frame: int, object_id: int, step: Step) -> MaskValue:
        """The object's mask on a frame after one step more; ``values`` are those before it.

        Raises PromptError and VideoError, and the session is as it was.
        """
        session = self._ready(values, {object_id})
        self._know(session, values, object_id, [frame])
        said = values.get(prompt_key(frame, object_id), {"steps": []})["steps"]
        if step["kind"] == "mask":
            shown = session.add_prompt(frame, object_id, mask=pixels_of(step, session.frame_hw))
        elif step["kind"] == "box":
            shown = session.add_prompt(frame, object_id, box=step["xy"])
        else:
            shown = session.add_prompt(
                frame,
                object_id,
                points=[step["xy"]],
                labels=[int(step["include"])],
                keep_points=bool(said) and said[-1]["kind"] != "mask",
            )
        return mask_value(shown.object_masks()[object_id])

    def follow(
        self, values: Values, objects: set[int], start: int, stop: int | None, reverse: bool
    ) -> Iterator[dict[int, MaskValue]]:
        """The masks of some prompted objects on frame after frame from ``start`` on, up to before ``stop``.

        Raises as ``VideoSession.propagate`` does.
        """
        session = self._ready(values, objects)
        for other in set(session.object_ids) - objects:
            session.remove_object(other)
        step = -1 if reverse else 1
        near = range(start - step * NEAR, start, step)
        for object_id in session.object_ids:
            self._know(session, values, object_id, near)
        for shown in session.propagate(start, stop, reverse):
            yield _values_of(shown)

    def close(self) -> None:
        """Let go of the clip."""
        self.forget()

    def _ready(self, values: Values, objects: set[int]) -> VideoSession:
        """A session that knows the prompts of at least these objects."""
        wanted = objects & prompted(values)
        if self._session is not None and wanted <= set(self._session.object_ids):
            return self._session
        self.forget()
        session = self._tracker.open(self._source)
        for frame, object_id in by_frame(values, "prompt"):
            mask = pixels_of(values.get(mask_key(frame, object_id)), session.frame_hw)
            session.add_prompt(frame, object_id, mask=mask)
        self._session = session
        return session

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
