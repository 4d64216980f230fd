"""Teaching a model of the SAM 2 family to follow objects: its memory is trained on made clips.

The parts that segment photos stay as they are.

The functions are those that a tracking session uses (``models/memory.py``), with gradients.

Letters used in shapes: O objects, F frames, S side, s = S / 4.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from everymask.models import memory
from everymask.models.memory import Seen
from everymask.models.sam2 import Sam2
from everymask.nn.records import ImageFeatures
from everymask.train.clips import Clip
from everymask.train.loop import (
    Report,
    TrainOptions,
    TrainState,
    finished,
    learning_rate,
    start,
    update_average,
)
from everymask.train.losses import LossWeights, mask_loss, true_iou

MEMORY_PARTS = (
    "memory_attention",
    "memory_encoder",
    "maskmem_tpos_enc",
    "obj_ptr_proj",
    "obj_ptr_tpos_proj",
    "no_obj_ptr",
    "no_obj_embed_spatial",
    "mask_downsample",
    "sam_mask_decoder.pred_obj_score_head",  # while training on photos every object was there
)
POINTER_SPAN = 16  # frames that distances in time are measured by, as in tracking
GIVEN_MASKS = 0.5  # share of clips whose first frame comes as a mask rather than as a box

ClipSource = Callable[[np.random.Generator], Clip]


@torch.no_grad()
def begin_memory(model: Sam2, typical: Tensor) -> None:
    """Prepare fresh memory parts, in place: at first memory attention gives back about what it was given.

    ``typical`` [B, C, h, w] are the features of some photos as the mask decoder takes them.
    """
    attention = model.memory_attention
    attention.norm.weight.copy_(typical.std((0, 2, 3)))
    attention.norm.bias.copy_(typical.mean((0, 2, 3)))
    for name, gamma in model.memory_encoder.fuser.named_parameters():
        if name.endswith("gamma"):
            gamma.fill_(0.1)  # the official 1e-6 is for training that takes days


def train_memory(model: Sam2, source: ClipSource, options: TrainOptions) -> Iterator[Report]:
    """Train the memory parts of ``model`` in place; yields reports as ``train`` of the loop does.

    When the iteration ends the model holds the averaged weights, in evaluation mode.
    """
    state = start(model, options)
    sums: dict[str, float] = {}
    since = 0
    while not finished(state, options):
        for name, value in clip_step(state, source, options).items():
            sums[name] = sums.get(name, 0.0) + value
        since += 1
        if since == options.report_steps or finished(state, options):
            means = {name: total / since for name, total in sums.items()}
            yield Report(state.step, state.seconds / 60, state.step, means)
            sums, since = {}, 0
    model.load_state_dict(state.average.state_dict())
    model.eval().requires_grad_(False)


def clip_step(state: TrainState, source: ClipSource, options: TrainOptions) -> dict[str, float]:
    """One clip forward and back; the means of its losses and IoUs."""
    began = time.perf_counter()
    rng = np.random.default_rng([options.seed, state.step, 2])
    model = state.model
    assert isinstance(model, Sam2)
    model.eval()  # dropout off: there is no time to overfit
    clip = source(rng)
    results = follow(model, clip, rng)
    loss = torch.stack([r.loss for r in results]).mean()
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(state, options)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    trained = [p for group in state.optimiser.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    state.optimiser.step()
    update_average(state, options.ema)
    state.step += 1
    state.seconds += time.perf_counter() - began
    return {"loss": loss.item(), "iou": float(np.mean([r.iou for r in results])), "last_iou": results[-1].iou}


@dataclass(frozen=True)
class FrameResult:
    """One followed frame: its loss, and the mean IoU of its masks with the truth."""

    loss: Tensor
    iou: float


def follow(model: Sam2, clip: Clip, rng: np.random.Generator) -> list[FrameResult]:
    """Prompt the first frame, follow through the others with gradients, one result per followed frame."""
    pixels = torch.stack([model.preprocess(frame) for frame in clip.frames])
    truth = torch.from_numpy(clip.objects).to(model.device).float()  # [O, F, S, S]
    small = F.avg_pool2d(truth, 4)  # [O, F, s, s]
    with torch.no_grad():
        frames = model.encode_frame(pixels)
    first = prompt_first(model, frames[0], truth[:, 0], rng)
    memories = [memory.remember(model, frames[0], first.mask_logits, first.object_logit, binary=True)]
    pointers = [first.pointer]
    results = []
    for index in range(1, len(clip.frames)):
        seen = follow_frame(model, frames[index], memories, pointers, objects=len(truth))
        target = small[:, index]
        there = target.flatten(1).sum(1) > 4
        loss = presence_loss(seen, there)
        if there.any():
            mask = mask_loss(seen.mask_logits[there, 0], target[there], LossWeights())
            loss = loss + mask.mean()
        iou = true_iou(seen.mask_logits[there, 0], target[there]).mean().item() if there.any() else 1.0
        results.append(FrameResult(loss, iou))
        memories.append(memory.remember(model, frames[index], seen.mask_logits, seen.object_logit))
        pointers.append(seen.pointer)
    return results


def prompt_first(model: Sam2, frame: ImageFeatures, truth: Tensor, rng: np.random.Generator) -> Seen:
    """The objects on the first frame, told by their masks [O, S, S] or by boxes around them."""
    if rng.random() < GIVEN_MASKS:
        return memory.take_mask(model, frame, truth[:, None])
    corners = []
    for mask in truth.cpu().numpy() > 0.5:
        ys, xs = np.nonzero(mask)
        corners.append([[xs.min(), ys.min()], [xs.max(), ys.max()]])
    points = torch.tensor(np.array(corners), dtype=torch.float32, device=truth.device)
    labels = torch.tensor([[2, 3]] * len(corners), dtype=torch.int32, device=truth.device)
    return memory.segment(model, model.without_memory(frame), points, labels, multimask=False)


def follow_frame(
    model: Sam2, frame: ImageFeatures, memories: list[Tensor], pointers: list[Tensor], *, objects: int
) -> Seen:
    """All objects on the next frame, from what is remembered; masks and object scores without the cut.

    The memory nearest in time takes the slot of the frame just before, the first one that of prompts.
    """
    frames = memory.memory_spec(model).frames
    recent = memories[1:][-(frames - 1) :]
    slots = [(0, memories[0])] + [
        (frames - len(recent) + position, each) for position, each in enumerate(recent)
    ]
    distances = torch.tensor([[len(pointers) - i for i in range(len(pointers))]] * objects)
    gathered = memory.gather(
        model, slots, torch.stack(pointers, 1), distances.to(model.device), longest=POINTER_SPAN
    )
    features = memory.attend(model, frame, gathered)
    points = torch.zeros(objects, 1, 2, device=model.device)
    labels = torch.full((objects, 1), -1, dtype=torch.int32, device=model.device)
    each = ImageFeatures(
        features.embedding.expand(objects, -1, -1, -1),
        tuple(x.expand(objects, -1, -1, -1) for x in features.high_res),
    )
    decoded = model.decode(each, model.encode_prompts(*model.arrange(points, labels, None)))
    assert decoded.object_logit is not None
    best = 1 + decoded.iou[:, 1:].argmax(1)
    rows = torch.arange(objects, device=model.device)
    there = decoded.object_logit > 0
    pointer = memory._with_absence(model, model.obj_ptr_proj(decoded.mask_tokens[rows, best]), there)
    return Seen(
        decoded.mask_logits[rows, best][:, None], decoded.iou[rows, best], decoded.object_logit, pointer
    )


def presence_loss(seen: Seen, there: Tensor) -> Tensor:
    """Whether the object is there, as the object score says it."""
    truth = there.float()[:, None]
    return 0.1 * F.binary_cross_entropy_with_logits(seen.object_logit, truth)
