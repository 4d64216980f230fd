"""One clip of a session: frames as pictures, objects, tracking; what every endpoint asks and does.

Reading frames may be done from any thread. What asks the model (:meth:`Clip.act`, ``undo``, ``redo`` and the
steps of a run) must be called on the thread of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import Any

import cv2
import numpy as np

from everymask import InputError, VideoTracker
from everymask.media.frame_source import FrameSource
from everymask.media.videos import open_frames

from ..actions import stroke_pixels
from ..photos import Kept, Picture, jpeg, levels_of
from ..project import Project
from . import actions
from .following import Following
from .record import (
    MaskValue,
    Step,
    by_frame,
    drawn_value,
    mask_key,
    object_key,
    objects_of,
    pixels_of,
    prompt_key,
    prompted,
)
from .run import Run, Span
from .store import Changes, ClipStore

DISPLAY_BYTES = 200_000_000
"""Decoded frames that are kept for showing them."""

Tell = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class ClipFile:
    """A clip that was named on the command line."""

    source: Any  # whatever open_frames takes
    name: str


class Clip:
    """A clip with its objects."""

    def __init__(self, file: ClipFile, project: Project, tracker: VideoTracker, tell: Tell) -> None:
        """Raises VideoError for a clip that cannot be read, InputError for another one than the project's."""
        self.file, self.name = file, file.name
        self.frames: FrameSource = open_frames(file.source, cache_mb=DISPLAY_BYTES / 2**20)
        self.frame_hw = self.frames.frame_hw
        length = self.frames.length
        if length is None:
            raise InputError(f"{file.name} is a stream; the studio needs a clip that has an end")
        self.length = length
        self.frames_per_second = float(getattr(self.frames, "frames_per_second", 30.0))
        self._store = ClipStore(project, file.name)
        self._check_same()
        self._following = Following(tracker, file.source)
        self._tell = tell
        self._pictures: Kept[Picture] = Kept(DISPLAY_BYTES, lambda picture: picture.nbytes)
        self.run: Run | None = None

    @property
    def id(self) -> int:
        """The clip's number in the project."""
        return self._store.id

    def _check_same(self) -> None:
        facts = {"size": list(self.frame_hw), "length": self.length}
        known = self._store.get("clip")
        if known is None:
            self._store.extend(self._store.standing.head, {"clip": facts})
        elif known != facts:
            (h, w), (height, width) = known["size"], self.frame_hw
            raise InputError(
                f"the project knows {self.name} as {known['length']} frames of {w} x {h} pixels, this one "
                f"has {self.length} of {width} x {height}; open the earlier clip, or begin another --project"
            )

    def close(self) -> None:
        """Let go of the files. A run ends."""
        self.stop()
        self._following.close()
        self.frames.close()

    # --- what there is ----------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """What the page shows first; masks without their pixels, which :meth:`masks` gives."""
        values = self._store.values
        strip = [
            [frame, object_id, mask["score"], mask["visibility"], mask["area"]]
            for (frame, object_id), mask in by_frame(values, "mask").items()
        ]
        shown = {
            key: _shown_prompt(value)
            for key, value in values.items()
            if key.startswith(("prompt/", "object/"))
        }
        return {
            "id": self.id,
            "name": self.name,
            "size": list(self.frame_hw),
            "length": self.length,
            "frames_per_second": self.frames_per_second,
            "levels": levels_of(self.frame_hw),
            "values": shown,
            "strip": strip,
            "run": None if self.run is None else self.run.to_json(),
            **self.standing(),
        }

    def standing(self) -> dict[str, Any]:
        """Version and history."""
        standing = self._store.standing
        return {"version": standing.version, "undo": standing.undo, "redo": standing.redo}

    def row(self) -> dict[str, Any]:
        """The clip in a list."""
        count = len(objects_of(self._store.values))
        return {"id": self.id, "name": self.name, "length": self.length, "objects": count}

    def masks(self, first: int, last: int) -> dict[str, Any]:
        """The masks on the frames from ``first`` to ``last``, both among them, by key."""
        found = by_frame(self._store.values, "mask")
        return {
            mask_key(frame, object_id): value
            for (frame, object_id), value in found.items()
            if first <= frame <= last
        }

    def picture(self, frame: int) -> Picture:
        """A frame and its pyramid. Raises VideoError."""
        known = self._pictures.get(frame)
        return known or self._pictures.put(frame, Picture(self.frames.frame(frame)))

    def small(self, frame: int, side: int) -> bytes:
        """A frame no longer than ``side``, a JPEG. Raises VideoError."""
        pixels = self.frames.frame(frame)
        scale = min(1.0, side / max(pixels.shape[:2]))
        if scale < 1:
            size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        return jpeg(pixels)

    @property
    def values(self) -> dict[str, Any]:
        """The record as it is now."""
        return self._store.values

    # --- steps ------------------------------------------------------------------------------------

    def act(self, version: int, action: Any, by: str = "") -> dict[str, Any]:
        """Do an action; what changed. A run ends before. Raises InputError, StaleError; nothing changed."""
        self._store.check(version)
        self._end_run()
        try:
            changes, title = self._do(action)
            patch = self._store.change(version, changes, title)
        except Exception:
            self._following.forget()
            raise
        return self._told(patch, by)

    def undo(self, version: int, by: str = "") -> dict[str, Any]:
        """Take the last step back, a run of tracking as a whole; what changed."""
        self._end_run()
        return self._travelled(self._store.undo(version), by)

    def redo(self, version: int, by: str = "") -> dict[str, Any]:
        """Do again what was taken back; what changed."""
        self._end_run()
        return self._travelled(self._store.redo(version), by)

    def _travelled(self, patch: Changes, by: str) -> dict[str, Any]:
        self._following.forget()
        return self._told(patch, by)

    def _told(self, patch: Changes, by: str) -> dict[str, Any]:
        shown = {key: _shown_prompt(value) for key, value in patch.items()}
        outcome = {**self.standing(), "patch": shown, "run": self.run and self.run.to_json()}
        self._tell({"type": "clip", "clip": self.id, "by": by, **outcome})
        return outcome

    @singledispatchmethod
    def _do(self, action: Any) -> tuple[Changes, str]:
        raise InputError(f"there is no action {type(action).__name__}")

    @_do.register
    def _(self, action: actions.ClipClick) -> tuple[Changes, str]:
        height, width = self.frame_hw
        if not (0 <= action.x < width and 0 <= action.y < height):
            raise InputError(
                f"({action.x:g}, {action.y:g}) is outside of the frame of {width} x {height} pixels"
            )
        step = {"kind": "point", "xy": [action.x, action.y], "include": action.include}
        title = "include a point" if action.include else "exclude a point"
        return self._prompted(action.frame, action.object, action.label, step), title

    @_do.register
    def _(self, action: actions.ClipBox) -> tuple[Changes, str]:
        height, width = self.frame_hw
        xs = sorted(float(np.clip(x, 0, width)) for x in action.box[0::2])
        ys = sorted(float(np.clip(y, 0, height)) for y in action.box[1::2])
        if xs[1] - xs[0] < 1 or ys[1] - ys[0] < 1:
            raise InputError(f"a box must hold at least one pixel of the frame, got {list(action.box)}")
        step = {"kind": "box", "xy": [xs[0], ys[0], xs[1], ys[1]]}
        return self._prompted(action.frame, action.object, action.label, step), "box"

    @_do.register
    def _(self, action: actions.ClipBrush) -> tuple[Changes, str]:
        if action.object is None and action.erase:
            raise InputError("choose the object to erase from")
        touched = stroke_pixels(action.points, action.radius, self.frame_hw)
        known = None
        if action.object is not None:
            known = self._store.get(mask_key(action.frame, action.object))
        before = pixels_of(known, self.frame_hw)
        after = before & ~touched if action.erase else before | touched
        changes = self._drawn(action.frame, action.object, action.label, after)
        return changes, "erase" if action.erase else "paint"

    @_do.register
    def _(self, action: actions.ClipAbsent) -> tuple[Changes, str]:
        nothing = np.zeros(self.frame_hw, bool)
        return self._drawn(action.frame, action.object, None, nothing), "not on this frame"

    @_do.register
    def _(self, action: actions.ClipRemovePrompt) -> tuple[Changes, str]:
        self._free([action.object])
        key = prompt_key(action.frame, action.object)
        said = self._store.get(key)
        if said is None or action.index >= len(said["steps"]):
            raise InputError(f"there is no prompt {action.index} of object {action.object} on this frame")
        rest = said["steps"][: action.index] + said["steps"][action.index + 1 :]
        # As before the first of them: then the others are said again, each to the answer before it.
        changes = {key: None, mask_key(action.frame, action.object): said["base"]}
        self._following.forget()
        for step in rest:
            changes |= self._answered(action.frame, action.object, step, changes)
        return changes, "remove a prompt"

    @_do.register
    def _(self, action: actions.ClipForget) -> tuple[Changes, str]:
        self._free(action.objects)
        values, wanted = self.values, set(action.objects)
        gone: Changes = {}
        for kind, key_of in (("mask", mask_key), ("prompt", prompt_key)):
            for frame, object_id in by_frame(values, kind):
                if object_id in wanted and action.first <= frame <= action.last:
                    gone[key_of(frame, object_id)] = None
        self._following.forget()
        return gone, "forget masks"

    @_do.register
    def _(self, action: actions.ClipDelete) -> tuple[Changes, str]:
        self._free(action.objects)
        wanted = {str(object_id) for object_id in action.objects}
        gone: Changes = dict.fromkeys(
            key for key in self.values if key != "clip" and key.rpartition("/")[2] in wanted
        )
        self._following.forget()
        return gone, f"delete {len(wanted)} object{'' if len(wanted) == 1 else 's'}"

    @_do.register
    def _(self, action: actions.ClipLabel) -> tuple[Changes, str]:
        objects = self._free(action.objects)
        changed = {object_key(id): {**value, "label": action.label} for id, value in objects.items()}
        return changed, "label"

    @_do.register
    def _(self, action: actions.ClipLock) -> tuple[Changes, str]:
        objects = self._known(action.objects)
        changed = {object_key(id): {**value, "locked": action.locked} for id, value in objects.items()}
        return changed, "lock" if action.locked else "unlock"

    def _prompted(self, frame: int, object_id: int | None, label: str | None, step: Step) -> Changes:
        self._check_frame(frame)
        number, changes = self._object(object_id, label)
        return changes | self._answered(frame, number, step, changes)

    def _drawn(self, frame: int, object_id: int | None, label: str | None, pixels: np.ndarray) -> Changes:
        value = drawn_value(pixels)
        changes = self._prompted(frame, object_id, label, {"kind": "mask", "counts": value["counts"]})
        # The mask is the one that was drawn, not what is left of it at the model's size.
        return {key: value if key.startswith("mask/") else other for key, other in changes.items()}

    def _answered(self, frame: int, object_id: int, step: Step, changes: Changes) -> Changes:
        """The changes that one step more makes, on top of those before it."""
        values = {**self._store.values, **changes}
        now = {key: value for key, value in values.items() if value is not None}
        answer = self._following.answer(now, frame, object_id, step)
        key = prompt_key(frame, object_id)
        said = now.get(key) or {"steps": [], "base": now.get(mask_key(frame, object_id))}
        kept = said["steps"] if step["kind"] == "point" else []
        return {key: {**said, "steps": [*kept, step]}, mask_key(frame, object_id): answer}

    def _object(self, object_id: int | None, label: str | None) -> tuple[int, Changes]:
        """The object's number, and what makes it if it is a new one."""
        if object_id is None:
            number = max(objects_of(self._store.values), default=0) + 1
            return number, {object_key(number): {"label": label, "locked": False}}
        self._free([object_id])
        return object_id, {}

    def _known(self, ids: list[int]) -> dict[int, dict[str, Any]]:
        objects = objects_of(self._store.values)
        for object_id in ids:
            if object_id not in objects:
                raise InputError(f"there is no object {object_id} in this clip")
        return {object_id: objects[object_id] for object_id in dict.fromkeys(ids)}

    def _free(self, ids: list[int]) -> dict[int, dict[str, Any]]:
        objects = self._known(ids)
        for object_id, value in objects.items():
            if value["locked"]:
                raise InputError(f"object {object_id} is locked; unlock it to change it")
        return objects

    def _check_frame(self, frame: int) -> None:
        if frame >= self.length:
            raise InputError(f"there is no frame {frame}; the clip has {self.length} frames, from 0")

    # --- tracking ---------------------------------------------------------------------------------

    def begin_run(self, version: int, frame: int, count: int | None, reverse: bool, by: str = "") -> Run:
        """Get ready to track from ``frame`` on, ``count`` frames or to the end; a run under way ends.

        Objects that are locked or were never prompted are left out. Where all others have a mask on
        ``frame`` it stays as it is, and the next frame is the first one done. Raises InputError where
        nothing is left to follow or to do, and StaleError.
        """
        self._store.check(version)
        self._end_run()
        self._check_frame(frame)
        values = self.values
        free = {object_id for object_id, value in objects_of(values).items() if not value["locked"]}
        followed = free & prompted(values)
        if not followed:
            raise InputError("there is nothing to follow; click on an object first, or unlock one")
        step = -1 if reverse else 1
        whole = all(mask_key(frame, object_id) in values for object_id in followed)
        start = frame + step if whole else frame
        end = -1 if reverse else self.length
        stop = end if count is None else start + step * min(count, abs(end - start))
        if start == stop:
            raise InputError(f"this is the {'first' if reverse else 'last'} frame; there is none to track")
        title = f"track {'back ' if reverse else ''}from frame {frame + 1}"  # for people, who count from 1
        seq = self._store.begin(version, title)
        self._told({}, by)
        self.run = Run(
            Span(start, stop, reverse),
            sorted(followed),
            begin=lambda: self._answers(followed, Span(start, stop, reverse)),
            keep=lambda frame, answers: self._keep(seq, frame, answers),
            ended=self._ended,
        )
        return self.run

    def stop(self) -> None:
        """End the run that is under way, if there is one, before its next frame; what it tracked stays."""
        if self.run is not None:
            self.run.wanted = False

    def _end_run(self) -> None:
        """End the run at once: on the thread of the model no frame of it is under way."""
        if self.run is not None:
            self.run.end()

    def _answers(self, objects: set[int], span: Span) -> Iterator[dict[int, MaskValue]]:
        stop = None if span.stop in (-1, self.length) else span.stop
        return self._following.follow(self.values, objects, span.start, stop, span.reverse)

    def _keep(self, seq: int, frame: int, answers: Mapping[int, MaskValue]) -> None:
        """What tracking found on a frame; where an object was prompted, that stands."""
        masks = {
            mask_key(frame, object_id): value
            for object_id, value in answers.items()
            if self._store.get(prompt_key(frame, object_id)) is None
        }
        self._told(self._store.extend(seq, masks), "")

    def _ended(self, run: Run) -> None:
        if run.state == "failed":
            self._following.forget()
        self._told({}, "")


def _shown_prompt(value: Any) -> Any:
    """A value as pages are sent it: without pixels that only the server needs."""
    if isinstance(value, dict) and "steps" in value:
        return {
            "steps": [{key: each for key, each in step.items() if key != "counts"} for step in value["steps"]]
        }
    return value
