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
from everymask.formats.raster import fill_rings
from everymask.formats.video_record import ClipMasks
from everymask.media.frame_source import FrameSource
from everymask.media.videos import open_frames

from ..actions import box_within, counted, painted, point_within, title_of
from ..beyond import Beyond, asked_beyond, class_news, learnt
from ..corners import corners_of
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
    mask_of,
    object_key,
    objects_of,
    pixels_of,
    prompt_key,
    prompted,
    values_of,
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

    def __init__(
        self,
        file: ClipFile,
        project: Project,
        tracker: VideoTracker,
        tell: Tell,
        known: ClipMasks | None = None,
    ) -> None:
        """``known`` are the masks to begin with, where the project has none yet.

        Raises VideoError for a clip that cannot be read, InputError for another one than the project's, and
        for masks of another one.
        """
        self.file, self.name = file, file.name
        self.frames: FrameSource = open_frames(file.source, cache_mb=DISPLAY_BYTES / 2**20)
        self.frame_hw = self.frames.frame_hw
        length = self.frames.length
        if length is None:
            raise InputError(f"{file.name} is a stream; the studio needs a clip that has an end")
        self.length = length
        self.frames_per_second = float(getattr(self.frames, "frames_per_second", 30.0))
        self._project = project
        self._store = ClipStore(project, file.name)
        self.is_new = self._store.get("clip") is None
        self._check_same(known)
        memory = project.path.with_suffix(".memory")
        self._following = Following(tracker, file.source, memory, self.id)
        self._tell = tell
        self._pictures: Kept[Picture] = Kept(DISPLAY_BYTES, lambda picture: picture.nbytes)
        self.run: Run | None = None

    @property
    def id(self) -> int:
        """The clip's number in the project."""
        return self._store.id

    def _check_same(self, masks: ClipMasks | None) -> None:
        facts = {"size": list(self.frame_hw), "length": self.length}
        known = self._store.get("clip")
        if known is None:
            if masks is not None and (masks.frame_hw, masks.length) != (self.frame_hw, self.length):
                raise InputError(
                    f"the masks known for {self.name} are of {masks.length} frames of {masks.frame_hw} "
                    f"pixels (height, width), the clip has {self.length} of {self.frame_hw}; was it cut?"
                )
            begun = {} if masks is None else values_of(masks, self._project.called_now)
            self._store.extend(self._store.standing.head, {"clip": facts, **begun})
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

    def outline(self, frame: int, object_id: int, detail_px: float) -> list[list[list[float]]]:
        """An object on a frame as :func:`corners_of`. Raises KeyError where it has no mask."""
        value = self._store.get(mask_key(frame, object_id))
        if value is None:
            raise KeyError(object_id)
        return corners_of(pixels_of(value, self.frame_hw), detail_px)

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
        classes = self._project.classes()
        asked = asked_beyond(action, classes)
        if asked is None:
            (changes, title), beyond = self._do(action), learnt(action, classes)
        else:
            changes, (beyond, title) = {}, asked
        # What the model knows before what the record says: killed in between, the one before is there too.
        self._following.keep(self._with(changes), step=True)
        return self._told(*self._store.change(version, changes, title, beyond), by)

    def undo(self, version: int, by: str = "") -> dict[str, Any]:
        """Take the last step back, a run of tracking as a whole; what changed."""
        self._end_run()
        return self._told(*self._store.undo(version), by)

    def redo(self, version: int, by: str = "") -> dict[str, Any]:
        """Do again what was taken back; what changed."""
        self._end_run()
        return self._told(*self._store.redo(version), by)

    def _told(self, patch: Changes, beyond: Beyond, by: str) -> dict[str, Any]:
        shown = {key: _shown_prompt(value) for key, value in patch.items()}
        news = class_news(beyond, self._project.classes()) if beyond else {}
        outcome = {**self.standing(), "patch": shown, "run": self.run and self.run.to_json(), **news}
        self._tell({"type": "clip", "clip": self.id, "by": by, **outcome})
        if news:
            self._tell({"type": "classes", "by": by, **news})
        return outcome

    @singledispatchmethod
    def _do(self, action: Any) -> tuple[Changes, str]:
        raise InputError(f"there is no action {type(action).__name__}")

    @_do.register
    def _(self, action: actions.ClipClick) -> tuple[Changes, str]:
        xy = point_within(action.x, action.y, self.frame_hw, "frame")
        step = {"kind": "point", "xy": list(xy), "include": action.include}
        return self._prompted(action.frame, action.object, action.label, step), title_of(action)

    @_do.register
    def _(self, action: actions.ClipBox) -> tuple[Changes, str]:
        step = {"kind": "box", "xy": list(box_within(action.box, self.frame_hw, "frame"))}
        return self._prompted(action.frame, action.object, action.label, step), title_of(action)

    @_do.register
    def _(self, action: actions.ClipBrush) -> tuple[Changes, str]:
        if action.object is None and action.erase:
            raise InputError("choose the object to erase from")
        known = None
        if action.object is not None:
            known = self._store.get(mask_key(action.frame, action.object))
        after = painted(pixels_of(known, self.frame_hw), action)
        return self._drawn(action.frame, action.object, action.label, after), title_of(action)

    @_do.register
    def _(self, action: actions.ClipPolygon) -> tuple[Changes, str]:
        pixels = fill_rings([np.array(ring) for ring in action.rings], self.frame_hw)
        if not pixels.any():
            raise InputError("nothing of this lies on the frame; say that the object is not there instead")
        changes = self._drawn(action.frame, action.object, action.label, pixels)
        return changes, "draw a polygon" if action.object is None else "move corners"

    @_do.register
    def _(self, action: actions.ClipAdd) -> tuple[Changes, str]:
        self._check_frame(action.frame)
        changes: Changes = {}
        first = max(objects_of(self._store.values), default=0) + 1
        for number, new in enumerate(action.masks, first):
            value = mask_of(new, self.frame_hw)
            changes[object_key(number)] = {"label": new.label, "locked": False}
            step = {"kind": "mask", "counts": value["counts"]}
            changes |= self._following.answer(self._with(changes), action.frame, number, step, value)
        return changes, counted("add", len(action.masks), "object")

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
        for step in rest:
            changes |= self._following.answer(self._with(changes), action.frame, action.object, step)
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
        self._following.forget(values, self._with(gone), wanted, action.first, action.last)
        return gone, "forget masks"

    @_do.register
    def _(self, action: actions.ClipDelete) -> tuple[Changes, str]:
        self._free(action.objects)
        wanted = {str(object_id) for object_id in action.objects}
        gone: Changes = dict.fromkeys(
            key for key in self.values if key != "clip" and key.rpartition("/")[2] in wanted
        )
        self._following.forget(self.values, self._with(gone), action.objects, 0, self.length)
        return gone, counted("delete", len(wanted), "object")

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

    def _prompted(
        self,
        frame: int,
        object_id: int | None,
        label: str | None,
        step: Step,
        drawn: MaskValue | None = None,
    ) -> Changes:
        self._check_frame(frame)
        number, changes = self._object(object_id, label)
        return changes | self._following.answer(self._with(changes), frame, number, step, drawn)

    def _drawn(self, frame: int, object_id: int | None, label: str | None, pixels: np.ndarray) -> Changes:
        value = drawn_value(pixels)
        # The mask is the one that was drawn, not what is left of it at the model's size.
        return self._prompted(frame, object_id, label, {"kind": "mask", "counts": value["counts"]}, value)

    def _with(self, changes: Changes) -> Changes:
        """The record after these changes."""
        values = {**self._store.values, **changes}
        return {key: value for key, value in values.items() if value is not None}

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
        self._told({}, {}, by)
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
        if self.run is not None and self.run.state == "running":
            self.run.end()
            self._following.keep(self.values, step=True)

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
        after = self._with(masks)
        self._following.agrees(after)
        self._following.keep(after, step=False)
        self._told(self._store.extend(seq, masks), {}, "")

    def _ended(self, run: Run) -> None:
        if run.state == "failed":
            self._following.doubt()
        self._following.keep(self.values, step=True)
        self._told({}, {}, "")


def _shown_prompt(value: Any) -> Any:
    """A value as pages are sent it: without pixels that only the server needs."""
    if isinstance(value, dict) and "steps" in value:
        return {
            "steps": [{key: each for key, each in step.items() if key != "counts"} for step in value["steps"]]
        }
    return value
