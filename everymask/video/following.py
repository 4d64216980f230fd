"""What the model does for tracks: recall, follow, answer prompts, remember. Which frames and objects are
asked for is decided by the session.

Letters: B objects tracked together, C channels, D channels of a memory, h x w the embedding grid, S the
model's square picture.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from everymask.masks.upscaled import check_finite
from everymask.models.base import corner_points
from everymask.models.memory import (
    Seen,
    attend,
    begin_attending,
    gather,
    memory_spec,
    remember,
    segment,
    take_mask,
)
from everymask.models.sam2 import Sam2
from everymask.nn.product_type import fast_dtype
from everymask.nn.records import ImageFeatures
from everymask.prompts import Prompts
from everymask.video.bank import BankRule, Recall, pointer_span, recall
from everymask.video.holes import fill_holes
from everymask.video.options import TrackerOptions
from everymask.video.track import Known, PointPrompt, Track

OBJECTS_AT_ONCE = 4
"""So many objects go through the model together; more would only take more memory."""

STORED = torch.bfloat16
"""The official code keeps memories so even where it computes in float32."""


class Follower:
    """A model with the options of a tracker. It keeps nothing between calls."""

    def __init__(self, model: Sam2, options: TrackerOptions) -> None:
        self.model, self.options = model, options
        memory = memory_spec(model)
        self.rule = BankRule(
            memories=memory.frames,
            pointers=memory.pointers,
            stride=options.memory_stride,
            max_conditioning=options.max_conditioning,
        )

    # --- following --------------------------------------------------------------------------------

    def follow(
        self, tracks: Iterable[Track], frame: int, raw: ImageFeatures, *, reverse: bool, length: int | None
    ) -> None:
        """Find the tracks' objects on a frame, whose features without memory are ``raw``, and note them
        in the tracks. ``length`` is the clip's number of frames, None if it is not known."""
        begun = begin_attending(self.model, raw, product_dtype=self._product_dtype)
        for group in self._alike(tracks, frame, reverse, length):
            for first in range(0, len(group), OBJECTS_AT_ONCE):
                some = group[first : first + OBJECTS_AT_ONCE]
                seen = segment(self.model, self._with_memory(raw, some, length, begun), objects=len(some))
                memory = self._stored(remember(self.model, raw, seen.mask_logits, seen.object_logit))
                for row, (track, _) in enumerate(some):
                    one = self._without_holes(seen[row])
                    track.recent[frame] = Known(one, memory[row : row + 1].clone())

    @property
    def _product_dtype(self) -> torch.dtype | None:
        half = self.options.fast_attention and fast_dtype(self.model.device) == torch.bfloat16
        return torch.bfloat16 if half else None

    def _alike(
        self, tracks: Iterable[Track], frame: int, reverse: bool, length: int | None
    ) -> list[list[tuple[Track, Recall]]]:
        """Tracks that look at equally many memories in the same slots: they go through the model together,
        though the frames that they remember may differ."""
        groups = defaultdict(list)
        for track in tracks:
            seen = self._recall(track, frame, reverse, length)
            groups[tuple(slot for slot, _ in seen.memories), len(seen.pointers)].append((track, seen))
        return list(groups.values())

    def _recall(self, track: Track, frame: int, reverse: bool, length: int | None) -> Recall:
        conditioning = list(track.conditioning)
        return recall(frame, conditioning, track.recent, self.rule, reverse=reverse, length=length)

    def _with_memory(
        self,
        raw: ImageFeatures,
        group: list[tuple[Track, Recall]],
        length: int | None,
        begun: Tensor | None = None,
    ) -> ImageFeatures:
        """The frame's features with the memories of each track of the group, B of them. ``begun`` is what
        all tracks on the frame share (:func:`begin_attending`), if it is known."""
        device = self.model.device
        memories = [
            (slot, torch.cat([_memory(track, seen.memories[place][1]) for track, seen in group]).to(device))
            for place, (slot, _) in enumerate(group[0][1].memories)
        ]
        pointers = torch.stack(
            [
                torch.cat(
                    [track.known(frame).seen.pointer for _, frame in seen.pointers]
                    or [torch.empty(0, self.model.spec.embed_dim, device=device)]
                )
                for track, seen in group
            ]
        )  # [B, P, C]
        distances = torch.tensor(
            [[distance for distance, _ in seen.pointers] for _, seen in group], device=device
        )  # [B, P]
        longest = pointer_span(self.rule, length)
        tokens = gather(self.model, memories, pointers, distances, longest=longest)
        return attend(self.model, raw, tokens, product_dtype=self._product_dtype, begun=begun)

    # --- answers to prompts -----------------------------------------------------------------------

    def answer_points(
        self,
        track: Track,
        frame: int,
        raw: ImageFeatures,
        prompt: PointPrompt,
        previous: Seen | None,
        length: int | None,
    ) -> Known:
        """The object that points mean; ``previous`` is what was known of it on the frame, to be corrected."""
        mask = None if previous is None else previous.mask_logits.clamp(-32.0, 32.0)
        if frame in track.tracked and track.conditioning:
            seen = self._recall(track, frame, track.tracked[frame], length)
            features = self._with_memory(raw, [(track, seen)], length)
        else:
            features = self.model.without_memory(raw)
        answer = segment(self.model, features, prompt.points, prompt.labels, mask)
        return Known(self._without_holes(answer), None)

    def answer_mask(self, raw: ImageFeatures, square: Tensor) -> Known:
        """The object whose mask is given, 0 / 1 [1, 1, S, S]."""
        return Known(self._without_holes(take_mask(self.model, raw, square)), None)

    def point_prompt(self, prompts: Prompts, frame_hw: tuple[int, int]) -> PointPrompt:
        """The points of the one prompt in model pixels, corners of its box first."""
        xy = torch.tensor(prompts.points_xy_px, dtype=torch.float32)  # [1, N, 2]
        marks = torch.tensor(prompts.labels, dtype=torch.int32)
        if prompts.boxes_xyxy_px is not None:
            corners, kinds = corner_points(torch.tensor(prompts.boxes_xyxy_px, dtype=torch.float32))
            xy, marks = torch.cat([corners, xy], dim=1), torch.cat([kinds, marks], dim=1)
        model_xy = self.model.frame(frame_hw).to_model(xy)
        return PointPrompt(model_xy.to(self.model.device), marks.to(self.model.device))

    def model_mask(self, mask: Tensor) -> Tensor:
        """A mask [H, W] at the model's size, 0 / 1 float32 [1, 1, S, S]."""
        size = self.model.spec.image_size
        square = mask.to(self.model.device).float()[None, None]
        if mask.shape == (size, size):
            return square
        square = F.interpolate(square, (size, size), mode="bilinear", align_corners=False, antialias=True)
        return (square >= 0.5).float()

    # --- remembering ------------------------------------------------------------------------------

    def remembered(self, seen: Seen, raw: ImageFeatures) -> Known:
        """What was answered to a prompt, with the memory of it."""
        binary = self.options.binarize_prompted
        memory = remember(self.model, raw, seen.mask_logits, seen.object_logit, binary=binary)
        return Known(seen, self._stored(memory))

    def _stored(self, memory: Tensor) -> Tensor:
        return memory.to("cpu" if self.options.store_on_cpu else memory.device, STORED)

    def _without_holes(self, seen: Seen) -> Seen:
        check_finite(seen.mask_logits, "mask logits")
        filled = fill_holes(seen.mask_logits, self.options.fill_hole_area)
        return Seen(filled, seen.iou, seen.object_logit, seen.pointer)


def _memory(track: Track, frame: int) -> Tensor:
    memory = track.known(frame).memory
    assert memory is not None, "settled frames have memories"
    return memory
