"""Teaching a model of the SAM 2 family to follow objects: its memory is trained on made clips.

The parts that segment photos stay as they are.

The functions are those that a tracking session uses (``models/memory.py``), with gradients.

Letters used in shapes: O objects, F frames, S side, s = S / 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from everymask.models import memory
from everymask.models.memory import ABSENT, Seen
from everymask.models.sam2 import Sam2
from everymask.nn.records import ImageFeatures
from everymask.train.clips import Clip
from everymask.train.loop import Report, descend, own_stream, steps
from everymask.train.losses import LossWeights, mask_loss, true_iou
from everymask.train.prompts import click_inside, corrective_clicks, jittered_box
from everymask.train.state import TrainOptions, TrainState

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
PROMPTS = {"mask": 0.6, "box": 0.25, "click": 0.15}  # what the first frame is told by, in shares of the clips

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


def train_memory(state: TrainState, source: ClipSource, options: TrainOptions) -> Iterator[Report]:
    """Train what ``start(model, options)`` chose (``train_parts=MEMORY_PARTS``); yields reports as ``train``
    of the loop does. ``state.average`` holds the weights to use."""
    options = own_stream(options)
    yield from steps(
        state,
        options,
        lambda step: source(clip_stream(options, step)),
        lambda clip: clip_step(state, clip, options),
        photos=1,
    )


def clip_stream(options: TrainOptions, step: int) -> np.random.Generator:
    """The random stream that the clip of a step is made from."""
    return np.random.default_rng([options.seed, step, 2])


def clip_step(state: TrainState, clip: Clip, options: TrainOptions) -> dict[str, Tensor]:
    """One clip forward and back; the means of its losses and IoUs."""
    rng = np.random.default_rng([options.seed, state.step, 3])
    model = state.model
    assert isinstance(model, Sam2)
    model.eval()  # dropout off: there is no time to overfit
    results = follow(model, clip, rng)
    loss = torch.stack([r.loss for r in results]).mean()
    descend(state, loss, options)
    ious = np.concatenate([r.ious for r in results])
    values = {
        "iou": _mean(ious),
        "last_iou": _mean(results[-1].ious),
        "presence": float(np.mean([r.presence for r in results])),
    }
    return {"loss": loss.detach()} | {name: torch.tensor(value) for name, value in values.items()}


def _mean(ious: np.ndarray) -> float:
    return float(ious.mean()) if len(ious) else 1.0


@dataclass(frozen=True)
class FrameResult:
    """One followed frame: its loss, the IoU of each object that is there, and how often the model knew
    whether an object is there."""

    loss: Tensor
    ious: np.ndarray
    presence: float


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
        said = seen.object_logit[:, 0] > 0
        loss = presence_loss(seen, there)
        ious = np.zeros(0)
        if there.any():
            logits = seen.mask_logits[there, 0]
            loss = loss + mask_loss(logits, target[there], LossWeights()).mean()
            found = true_iou(logits, target[there]) * said[there]
            ious = found.detach().cpu().numpy()
        results.append(FrameResult(loss, ious, float((said == there).float().mean())))
        if index + 1 < len(clip.frames):
            cut = torch.where(said[:, None, None, None], seen.mask_logits, ABSENT)  # as tracking does it
            memories.append(memory.remember(model, frames[index], cut, seen.object_logit))
            pointers.append(seen.pointer)
    return results


def prompt_first(model: Sam2, frame: ImageFeatures, truth: Tensor, rng: np.random.Generator) -> Seen:
    """The objects on the first frame, told by their masks [O, S, S], or by boxes around or clicks into them,
    half of these with a second click where the first answer was wrong."""
    kind = rng.choice(list(PROMPTS), p=list(PROMPTS.values()))
    if kind == "mask":
        return memory.take_mask(model, frame, truth[:, None])
    masks = truth.cpu().numpy() > 0.5
    if kind == "box":
        places = [jittered_box(rng, mask).reshape(2, 2) for mask in masks]
        marks = [2, 3]
    else:
        places = [np.reshape(click_inside(rng, mask), (1, 2)) for mask in masks]
        marks = [1]
    points = torch.tensor(np.array(places), dtype=torch.float32, device=truth.device)  # [O, N, 2]
    labels = torch.tensor([marks] * len(places), dtype=torch.int32, device=truth.device)
    alone = model.without_memory(frame)
    answer = memory.segment(model, alone, points, labels)
    if rng.random() < 0.5:
        return answer
    previous = answer.mask_logits.detach().clamp(-20, 20)
    small = F.avg_pool2d(truth[:, None], 4)[:, 0] > 0.5
    chance = torch.from_numpy(rng.random((len(small), 1 + small[0].numel()), np.float32)).to(truth.device)
    cells, kinds = corrective_clicks(previous[:, 0] > 0, small, chance)
    more, kinds = (4 * cells + 1.5)[:, None], kinds[:, None]
    points, labels = torch.cat([points, more], 1), torch.cat([labels, kinds], 1)
    return memory.segment(model, alone, points, labels, previous, multimask=False)


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
