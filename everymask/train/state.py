"""A training run: how it is asked for, what it needs to go on, and its checkpoints."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from everymask.formats.landing import landing
from everymask.models.base import PromptableModel
from everymask.train.dense import DenseHead
from everymask.train.losses import LossWeights
from everymask.train.muon import Muon


@dataclass(frozen=True)
class TrainOptions:
    """How long, how fast, in what portions."""

    minutes: float = 60.0  # of training time, earlier stretches of the same run counted in
    steps: int | None = None  # stop after this many steps, if earlier
    batch: int = 4
    prompts: int = 8  # per image
    click_share: float = 0.44  # of the prompts; the others are boxes
    corrections: int = 1  # prompts per image that go on with more clicks, from click and box prompts in turn
    most_clicks: int = 2  # of these: how many clicks at most, drawn for each step
    lesson_share: float = 0.0  # of the steps, that a teacher gives (``train/distil.py``), where there is one
    rough_masks: int = 0  # prompts per image that are also asked by a rough mask alone
    learning_rate: float = 8e-4
    final_rate: float = 0.02  # share of the learning rate that is left at the end (cosine)
    warmup_steps: int = 200
    weight_decay: float = 0.02
    ema: float = 0.999
    bfloat16: bool | None = None  # autocast; None: where the device is faster in it
    seed: int = 0
    train_parts: tuple[str, ...] = ()  # name prefixes; empty: all
    optimiser: Literal["adam", "muon"] = "adam"
    dense: bool = True  # the second task; for label maps that are known nearly everywhere
    dense_after: int = (
        0  # steps in which it does not reach the encoder yet: for good weights with a fresh head
    )
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


FROZEN = "image_encoder.trunk.pretrained."
"""What never learns: a pretrained network keeps what it knows, its classifier fits, no backward is paid."""


def choose_parts(model: nn.Module, prefixes: tuple[str, ...]) -> list[nn.Parameter]:
    """The parameters whose names start with one of ``prefixes`` (all, if empty), without :data:`FROZEN`; the
    others are frozen."""
    chosen = []
    for name, parameter in model.named_parameters():
        wanted = (not prefixes or name.startswith(prefixes)) and not name.startswith(FROZEN)
        parameter.requires_grad_(wanted)
        if wanted:
            chosen.append(parameter)
    return chosen


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
    with landing(path) as temporary, temporary.open("wb") as file:  # torch's own writer hides a full disk
        torch.save(record, file)


def resume(state: TrainState, path: Path) -> None:
    """Put a checkpoint of :func:`save_state` into a state made by :func:`start` with the same options."""
    record = torch.load(path, map_location=state.model.device, weights_only=True)
    state.model.load_state_dict(record["model"])
    if state.dense is not None:
        state.dense.load_state_dict(record["dense"])
    state.average.load_state_dict(record["average"])
    state.optimiser.load_state_dict(record["optimiser"])
    state.step, state.seconds = record["step"], record["seconds"]
