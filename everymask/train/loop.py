"""The training loop: steps, averages, reports."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from everymask.train.distil import Lesson, lesson_losses
from everymask.train.objective import Batch, batch_losses, make_batch
from everymask.train.state import TrainOptions, TrainState
from everymask.train.together import average_gradients, processes, rank
from everymask.train.views import SceneSource, Views, make_views

RANK_STRIDE = 7919  # between the seeds of processes that train together

Example = TypeVar("Example")


@dataclass(frozen=True)
class Report:
    """What the loop tells while it runs."""

    step: int
    minutes: float
    images: int
    losses: dict[str, float]  # means since the last report


def train(
    state: TrainState,
    source: SceneSource,
    options: TrainOptions,
    lessons: Callable[[np.random.Generator], Lesson] | None = None,
) -> Iterator[Report]:
    """Run until the time or the steps are used up; yields a report every ``report_steps``.

    A share ``options.lesson_share`` of the steps learns from ``lessons`` of a teacher instead.

    Each step draws from its own random stream (seed, step): a run that is killed and resumed sees
    the same prompts as one that was not, as far as its scenes are the same. Processes that train
    together (``train/together.py``) each draw from streams of their own, and share their clock.
    """
    options = own_stream(options)

    def views(step: int) -> Views:
        return make_views(np.random.default_rng([options.seed, step]), source, options.batch, options.prompts)

    if lessons is None or options.lesson_share == 0:
        yield from train_on(state, views, options)
        return

    def make(step: int) -> Batch | Lesson:
        rng = np.random.default_rng([options.seed, step, 6])
        if rng.random() < options.lesson_share:
            return lessons(rng)
        return make_batch(views(step), state.model, options, step)

    yield from steps(state, options, make, partial(train_step, state, options), photos=options.batch)


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
    counts: Counter[str] = Counter()
    since = 0
    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(make, state.step)
        state.counted_until = time.perf_counter()
        while not finished(state, options):
            example = following.result()
            following = ahead.submit(make, state.step + 1)
            for name, value in learn(example).items():
                sums[name] = sums[name] + value if name in sums else value
                counts[name] += 1
            since += 1
            if since == options.report_steps or finished(state, options):
                means = {name: float(total) / counts[name] for name, total in sums.items()}
                yield Report(state.step, state.seconds / 60, state.step * photos * processes(), means)
                sums, since = {}, 0
                counts.clear()
                state.counted_until = time.perf_counter()  # what the caller did with it is not training


def finished(state: TrainState, options: TrainOptions) -> bool:
    return state.seconds >= 60 * options.minutes or (
        options.steps is not None and state.step >= options.steps
    )


def train_step(state: TrainState, options: TrainOptions, batch: Batch | Lesson) -> dict[str, Tensor]:
    """One batch, or a teacher's lesson, forward and back; returns the parts of its loss."""
    state.model.train()
    if options.freeze_norms:
        hold_norms(state.model)
    if isinstance(batch, Lesson):
        losses = lesson_losses(state.model, batch, options)
    else:
        losses = batch_losses(state, batch, options)
    descend(state, torch.stack(list(losses.values())).sum(), options)
    return {name: value.detach() for name, value in losses.items()}


def hold_norms(model: nn.Module) -> None:
    """Put batch norms into evaluation mode, in place: a handful of photos is no statistics."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


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
