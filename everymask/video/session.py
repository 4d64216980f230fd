"""One clip being tracked: prompts in, masks of frame after frame out.

Answers to ``SAM2VideoPredictor`` of sam2, whose ``inference_state`` is this session. What the model does
for the objects is in ``following.py``. Letters: N points or objects, h x w the embedding grid.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from everymask.errors import OptionError, PromptError, SessionError
from everymask.media.frame_source import FrameSource
from everymask.models.memory import ABSENT, Seen
from everymask.models.sam2 import Sam2
from everymask.prompts import Outside, Prompts, read_prompts
from everymask.video.bank import around, forgettable
from everymask.video.following import Follower
from everymask.video.frames import FrameFeatures
from everymask.video.options import TrackerOptions
from everymask.video.progress import Progress
from everymask.video.result import TrackedFrame
from everymask.video.snapshot import Snapshot
from everymask.video.track import Known, PointPrompt, Track


class VideoSession:
    """Objects in one clip; made by :meth:`everymask.VideoTracker.open`.

    Frames count from 0. All results are on the frame's own pixels.
    """

    def __init__(self, model: Sam2, source: FrameSource, options: TrackerOptions) -> None:
        self.source = source
        self.progress: Progress | None = None
        """How far :meth:`propagate` came; None before it ran."""
        self._model = model
        self.options = options
        self._features = FrameFeatures(model, source, options.feature_cache)
        self._tracks: dict[int, Track] = {}
        self._save_to: tuple[str | os.PathLike[str], int] | None = None

    # --- what there is ----------------------------------------------------------------------------

    @property
    def options(self) -> TrackerOptions:
        """How objects are followed; new options count from the next frame on."""
        return self._follower.options

    @options.setter
    def options(self, options: TrackerOptions) -> None:
        self._follower = Follower(self._model, options)

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The objects, in the order in which they were first prompted."""
        return tuple(self._tracks)

    @property
    def length(self) -> int | None:
        """The number of frames; None while a stream goes on."""
        return self.source.length

    @property
    def frame_hw(self) -> tuple[int, int]:
        return self.source.frame_hw

    def prompted_frames(self, object_id: int) -> list[int]:
        """The frames on which an object was prompted."""
        return self._track(object_id).prompted_frames

    def conditioning_frames(self) -> set[int]:
        """The frames that some object is tracked from."""
        return {
            frame
            for track in self._tracks.values()
            for frame in (*track.conditioning, *track.new_conditioning)
        }

    def __repr__(self) -> str:
        objects = ", ".join(map(str, self._tracks)) or "none"
        return f"VideoSession({self.source!r}, objects: {objects})"

    # --- prompts ----------------------------------------------------------------------------------

    def add_prompt(
        self,
        frame: int,
        object_id: int,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        mask: Any = None,
        *,
        keep_points: bool = False,
        outside: Outside = "refuse",
    ) -> TrackedFrame:
        """Say where an object is on a frame; all objects' masks on that frame come back.

        ``points`` [N, 2] and ``box`` XYXY are in pixels of the frame, ``labels`` [N] are 1 (object) or 0
        (not the object); ``mask`` [H, W] bool is taken as it is, instead of points and box. A new
        ``object_id`` makes a new object, also in the middle of tracking; the others keep their tracks.
        On a frame that was prompted before, the new prompt replaces the old one; its mask is taken as
        the start. ``keep_points=True`` adds to the earlier points instead.

        Raises PromptError (nothing is changed then), and VideoError if the frame cannot be read.
        """
        frame, object_id = self._check_frame(frame), _check_object_id(object_id)
        if mask is not None and (points is not None or box is not None):
            raise PromptError("a mask already says all; pass mask= without points= and box=")
        prompts = read_prompts(
            self.frame_hw,
            self._model.logits_size,
            points=points,
            labels=labels,
            box=box,
            mask=mask,
            outside=outside,
        )
        if prompts.many:
            raise PromptError("one call prompts one object; call add_prompt once for each object")
        if mask is None:
            return self.prompt_with_points(frame, object_id, prompts, keep_points)
        return self.prompt_with_mask(frame, object_id, _photo_mask(prompts))

    @torch.inference_mode()
    def prompt_with_points(
        self, frame: int, object_id: int, prompts: Prompts, keep_points: bool
    ) -> TrackedFrame:
        """:meth:`add_prompt` of points and box that are checked."""
        track = self._tracks.get(object_id) or Track(object_id)
        prompt = self._follower.point_prompt(prompts, self.frame_hw)
        if keep_points and frame in track.points:
            prompt = _joined(track.points[frame], prompt, prompts.boxes_xyxy_px is not None)
        previous = self._said(track, frame)
        known = self._follower.answer_points(
            track, frame, self._features[frame], prompt, previous, self.length
        )
        track.points[frame] = prompt
        track.masks.pop(frame, None)
        return self._keep(track, frame, known)

    @torch.inference_mode()
    def prompt_with_mask(self, frame: int, object_id: int, mask: Tensor) -> TrackedFrame:
        """:meth:`add_prompt` of a mask [H, W] of any size, bool or 0 to 1."""
        track = self._tracks.get(object_id) or Track(object_id)
        square = self._follower.model_mask(mask)
        known = self._follower.answer_mask(self._features[frame], square)
        track.masks[frame] = square > 0
        track.points.pop(frame, None)
        return self._keep(track, frame, known)

    @torch.inference_mode()
    def add_tracked(self, frame: int, object_id: int, mask: Any) -> None:
        """Take a mask [H, W] bool for what tracking found on a frame: in an earlier session, or in a file.

        Tracking from there, and corrections on the frame, go on from it; unlike a prompt it does not stay
        in memory for good, and where the object was prompted the prompt stands. The object must have been
        prompted somewhere. Raises SessionError and PromptError; nothing is changed then.
        """
        frame, track = self._check_frame(frame), self._track(_check_object_id(object_id))
        prompts = read_prompts(self.frame_hw, self._model.logits_size, mask=mask)
        square = self._follower.model_mask(_photo_mask(prompts))
        if frame in track.prompted_frames:
            return
        seen = self._follower.answer_mask(self._features[frame], square).seen
        track.recent[frame] = self._follower.remembered(seen, self._features[frame])
        track.tracked[frame] = False

    def knows(self, frame: int, object_id: int) -> bool:
        """Whether an object's mask on a frame is remembered: it was prompted or tracked there, not too long
        ago (``keep_frames``)."""
        return object_id in self._tracks and self._tracks[object_id].latest(frame) is not None

    def _keep(self, track: Track, frame: int, known: Known) -> TrackedFrame:
        """Note the answer to a prompt; it becomes a memory when tracking goes on."""
        self._tracks[track.object_id] = track
        (track.new_conditioning if self._conditions(track, frame) else track.new_recent)[frame] = known
        return self.show(frame)

    def _conditions(self, track: Track, frame: int) -> bool:
        """Whether a prompt here makes a conditioning frame: the frame was not tracked before, or corrections
        do too."""
        return frame not in track.tracked or self.options.corrections_condition

    def _said(self, track: Track, frame: int) -> Seen | None:
        """What is known of the object on a frame that is prompted once more."""
        pending = track.new_conditioning if self._conditions(track, frame) else track.new_recent
        known = pending.get(frame) or track.conditioning.get(frame) or track.recent.get(frame)
        return None if known is None else known.seen

    def remove_object(self, object_id: int) -> None:
        """Stop following an object; the others keep their tracks. Raises SessionError if it is not there."""
        self._track(object_id)
        del self._tracks[object_id]

    @torch.inference_mode()
    def clear(self, frame: int, object_id: int) -> TrackedFrame:
        """Take back an object's prompts on a frame; all objects' masks there come back.

        Raises SessionError if there is no such object, PromptError if there is no such frame.
        """
        frame = self._check_frame(frame)
        self._track(object_id).drop_prompts(frame)
        return self.show(frame)

    def forget(self, object_id: int, first: int, last: int) -> None:
        """Forget all of an object on the frames from ``first`` to ``last``, both among them: its prompts,
        what was tracked, the memories. An object without prompts is no longer followed. Raises SessionError.
        """
        track = self._track(object_id)
        track.forget_all(first, last)
        if not track.can_be_tracked:
            del self._tracks[object_id]

    def snapshot(self) -> Snapshot:
        """What is known of all objects now, to :meth:`restore` it later; nothing is copied."""
        return Snapshot.of(self._tracks.values())

    def restore(self, snapshot: Snapshot) -> None:
        """Know of objects what a :meth:`snapshot` of this clip by this model knew, and nothing else.

        What comes then is what would have come after the snapshot, bit for bit.
        """
        self._tracks = snapshot.tracks()

    def reset(self) -> None:
        """Forget all objects and prompts; the clip stays open."""
        self._tracks.clear()
        self.progress = None

    def go_back(self, frame: int) -> None:
        """Have ``progress`` stand at a frame, so that tracking goes on there: what was tracked from it on is
        tracked anew. Where tracking has not come so far, nothing changes. Raises PromptError for no frame."""
        frame = self._check_frame(frame)
        stands = self.progress
        if stands is not None and (stands.reverse or frame < stands.next_frame):
            self.progress = Progress(frame, None if stands.reverse else stands.stop, reverse=False)

    # --- tracking ---------------------------------------------------------------------------------

    def propagate(
        self, start: int | None = None, stop: int | None = None, reverse: bool = False
    ) -> Iterator[TrackedFrame]:
        """Follow all objects from frame to frame; masks come as soon as they are known.

        ``start`` is the first frame done (by default the earliest prompted one), ``stop`` the first not
        done (by default all are done, to the end of the clip, or to frame 0 with ``reverse=True``). Behind
        the last frame, where ``session.progress.next_frame`` stands in the end, there is nothing to do.
        Leave the loop when you like: what was tracked is kept. Objects may be added and removed while it
        runs; they take part from the next frame on.

        Raises SessionError if there is nothing to follow, PromptError for a frame that does not exist,
        and, at the frame in question, VideoError; everything before that frame is kept.
        """
        self._check_can_track()
        if start is None:
            start = min(self.conditioning_frames())
        start = _whole("start", start)
        if not self._is_the_end(start, reverse):
            self._check_frame(start)
        stop = None if stop is None else _whole("stop", stop)
        if stop is not None and (stop > start) == reverse and stop != start:
            side = "before" if reverse else "behind"
            raise OptionError(f"stop must lie {side} start={start} when reverse={reverse}, got {stop}")
        return self._run(Progress(start, stop, reverse))

    def _run(self, progress: Progress) -> Iterator[TrackedFrame]:
        self.progress = progress
        step = -1 if progress.reverse else 1
        while self._goes_on(progress):
            with self._features.going(0 if progress.next_frame + step == progress.stop else step):
                answer = self._track_frame(progress.next_frame, progress.reverse)
            progress = replace(progress, next_frame=progress.next_frame + step)
            yield answer
            # The caller has the frame now: a save may say that it is done.
            self.progress = progress
            if self._save_to is not None and (answer.index + 1) % self._save_to[1] == 0:
                self.save(self._save_to[0])
        if self._save_to is not None:
            self.save(self._save_to[0])

    def _is_the_end(self, frame: int, reverse: bool) -> bool:
        """Whether a frame is the one behind the last one done."""
        return frame == -1 if reverse else not self.source.has(frame) and frame == self.source.length

    def _goes_on(self, progress: Progress) -> bool:
        frame = progress.next_frame
        if progress.stop is not None and frame == progress.stop:
            return False
        return self.source.has(frame)

    @torch.inference_mode()
    def _track_frame(self, frame: int, reverse: bool) -> TrackedFrame:
        self._check_can_track()
        self.settle()
        waiting = [track for track in self._tracks.values() if frame not in track.conditioning]
        if waiting:
            self._follower.follow(waiting, frame, self._features[frame], reverse=reverse, length=self.length)
        for track in self._tracks.values():
            track.tracked[frame] = reverse
            if self.options.clear_around_corrections and frame in track.conditioning:
                track.drop_memories(around(frame, self._follower.rule))
            track.forget(
                forgettable(
                    frame, track.conditioning, track.recent, self._follower.rule, self.options.keep_frames
                )
            )
        return self.show(frame)

    @torch.inference_mode()
    def settle(self) -> None:
        """Make memories of what was prompted; tracking does it itself."""
        for track in self._tracks.values():
            for news, settled in (
                (track.new_recent, track.recent),
                (track.new_conditioning, track.conditioning),
            ):
                for frame, known in news.items():
                    if known.memory is None:
                        known = self._follower.remembered(known.seen, self._features[frame])
                    settled[frame] = known
                    if self.options.clear_around_corrections:
                        track.drop_memories(around(frame, self._follower.rule))
                news.clear()
            for frame in track.conditioning:
                track.recent.pop(frame, None)

    # --- results ----------------------------------------------------------------------------------

    def show(self, frame: int) -> TrackedFrame:
        """All objects on a frame, as far as they are known there. Raises PromptError for a frame that does
        not exist."""
        frame = self._check_frame(frame)
        rows = [track.latest(frame) for track in self._tracks.values()]
        h, w = self._model.logits_size
        absent = torch.full((1, 1, h, w), ABSENT, device=self._model.device)
        logits = [absent if row is None else row.seen.mask_logits for row in rows]
        return TrackedFrame(
            index=frame,
            object_ids=self.object_ids,
            frame_hw=self.frame_hw,
            low_res=torch.cat(logits) if logits else absent[:0],
            scores=_numbers(rows, lambda known: known.seen.iou),
            visibility=_numbers(rows, lambda known: known.seen.object_logit.float().sigmoid()),
            time_s=self.source.time_s(frame),
            skipped=self.source.skipped_before(frame),
            non_overlap=self.options.non_overlap_masks,
        )

    # --- keeping ----------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the session to a file (safetensors), whole or not at all.

        :meth:`everymask.VideoTracker.resume` continues from it to the same masks, bit for bit. Raises
        SessionError if the file cannot be written; the session itself is as good as before.
        """
        from everymask.video.saving import write_session

        write_session(path, self)

    def autosave(self, path: str | os.PathLike[str], every: int) -> None:
        """Save to ``path`` after every so many tracked frames, and at the end of each run.

        Raises OptionError or, where nothing can be written to ``path``, SessionError: now, not later.
        """
        from everymask.video.saving import check_can_be_written

        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise OptionError(f"autosave_every must be a whole number of at least 1 frame, got {every!r}")
        check_can_be_written(path)
        self._save_to = path, every

    def close(self) -> None:
        """Let go of the clip; results already handed out stay."""
        self._features.clear()
        self.source.close()

    def __enter__(self) -> VideoSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- checks -----------------------------------------------------------------------------------

    def _track(self, object_id: int) -> Track:
        if object_id not in self._tracks:
            raise SessionError(f"there is no object {object_id}; {self._objects_spelled()}")
        return self._tracks[object_id]

    def _objects_spelled(self) -> str:
        ids = ", ".join(map(str, self._tracks))
        return f"the session follows {ids}" if ids else "the session follows none"

    def _check_frame(self, frame: Any) -> int:
        frame = _whole("frame", frame)
        if not self.source.has(frame):
            length = self.length or 0
            raise PromptError(f"there is no frame {frame}; the clip has {length} frames, 0 to {length - 1}")
        return frame

    def _check_can_track(self) -> None:
        if not self._tracks:
            raise SessionError("there is nothing to follow; call add_prompt first")
        for track in self._tracks.values():
            if not track.can_be_tracked:
                raise SessionError(
                    f"object {track.object_id} has no prompts left; prompt it again or call "
                    f"remove_object({track.object_id})"
                )


def _photo_mask(prompts: Prompts) -> Tensor:
    """The one mask of the prompts, bool [H, W]."""
    if prompts.photo_masks is None or prompts.many:
        raise PromptError("a video's mask must be the object's pixels, bool (H, W) of the frame's size")
    return torch.from_numpy(prompts.photo_masks[0])


def _joined(earlier: PointPrompt, later: PointPrompt, has_box: bool) -> PointPrompt:
    if has_box:
        raise PromptError(
            "a box comes before any point; pass it with keep_points=False, with all points again"
        )
    return PointPrompt(
        torch.cat([earlier.points, later.points], dim=1), torch.cat([earlier.labels, later.labels], dim=1)
    )


def _numbers(rows: list[Known | None], read: Callable[[Known], Tensor]) -> np.ndarray:
    """One float per object, 0 where nothing is known."""
    return np.array([0.0 if row is None else float(read(row)) for row in rows], np.float32)


def _whole(name: str, value: Any) -> int:
    """A frame's number as a plain int (numpy's cannot be written to a file)."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise PromptError(f"{name} must be a whole number, counting from 0, got {value!r}")
    return int(value)


def _check_object_id(object_id: Any) -> int:
    if isinstance(object_id, bool) or not isinstance(object_id, (int, np.integer)) or object_id < 0:
        raise PromptError(f"object_id must be a whole number from 0, got {object_id!r}")
    return int(object_id)
