"""What SAM 2 does with an object on a frame of a video, as functions of tensors.

A frame's features (``Sam2.encode_frame``) are given memories (:func:`gather`, :func:`attend`), or the mark
that there are none (``Sam2.without_memory``); a mask is decoded from them (:func:`segment`), or taken as
given (:func:`take_mask`); what was seen becomes a memory for later frames (:func:`remember`). Which frames
are remembered is not decided here, see ``video/bank.py``. Everything is differentiable: training uses the
same functions.

Letters: B objects, N points of a prompt, C channels, D channels of a memory, h x w the embedding grid,
S = 16 h the model's square picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from everymask.models.base import with_padding
from everymask.models.sam2 import Sam2
from everymask.models.specs import MemorySpec
from everymask.nn.choice import best_by_iou
from everymask.nn.position import sine_map, sine_steps
from everymask.nn.records import ImageFeatures

ABSENT = -1024.0
"""The mask logit everywhere on a frame where the object is not."""

SURE = 10.0
"""Logits of a mask that was given: plus inside, minus outside."""


@dataclass(frozen=True)
class Seen:
    """What is known of B objects on one frame."""

    mask_logits: Tensor  # [B, 1, 4h, 4w] float32; ABSENT everywhere where the object is not there
    iou: Tensor  # [B] predicted IoU
    object_logit: Tensor  # [B, 1] > 0: the object is there
    pointer: Tensor  # [B, C]: the object in one vector

    def __getitem__(self, index: int) -> Seen:
        """One object, batch axis kept, in memory of its own."""
        one = slice(index, index + 1)
        return Seen(
            self.mask_logits[one].clone(),
            self.iou[one].clone(),
            self.object_logit[one].clone(),
            self.pointer[one].clone(),
        )


@dataclass(frozen=True)
class MemoryTokens:
    """Memories of B objects side by side, as memory attention takes them."""

    tokens: Tensor  # [B, T, D]
    position: Tensor  # [B or 1, T, D]
    unplaced: int  # how many of them, at the end, have no place on the grid: object pointers, for one


def gather(
    model: Sam2,
    memories: Sequence[tuple[int, Tensor]],
    pointers: Tensor,  # [B, P, C], P may be 0
    distances: Tensor,  # [B, P] frames from each pointer's frame to this one
    *,
    longest: int,
) -> MemoryTokens:
    """Memories and pointers as tokens.

    ``memories`` holds (slot, memory of :func:`remember`): slot 0 is that of a prompted frame, 1 of the
    frame farthest back, ``spec.memory.frames - 1`` of the frame just before. ``longest`` is the number of
    frames that distances are measured by (:func:`everymask.video.bank.pointer_span`).
    """
    spec = memory_spec(model)
    place = sine_map(model.memory_grid, spec.dim).to(model.device, model.dtype)  # [1, D, h, w]
    place = place.flatten(2).transpose(1, 2)  # [1, L, D]
    tokens = [memory.flatten(2).transpose(1, 2).to(model.dtype) for _, memory in memories]
    slots = [model.maskmem_tpos_enc[spec.frames - slot - 1] for slot, _ in memories]  # [1, 1, D] each
    positions = [place + slot for slot in slots]
    unplaced = 0
    if spec.perceiver is not None:  # the latents of all frames that have a place, then those without one
        at, unplaced = spec.perceiver.placed, spec.perceiver.unplaced * len(tokens)
        tokens = [each[:, :at] for each in tokens] + [each[:, at:] for each in tokens]
        positions += [slot.expand(1, spec.perceiver.unplaced, -1) for slot in slots]
    objects, count = distances.shape
    if count == 0:
        return MemoryTokens(torch.cat(tokens, dim=1), torch.cat(positions, dim=1), unplaced)
    pieces = model.spec.embed_dim // spec.dim  # a pointer is cut into pieces as wide as a memory
    tokens.append(pointers.reshape(objects, count * pieces, spec.dim).to(model.dtype))
    times = _pointer_times(model, distances, longest).repeat_interleave(pieces, dim=1)
    positions = [position.expand(objects, -1, -1) for position in positions]
    unplaced += count * pieces
    return MemoryTokens(torch.cat(tokens, dim=1), torch.cat([*positions, times], dim=1), unplaced)


def _pointer_times(model: Sam2, distances: Tensor, longest: int) -> Tensor:
    """The code of each pointer's distance in time, [B, P] -> [B, P, D]; zeros in SAM 2.0, which has none."""
    spec = memory_spec(model)
    if not spec.pointer_times:
        return torch.zeros(*distances.shape, spec.dim, device=model.device, dtype=model.dtype)
    # A clip of one frame has no distance to measure by; its only distance is 0.
    steps = distances.flatten() / max(1, longest - 1)
    code = sine_steps(steps, model.spec.embed_dim).to(model.device, model.dtype)
    return model.obj_ptr_tpos_proj(code).unflatten(0, distances.shape)


def begin_attending(
    model: Sam2, features: ImageFeatures, *, product_dtype: torch.dtype | None = None
) -> Tensor | None:
    """What :func:`attend` does with a frame whatever is remembered: once for many objects. None where
    somebody touched the layers (``nn/touched.py``): these see each object's frame."""
    return model.begin_recalling(features.embedding, product_dtype=product_dtype)


def attend(
    model: Sam2,
    features: ImageFeatures,
    memory: MemoryTokens,
    *,
    product_dtype: torch.dtype | None = None,
    begun: Tensor | None = None,
) -> ImageFeatures:
    """One frame's features (B = 1) with each object's memory in them (B objects), for the mask decoder.

    ``begun`` is the answer of :func:`begin_attending`, if it is known already.
    """
    embedding = model.recall(
        features.embedding,
        memory.tokens,
        memory.position,
        unplaced=memory.unplaced,
        product_dtype=product_dtype,
        begun=begun,
    )
    return replace(features, embedding=embedding)


def segment(
    model: Sam2,
    features: ImageFeatures,
    points: Tensor | None = None,  # [B, N, 2] model pixels, box corners first
    labels: Tensor | None = None,  # [B, N]
    mask_logits: Tensor | None = None,  # [B, 1, 4h, 4w] of an earlier answer, to be corrected
    *,
    objects: int = 1,
    multimask: bool | None = None,
) -> Seen:
    """The objects on a frame whose features are ready for the decoder.

    Without points the memory in the features says which object is meant. Of the three masks of an
    ambiguous prompt (none or one point, unless ``multimask`` says otherwise) the one of highest
    predicted IoU is taken.
    """
    if multimask is None:
        multimask = labels is None or labels.shape[1] <= 1
    if points is None or labels is None:  # the official code puts one padding point, its encoder another
        points = torch.zeros(objects, 1, 2, device=model.device)
        labels = torch.full((objects, 1), -1, device=model.device, dtype=torch.int32)
    prompts = model.encode_prompts(*with_padding(points, labels), mask_logits)
    decoded = model.decode(features, prompts)
    chosen = best_by_iou(model.choose(decoded, multimask))
    assert chosen.object_logit is not None
    there = chosen.object_logit > 0  # [B, 1]
    return Seen(
        mask_logits=torch.where(there[..., None, None], chosen.mask_logits.float(), ABSENT),
        iou=chosen.iou[:, 0],
        object_logit=chosen.object_logit,
        pointer=_pointer(model, chosen.mask_tokens[:, 0], there),
    )


def take_mask(model: Sam2, features: ImageFeatures, mask: Tensor) -> Seen:
    """Objects whose masks on this frame are given: 0 / 1 [B, 1, S, S] float; they are believed.

    ``features`` are the frame's own, without memory and without its mark.
    """
    low = F.interpolate(
        mask * (2 * SURE) - SURE,
        size=(mask.shape[-2] // 4, mask.shape[-1] // 4),
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    # The decoder is asked for the pointer only; its own masks are not used.
    prompt = model.mask_downsample(mask.to(model.dtype))  # [B, 1, 4h, 4w]
    seen = segment(model, features, mask_logits=prompt, objects=len(mask), multimask=False)
    there = mask.flatten(1).any(dim=1)[:, None]
    return Seen(
        mask_logits=low,
        iou=torch.ones(len(mask), device=mask.device),
        object_logit=there.float() * (2 * SURE) - SURE,
        pointer=_with_absence(model, seen.pointer, there),
    )


def remember(
    model: Sam2, features: ImageFeatures, mask_logits: Tensor, object_logit: Tensor, *, binary: bool = False
) -> Tensor:
    """The memories of objects on a frame, from its own features (B = 1): [B, D, h, w], or with a perceiver
    [B, D, T], its latents.

    ``mask_logits`` [B, 1, 4h, 4w] are brought to the model's size. ``binary`` is for prompted frames:
    the mask enters as the caller saw it, cut at 0, not as probabilities.
    """
    spec = memory_spec(model)
    size = (model.spec.image_size, model.spec.image_size)
    high = F.interpolate(mask_logits.float(), size, mode="bilinear", align_corners=False)
    share = (high > 0).float() if binary else high.sigmoid()
    scaled = share * spec.mask_scale + spec.mask_bias
    memory = model.memorise(features.embedding, scaled.to(model.dtype))
    if spec.no_object_embedding:
        absent = (object_logit <= 0).to(memory.dtype)[..., None, None]  # [B, 1, 1, 1]
        memory = memory + absent * model.no_obj_embed_spatial[..., None, None]
    return memory if spec.perceiver is None else model.spatial_perceiver(memory)


def _pointer(model: Sam2, token: Tensor, there: Tensor) -> Tensor:
    """The object pointer [B, C] of a decoder token, or the one that says "not there"."""
    return _with_absence(model, model.obj_ptr_proj(token), there)


def _with_absence(model: Sam2, pointer: Tensor, there: Tensor) -> Tensor:
    share = there.to(pointer.dtype)
    return share * pointer + (1 - share) * model.no_obj_ptr


def memory_spec(model: Sam2) -> MemorySpec:
    """The dimensions of the model's memory; ``VideoTracker`` refuses a model without any."""
    assert model.spec.memory is not None
    return model.spec.memory
