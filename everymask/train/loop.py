"""The training loop: batches, steps, averages, checkpoints that continue.

Letters used in shapes: B images, P = B * prompts per image, M masks, S side, s = S / 4.
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from everymask.models.base import PromptableModel
from everymask.nn.records import Decoded, ImageFeatures
from everymask.train.dense import DenseHead, label_edges
from everymask.train.losses import (
    LossWeights,
    best_of_three,
    edge_loss,
    mask_loss,
    same_region_loss,
    true_iou,
)
from everymask.train.muon import Muon
from everymask.train.prompts import corrective_clicks, nested_truths
from everymask.train.together import average_gradients, processes, rank
from everymask.train.views import SceneSource, Views, make_views

BOTH_SHARE = 0.25  # of the boxes; they come with a click inside the region

RANK_STRIDE = 7919  # between the seeds of processes that train together

Example = TypeVar("Example")


@dataclass(frozen=True)
class TrainOptions:
    """How long, how fast, in what portions."""

    minutes: float = 60.0  # of training time, earlier stretches of the same run counted in
    steps: int | None = None  # stop after this many steps, if earlier
    batch: int = 4
    prompts: int = 8  # per image
    click_share: float = 0.44  # of the prompts; the others are boxes
    corrections: int = 1  # prompts per image that get a corrective click and their own mask back
    learning_rate: float = 8e-4
    final_rate: float = 0.02  # share of the learning rate that is left at the end (cosine)
    warmup_steps: int = 200
    weight_decay: float = 0.02
    ema: float = 0.999
    bfloat16: bool = True
    seed: int = 0
    train_parts: tuple[str, ...] = ()  # name prefixes; empty: all
    optimiser: Literal["adam", "muon"] = "adam"
    dense: bool = True  # the second task; needs label maps without unknown pixels
    freeze_norms: bool = False  # batch norms keep their statistics: right for fine-tuning on few photos
    save_minutes: float = 3.0
    report_steps: int = 50
    weights: LossWeights = field(default_factory=LossWeights)


@dataclass
class TrainState:
    """Everything a run needs to continue: what is trained, its average, the optimiser, the clock."""

    model: PromptableModel
    dense: DenseHead | None
    average: PromptableModel
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    counted_until: float = 0.0  # the moment (of time.perf_counter) up to which ``seconds`` counts


@dataclass(frozen=True)
class Report:
    """What the loop tells while it runs."""

    step: int
    minutes: float
    images: int
    losses: dict[str, float]  # means since the last report


def start(model: PromptableModel, options: TrainOptions) -> TrainState:
    """A state at step 0. A model of the SAM 2 family also gets the dense second task, if asked for."""
    wanted = options.dense and model.spec.decoder.high_res
    dense = DenseHead(model.spec.embed_dim).to(model.device) if wanted else None
    trained = choose_parts(model, options.train_parts)
    if dense is not None:
        trained += list(dense.parameters())
    optimiser = make_optimiser(trained, options)
    average = copy.deepcopy(model).eval()
    return TrainState(model, dense, average.requires_grad_(False), optimiser)


def make_optimiser(trained: list[nn.Parameter], options: TrainOptions) -> torch.optim.Optimizer:
    rate, decay = options.learning_rate, options.weight_decay
    if options.optimiser == "muon":
        return Muon(trained, rate, weight_decay=decay)
    return torch.optim.AdamW(trained, lr=rate, weight_decay=decay, fused=True, betas=(0.9, 0.98))


def choose_parts(model: nn.Module, prefixes: tuple[str, ...]) -> list[nn.Parameter]:
    """The parameters whose names start with one of ``prefixes`` (all, if empty); the others are frozen."""
    chosen = []
    for name, parameter in model.named_parameters():
        wanted = not prefixes or name.startswith(prefixes)
        parameter.requires_grad_(wanted)
        if wanted:
            chosen.append(parameter)
    return chosen


def train(state: TrainState, source: SceneSource, options: TrainOptions) -> Iterator[Report]:
    """Run until the time or the steps are used up; yields a report every ``report_steps``.

    Each step draws from its own random stream (seed, step): a run that is killed and resumed sees
    the same prompts as one that was not, as far as its scenes are the same. Processes that train
    together (``train/together.py``) each draw from streams of their own, and share their clock.
    """
    options = own_stream(options)

    def views(step: int) -> Views:
        return make_views(np.random.default_rng([options.seed, step]), source, options.batch, options.prompts)

    yield from train_on(state, views, options)


def train_on(
    state: TrainState,
    views: Callable[[int], Views],
    options: TrainOptions,
    learn: Callable[[Batch], dict[str, Tensor]] | None = None,
) -> Iterator[Report]:
    """As :func:`train`, on the views that ``views(step)`` gives, ``options.batch`` images in each.

    ``learn`` may do a step in another way than :func:`train_step` does (``train/graphed.py``).
    """
    yield from steps(
        state,
        options,
        lambda step: make_batch(views(step), state.model, options, step),
        learn or partial(train_step, state, options),
        photos=options.batch,
    )


def own_stream(options: TrainOptions) -> TrainOptions:
    """The options with a seed that is this process's own among those that train together."""
    return replace(options, seed=options.seed + RANK_STRIDE * rank())


def steps(
    state: TrainState,
    options: TrainOptions,
    make: Callable[[int], Example],
    learn: Callable[[Example], dict[str, Tensor]],
    *,
    photos: int,
) -> Iterator[Report]:
    """``learn`` from what ``make`` makes for each step, one ahead, until time or steps are used up; the means
    of what ``learn`` tells as a report every ``report_steps``. ``photos`` are learnt from in a step."""
    sums: dict[str, Tensor] = {}
    since = 0
    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(make, state.step)
        state.counted_until = time.perf_counter()
        while not finished(state, options):
            example = following.result()
            following = ahead.submit(make, state.step + 1)
            for name, value in learn(example).items():
                sums[name] = sums[name] + value if name in sums else value
            since += 1
            if since == options.report_steps or finished(state, options):
                means = {name: float(total) / since for name, total in sums.items()}
                yield Report(state.step, state.seconds / 60, state.step * photos * processes(), means)
                sums, since = {}, 0
                state.counted_until = time.perf_counter()  # what the caller did with it is not training


def finished(state: TrainState, options: TrainOptions) -> bool:
    return state.seconds >= 60 * options.minutes or (
        options.steps is not None and state.step >= options.steps
    )


def train_step(state: TrainState, options: TrainOptions, batch: Batch) -> dict[str, Tensor]:
    """One batch forward and back; returns the parts of its loss."""
    state.model.train()
    if options.freeze_norms:
        hold_norms(state.model)
    losses = batch_losses(state, batch, options)
    descend(state, torch.stack(list(losses.values())).sum(), options)
    return {name: value.detach() for name, value in losses.items()}


def descend(state: TrainState, loss: Tensor, options: TrainOptions) -> None:
    """Move the weights, and their average, down the loss; the state's clock and step count go on."""
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    move(state, options)


def move(state: TrainState, options: TrainOptions) -> None:
    """The second half of :func:`descend`, once the gradients are there. Processes that train together move
    alike: their gradients and clocks are averaged."""
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(state, options)
    trained = [p for group in state.optimiser.param_groups for p in group["params"]]
    now = time.perf_counter()
    state.seconds = average_gradients(trained, state.seconds + now - state.counted_until)
    state.counted_until = now
    clip_gradients(trained)
    state.optimiser.step()
    update_average(state, options.ema)
    state.step += 1


@torch.no_grad()
def clip_gradients(parameters: list[nn.Parameter]) -> None:
    """Gradients of norm 1 at most, in place; if any is not finite, all become 0 (no waiting for the GPU)."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.stack(torch._foreach_norm(gradients)).norm()
    finite = norm.isfinite()
    torch._foreach_mul_(gradients, torch.where(finite, (1 / (norm + 1e-6)).clamp(max=1.0), 0.0))
    for gradient in gradients:
        gradient.masked_fill_(~finite, 0.0)  # 0 times infinity is not 0


def learning_rate(state: TrainState, options: TrainOptions) -> float:
    """Linear warm-up, then a cosine over the time (or steps) there is."""
    progress = state.seconds / (60 * options.minutes)
    if options.steps is not None:
        progress = max(progress, state.step / options.steps)
    cosine = 0.5 + 0.5 * math.cos(math.pi * min(1.0, progress))
    warm = min(1.0, (state.step + 1) / options.warmup_steps)
    return options.learning_rate * warm * (options.final_rate + (1 - options.final_rate) * cosine)


@torch.no_grad()
def update_average(state: TrainState, decay: float) -> None:
    """Move the averaged weights a little towards the trained ones; faster in the first steps."""
    keep = min(decay, (1 + state.step) / (10 + state.step))
    trained, averages = state.model.state_dict(), state.average.state_dict()
    floating = [name for name, value in averages.items() if value.dtype.is_floating_point]
    torch._foreach_lerp_(
        [averages[name] for name in floating],
        [trained[name].to(averages[name].dtype) for name in floating],
        1 - keep,
    )
    for name in averages.keys() - set(floating):
        averages[name].copy_(trained[name])


@dataclass(frozen=True)
class Batch:
    """Pictures and targets as tensors."""

    pixels: Tensor  # [B, 3, S, S], normalised
    labels: Tensor  # [B, 3, S, S]
    clicks: Tensor  # [P, 2] model pixels; the prompts of the first image first
    boxes: Tensor  # [P, 4]
    truths: Tensor  # [P, 3, s, s]
    valid: Tensor  # [P, 3]
    primary: Tensor  # [P]
    chance: Tensor  # [B * corrections, 1 + s * s] in 0..1: where corrective clicks go
    drawn: Tensor  # [192] cells at stride 8 that the second task looks at

    @property
    def meant(self) -> Tensor:
        """The truth each prompt meant, [P, s, s]."""
        return self.truths[torch.arange(len(self.primary), device=self.primary.device), self.primary]


def make_batch(views: Views, model: PromptableModel, options: TrainOptions, step: int) -> Batch:
    """Views on the model's device, the photos as its trunk takes them, all that their clicks can mean, and
    what chance decides in this step."""
    device, side = model.device, model.spec.image_size
    views = Views(*(x.to(device, non_blocking=True) for x in views))
    truths, valid, primary = nested_truths(views.labels, views.clicks, views.levels)
    pixels = model.normalise(views.photos * (model.frame((side, side)).white / 255))
    generator = torch.Generator(device).manual_seed(options.seed * 1_000_003 + step)
    corrected = options.corrections * len(views.photos)
    chance = torch.rand(corrected, 1 + truths[0, 0].numel(), generator=generator, device=device)
    drawn = torch.randint((side // 8) ** 2, (192,), generator=generator, device=device)
    return Batch(pixels, views.labels, views.clicks, views.boxes, truths, valid, primary, chance, drawn)


def batch_losses(state: TrainState, batch: Batch, options: TrainOptions) -> dict[str, Tensor]:
    """Clicks for half of the prompts, boxes for the others (a quarter of them with a click besides), a
    second round with corrections for a few."""
    model, weights = state.model, options.weights
    with compute_type(model, options.bfloat16):
        features = model.encode_image(batch.pixels)
        order = torch.arange(len(batch.primary), device=batch.primary.device).view(options.batch, -1)
        share = round(options.click_share * options.prompts)
        both = round(BOTH_SHARE * (options.prompts - share))
        by_click, by_both, by_box = (
            order[:, :share].flatten(),
            order[:, share : share + both].flatten(),
            order[:, share + both :].flatten(),
        )
        ones = torch.ones(len(by_click), 1, dtype=torch.int32, device=order.device)
        clicked = ask(model, features, batch, by_click, points=batch.clicks[by_click, None], labels=ones)
        boxed = [ask(model, features, batch, by_box, boxes=batch.boxes[by_box])]
        if both:
            points, labels = batch.clicks[by_both, None], ones[: len(by_both)]
            boxes = batch.boxes[by_both]
            boxed.append(ask(model, features, batch, by_both, points=points, labels=labels, boxes=boxes))
        losses = click_losses(clicked, batch, by_click, weights)
        losses |= box_losses(joined(boxed), batch, torch.cat([by_box, by_both]), weights)
        if options.corrections:
            losses |= correction_losses(model, features, batch, by_click, clicked, options)
    if state.dense is not None:
        losses |= dense_losses(state.dense, features, batch, weights)
    losses["calm"] = weights.calm * features.embedding.float().square().mean()
    return losses


def compute_type(model: PromptableModel, bfloat16: bool):
    """bfloat16 where it is asked for; attention written out, whose backward is faster on CPUs."""
    if not bfloat16:
        return sdpa_kernel(SDPBackend.MATH) if model.device.type == "cpu" else nullcontext()
    return _Both(torch.autocast(model.device.type, torch.bfloat16), model.device.type == "cpu")


class _Both:
    def __init__(self, autocast: torch.autocast, plain_attention: bool) -> None:
        self.managers = [autocast, sdpa_kernel(SDPBackend.MATH)] if plain_attention else [autocast]

    def __enter__(self) -> None:
        for manager in self.managers:
            manager.__enter__()

    def __exit__(self, *error) -> None:
        for manager in reversed(self.managers):
            manager.__exit__(*error)


def ask(
    model: PromptableModel,
    features: ImageFeatures,
    batch: Batch,
    chosen: Tensor,
    *,
    points: Tensor | None = None,
    labels: Tensor | None = None,
    boxes: Tensor | None = None,
    masks: Tensor | None = None,
) -> Decoded:
    """Decode the prompts numbered ``chosen``, equally many of each image, in order; float32 results."""
    each = len(chosen) // len(features)
    own = ImageFeatures(repeat(features.embedding, each), tuple(repeat(x, each) for x in features.high_res))
    arranged = model.arrange(points, labels, boxes)
    decoded = model.decode(own, model.encode_prompts(*arranged, masks))
    score = None if decoded.object_logit is None else decoded.object_logit.float()
    return replace(
        decoded, mask_logits=decoded.mask_logits.float(), iou=decoded.iou.float(), object_logit=score
    )


def joined(parts: list[Decoded]) -> Decoded:
    """The masks and estimates of several calls of :func:`ask`, one after the other."""
    return replace(
        parts[0],
        mask_logits=torch.cat([part.mask_logits for part in parts]),
        iou=torch.cat([part.iou for part in parts]),
    )


def hold_norms(model: nn.Module) -> None:
    """Put batch norms into evaluation mode, in place: a handful of photos is no statistics."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def repeat(x: Tensor, times: int) -> Tensor:
    """[B, ...] -> [B * times, ...]; indexing would do, but its backward is many times slower on CPUs."""
    return x[:, None].expand(-1, times, *x.shape[1:]).flatten(0, 1)


def click_losses(decoded: Decoded, batch: Batch, chosen: Tensor, weights: LossWeights) -> dict[str, Tensor]:
    logits, meant = decoded.mask_logits, batch.meant[chosen]
    share = batch.valid[chosen].float() * weights.other_truths
    share.scatter_(1, batch.primary[chosen, None], 1.0)
    with torch.no_grad():
        quality = true_iou(logits, meant[:, None].expand_as(logits))
    losses = {
        "best": best_of_three(logits[:, 1:], batch.truths[chosen], share, weights).mean(),
        "single": weights.single * mask_loss(logits[:, 0], meant, weights).mean(),
        "iou": weights.iou * (decoded.iou - quality).square().mean(),
    }
    if decoded.object_logit is not None:
        losses["object"] = weights.object_score * nn.functional.softplus(-decoded.object_logit).mean()
    return losses


def box_losses(decoded: Decoded, batch: Batch, chosen: Tensor, weights: LossWeights) -> dict[str, Tensor]:
    logits, meant = decoded.mask_logits, batch.meant[chosen]
    with torch.no_grad():
        quality = true_iou(logits, meant[:, None].expand_as(logits))
    weights = replace(weights, focal=weights.box_focal, dice=weights.box_dice)
    several = mask_loss(logits, meant[:, None].expand_as(logits), weights)  # [P, M]
    loss = several[:, 0] + 0.3 * several[:, 1:].min(dim=1).values
    return {
        "box": loss.mean(),
        "box_quality": 0.5 * weights.iou * (decoded.iou - quality).square().mean(),
    }


def correction_losses(
    model: PromptableModel,
    features: ImageFeatures,
    batch: Batch,
    asked: Tensor,
    first: Decoded,
    options: TrainOptions,
) -> dict[str, Tensor]:
    """A second click where the first answer was wrong, with that answer as the mask prompt."""
    some = (
        torch.arange(len(asked), device=asked.device)
        .view(options.batch, -1)[:, : options.corrections]
        .flatten()
    )
    chosen = asked[some]
    previous = first.mask_logits[some, 1 + first.iou[some, 1:].argmax(1)].detach().clamp(-20, 20)
    truth = batch.meant[chosen] > 0.5
    cells, label = corrective_clicks(previous > 0, truth, batch.chance)
    points = torch.stack([batch.clicks[chosen], 4 * cells + 1.5], dim=1)
    labels = torch.stack([torch.ones_like(label), label], dim=1)
    again = ask(model, features, batch, chosen, points=points, labels=labels, masks=previous[:, None])
    meant = batch.meant[chosen]
    with torch.no_grad():
        quality = true_iou(again.mask_logits[:, 0], meant)
    scale = options.weights.single * len(chosen) / len(asked)
    return {
        "corrected": scale * mask_loss(again.mask_logits[:, 0], meant, options.weights).mean(),
        "corrected_quality": scale * options.weights.iou * (again.iou[:, 0] - quality).square().mean(),
    }


def dense_losses(
    dense: DenseHead, features: ImageFeatures, batch: Batch, weights: LossWeights
) -> dict[str, Tensor]:
    whole = ImageFeatures(features.embedding.float(), tuple(x.float() for x in features.high_res))
    embeddings, edges = dense(whole)
    at_stride8 = batch.labels[..., 4::8, 4::8].flatten(2)[..., batch.drawn]  # [B, 3, N]
    pixels = embeddings.flatten(2)[..., batch.drawn].transpose(1, 2)  # [B, N, D]
    alike = same_region_loss(pixels, at_stride8, dense.scale, dense.bias)
    return {
        "dense": weights.dense * alike,
        "edges": weights.edges * edge_loss(edges, label_edges(batch.labels)),
    }


def save_state(state: TrainState, path: Path) -> None:
    """Write a checkpoint; it replaces the old one only when complete."""
    record = {
        "model": state.model.state_dict(),
        "dense": None if state.dense is None else state.dense.state_dict(),
        "average": state.average.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "step": state.step,
        "seconds": state.seconds,
    }
    partial = path.with_suffix(".partial")
    torch.save(record, partial)
    os.replace(partial, path)


def resume(state: TrainState, path: Path) -> None:
    """Put a checkpoint of :func:`save_state` into a state made by :func:`start` with the same options."""
    record = torch.load(path, map_location=state.model.device, weights_only=True)
    state.model.load_state_dict(record["model"])
    if state.dense is not None:
        state.dense.load_state_dict(record["dense"])
    state.average.load_state_dict(record["average"])
    state.optimiser.load_state_dict(record["optimiser"])
    state.step, state.seconds = record["step"], record["seconds"]
