"""One clip being tracked: prompts in, masks of frame after frame out.

Answers to ``SAM2VideoPredictor`` of sam2, whose ``inference_state`` is this session. Letters: B objects
tracked together, C channels, D channels of a memory, h x w the embedding grid.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from everymask.errors import OptionError, PromptError, SessionError
from everymask.media.videos import FrameSource
from everymask.models.base import corner_points
from everymask.models.memory import ABSENT, Seen, attend, gather, memory_spec, remember, segment, take_mask
from everymask.models.sam2 import Sam2
from everymask.nn.records import ImageFeatures
from everymask.prompts import Outside, Prompts, read_prompts
from everymask.video.bank import BankRule, Recall, around, forgettable, pointer_span, recall
from everymask.video.frames import FrameFeatures
from everymask.video.holes import fill_holes
from everymask.video.options import TrackerOptions
from everymask.video.result import TrackedFrame
from everymask.video.track import Known, PointPrompt, Track

OBJECTS_AT_ONCE = 4
"""So many objects go through the decoder together; more would only take more memory."""

STORED = torch.bfloat16
"""The official code keeps memories so even where it computes in float32."""


@dataclass(frozen=True)
class Progress:
    """Where tracking stands."""

    next_frame: int
    stop: int | None
    reverse: bool


class VideoSession:
    """Objects in one clip; made by :meth:`everymask.VideoTracker.open`.

    Frames count from 0. All results are on the frame's own pixels.
    """

    def __init__(self, model: Sam2, source: FrameSource, options: TrackerOptions) -> None:
        self.source = source
        self.options = options
        self.progress: Progress | None = None
        """How far :meth:`propagate` came; None before it ran."""
        self._model = model
        self._features = FrameFeatures(model, source, options.feature_cache)
        self._tracks: dict[int, Track] = {}
        self._save_to: tuple[str | os.PathLike[str], int] | None = None

    # --- what there is ----------------------------------------------------------------------------

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

    @property
    def _rule(self) -> BankRule:
        memory = memory_spec(self._model)
        return BankRule(
            memories=memory.frames,
            pointers=memory.pointers,
            stride=self.options.memory_stride,
            max_conditioning=self.options.max_conditioning,
        )

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
        self._check_frame(frame)
        _check_object_id(object_id)
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
        if prompts.photo_masks is None:
            raise PromptError(
                "a video's mask must be the object's pixels, bool (H, W) of the frame's size; got logits"
            )
        return self.prompt_with_mask(frame, object_id, torch.from_numpy(prompts.photo_masks[0]))

    @torch.inference_mode()
    def prompt_with_points(
        self, frame: int, object_id: int, prompts: Prompts, keep_points: bool
    ) -> TrackedFrame:
        """:meth:`add_prompt` of points and box that are checked."""
        track = self._tracks.get(object_id) or Track(object_id)
        prompt = self._point_prompt(prompts)
        if keep_points and frame in track.points:
            prompt = _joined(track.points[frame], prompt, prompts.boxes_xyxy_px is not None)
        known = self._answer_points(track, frame, prompt)
        track.points[frame] = prompt
        track.masks.pop(frame, None)
        return self._keep(track, frame, known)

    @torch.inference_mode()
    def prompt_with_mask(self, frame: int, object_id: int, mask: Tensor) -> TrackedFrame:
        """:meth:`add_prompt` of a mask [H, W] of any size, bool or 0 to 1."""
        track = self._tracks.get(object_id) or Track(object_id)
        square = self._model_mask(mask)
        known = self._answer_mask(frame, square)
        track.masks[frame] = square > 0
        track.points.pop(frame, None)
        return self._keep(track, frame, known)

    def _keep(self, track: Track, frame: int, known: Known) -> TrackedFrame:
        """Note the answer to a prompt; it becomes a memory when tracking goes on."""
        self._tracks[track.object_id] = track
        (track.new_conditioning if self._conditions(track, frame) else track.new_recent)[frame] = known
        return self.show(frame)

    def remove_object(self, object_id: int) -> None:
        """Stop following an object; the others keep their tracks. Raises SessionError if it is not there."""
        self._track(object_id)
        del self._tracks[object_id]

    @torch.inference_mode()
    def clear(self, frame: int, object_id: int) -> TrackedFrame:
        """Take back an object's prompts on a frame; all objects' masks there come back."""
        self._track(object_id).drop_prompts(frame)
        return self.show(frame)

    def reset(self) -> None:
        """Forget all objects and prompts; the clip stays open."""
        self._tracks.clear()
        self.progress = None

    # --- tracking ---------------------------------------------------------------------------------

    def propagate(
        self, start: int | None = None, stop: int | None = None, reverse: bool = False
    ) -> Iterator[TrackedFrame]:
        """Follow all objects from frame to frame; masks come as soon as they are known.

        ``start`` is the first frame done (by default the earliest prompted one), ``stop`` the first not
        done (by default all are done, to the end of the clip, or to frame 0 with ``reverse=True``).
        Leave the loop when you like: what was tracked is kept. Objects may be added and removed while it
        runs; they take part from the next frame on.

        Raises SessionError if there is nothing to follow, PromptError for a frame that does not exist,
        and, at the frame in question, VideoError; everything before that frame is kept.
        """
        self._check_can_track()
        if start is None:
            start = min(self.conditioning_frames())
        self._check_frame(start)
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
        for (slots, pointers), group in self._alike(waiting, frame, reverse).items():
            del slots, pointers  # what the group has in common; the frames themselves may differ
            self._track_group(group, frame)
        for track in self._tracks.values():
            track.tracked[frame] = reverse
            if self.options.clear_around_corrections and frame in track.conditioning:
                track.drop_memories(around(frame, self._rule))
            track.forget(
                forgettable(frame, track.conditioning, track.recent, self._rule, self.options.keep_frames)
            )
        return self.show(frame)

    def _alike(
        self, tracks: list[Track], frame: int, reverse: bool
    ) -> dict[tuple[tuple[int, ...], int], list[tuple[Track, Recall]]]:
        """Tracks that look at equally many memories in the same slots: they go through the model together."""
        groups = defaultdict(list)
        for track in tracks:
            seen = recall(
                frame, list(track.conditioning), track.recent, self._rule, reverse=reverse, length=self.length
            )
            groups[tuple(slot for slot, _ in seen.memories), len(seen.pointers)].append((track, seen))
        return groups

    def _track_group(self, group: list[tuple[Track, Recall]], frame: int) -> None:
        raw = self._features[frame]
        features = self._with_memory(raw, group)
        for first in range(0, len(group), OBJECTS_AT_ONCE):
            some = slice(first, first + OBJECTS_AT_ONCE)
            own = ImageFeatures(features.embedding[some], features.high_res)
            seen = segment(self._model, own, objects=len(own.embedding))
            memory = self._stored(remember(self._model, raw, seen.mask_logits, seen.object_logit))
            for row, (track, _) in enumerate(group[some]):
                one = self._without_holes(seen[row])
                track.recent[frame] = Known(one, memory[row : row + 1].clone())

    def _with_memory(self, raw: ImageFeatures, group: list[tuple[Track, Recall]]) -> ImageFeatures:
        """The frame's features with the memories of each track of the group, B of them."""
        device = self._model.device
        memories = [
            (slot, torch.cat([_memory(track, seen.memories[place][1]) for track, seen in group]).to(device))
            for place, (slot, _) in enumerate(group[0][1].memories)
        ]
        pointers = torch.stack(
            [
                torch.cat(
                    [track.known(frame).seen.pointer for _, frame in seen.pointers]
                    or [torch.empty(0, self._model.spec.embed_dim, device=device)]
                )
                for track, seen in group
            ]
        )  # [B, P, C]
        distances = torch.tensor(
            [[distance for distance, _ in seen.pointers] for _, seen in group], device=device
        )  # [B, P]
        longest = pointer_span(self._rule, self.length)
        tokens = gather(self._model, memories, pointers, distances, longest=longest)
        product_dtype = torch.bfloat16 if self.options.fast_attention else None
        return attend(self._model, raw, tokens, product_dtype=product_dtype)

    def _stored(self, memory: Tensor) -> Tensor:
        return memory.to("cpu" if self.options.store_on_cpu else memory.device, STORED)

    @torch.inference_mode()
    def settle(self) -> None:
        """Make memories of what was prompted; tracking does it itself."""
        for track in self._tracks.values():
            for news, settled in (
                (track.new_recent, track.recent),
                (track.new_conditioning, track.conditioning),
            ):
                for frame, known in news.items():
                    settled[frame] = (
                        known if known.memory is not None else self._remembered(frame, known.seen)
                    )
                    if self.options.clear_around_corrections:
                        track.drop_memories(around(frame, self._rule))
                news.clear()
            for frame in track.conditioning:
                track.recent.pop(frame, None)

    def _remembered(self, frame: int, seen: Seen) -> Known:
        memory = remember(
            self._model,
            self._features[frame],
            seen.mask_logits,
            seen.object_logit,
            binary=self.options.binarize_prompted,
        )
        return Known(seen, self._stored(memory))

    # --- answers to prompts -----------------------------------------------------------------------

    def _conditions(self, track: Track, frame: int) -> bool:
        """Whether a prompt here makes a conditioning frame: the frame was not tracked before, or corrections
        do too."""
        return frame not in track.tracked or self.options.corrections_condition

    def _answer_points(self, track: Track, frame: int, prompt: PointPrompt) -> Known:
        pending = track.new_conditioning if self._conditions(track, frame) else track.new_recent
        earlier = pending.get(frame) or track.conditioning.get(frame) or track.recent.get(frame)
        previous = None if earlier is None else earlier.seen.mask_logits.clamp(-32.0, 32.0)
        raw = self._features[frame]
        if frame in track.tracked and track.conditioning:
            seen = recall(
                frame,
                list(track.conditioning),
                track.recent,
                self._rule,
                reverse=track.tracked[frame],
                length=self.length,
            )
            features = self._with_memory(raw, [(track, seen)])
        else:
            features = self._model.without_memory(raw)
        answer = segment(self._model, features, prompt.points, prompt.labels, previous)
        return Known(self._without_holes(answer), None)

    def _answer_mask(self, frame: int, square: Tensor) -> Known:
        answer = take_mask(self._model, self._features[frame], square)
        return Known(self._without_holes(answer), None)

    def _without_holes(self, seen: Seen) -> Seen:
        filled = fill_holes(seen.mask_logits, self.options.fill_hole_area)
        return Seen(filled, seen.iou, seen.object_logit, seen.pointer)

    def _point_prompt(self, prompts: Prompts) -> PointPrompt:
        """The points of the one prompt in model pixels, corners of its box first."""
        xy = torch.tensor(prompts.points_xy_px, dtype=torch.float32)  # [1, N, 2]
        marks = torch.tensor(prompts.labels, dtype=torch.int32)
        if prompts.boxes_xyxy_px is not None:
            corners, kinds = corner_points(torch.tensor(prompts.boxes_xyxy_px, dtype=torch.float32))
            xy, marks = torch.cat([corners, xy], dim=1), torch.cat([kinds, marks], dim=1)
        model_xy = self._model.frame(self.frame_hw).to_model(xy)
        return PointPrompt(model_xy.to(self._model.device), marks.to(self._model.device))

    def _model_mask(self, mask: Tensor) -> Tensor:
        """A mask [H, W] at the model's size, 0 / 1 float32 [1, 1, S, S]."""
        size = self._model.spec.image_size
        square = mask.to(self._model.device).float()[None, None]
        if mask.shape == (size, size):
            return square
        square = F.interpolate(square, (size, size), mode="bilinear", align_corners=False, antialias=True)
        return (square >= 0.5).float()

    # --- results ----------------------------------------------------------------------------------

    def show(self, frame: int) -> TrackedFrame:
        """All objects on a frame, as far as they are known there."""
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

        :meth:`everymask.VideoTracker.resume` continues from it to the same masks, bit for bit.
        """
        from everymask.video.saving import write_session

        write_session(path, self)

    def autosave(self, path: str | os.PathLike[str], every: int) -> None:
        """Save to ``path`` after every so many tracked frames, and at the end of each run."""
        if every < 1:
            raise OptionError(f"autosave_every must be at least 1 frame, got {every}")
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

    def _check_frame(self, frame: int) -> None:
        if isinstance(frame, bool) or not isinstance(frame, (int, np.integer)):
            raise PromptError(f"frame must be a whole number, counting from 0, got {frame!r}")
        if not self.source.has(int(frame)):
            length = self.length or 0
            raise PromptError(f"there is no frame {frame}; the clip has {length} frames, 0 to {length - 1}")

    def _check_can_track(self) -> None:
        if not self._tracks:
            raise SessionError("there is nothing to follow; call add_prompt first")
        for track in self._tracks.values():
            if not track.can_be_tracked:
                raise SessionError(
                    f"object {track.object_id} has no prompts left; prompt it again or call "
                    f"remove_object({track.object_id})"
                )


def _memory(track: Track, frame: int) -> Tensor:
    memory = track.known(frame).memory
    assert memory is not None, "settled frames have memories"
    return memory


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


def _check_object_id(object_id: Any) -> None:
    if isinstance(object_id, bool) or not isinstance(object_id, (int, np.integer)) or object_id < 0:
        raise PromptError(f"object_id must be a whole number from 0, got {object_id!r}")
