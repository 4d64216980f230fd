"""What a training step sees, made on CPUs: views of scenes, and who asks for what in them.

Letters used in shapes: B images, P prompts, equally many of each image, S side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from queue import Empty
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from everymask.errors import TrainingError
from everymask.train.augment import hard_view
from everymask.train.cache import from_jpeg, jpeg_quality, to_jpeg
from everymask.train.prompts import JITTERED, draw_targets
from everymask.train.scenes import Scene, make_scene
from everymask.train.sources import Bank, read_bank

LOOK_SECONDS = 5.0  # how often a waiting trainer looks whether its workers are still alive

SceneSource = Callable[[np.random.Generator], Scene]  # a scene at the model's side, augmented


class Views(NamedTuple):
    """Pictures and prompts; the prompts of the first image first."""

    photos: Tensor  # uint8 [B, 3, S, S] RGB
    labels: Tensor  # uint8 [B, 3, S, S] parts, wholes, groups
    clicks: Tensor  # [P, 2] pixels
    boxes: Tensor  # [P, 4] pixels
    levels: Tensor  # [P] the label map that was meant


def make_views(
    rng: np.random.Generator, source: SceneSource, images: int, prompts: int, jittered: float = JITTERED
) -> Views:
    """``images`` views with ``prompts`` targets each; the same for the same random stream and scenes. A share
    of ``jittered`` of the boxes is inexact."""
    scenes = [source(rng) for _ in range(images)]
    targets = [
        target for scene in scenes for target in draw_targets(rng, scene.labels, prompts, jittered=jittered)
    ]
    return Views(
        photos=torch.from_numpy(np.stack([scene.photo.transpose(2, 0, 1) for scene in scenes])),
        labels=torch.from_numpy(np.stack([scene.labels for scene in scenes])),
        clicks=torch.from_numpy(np.stack([target.click_xy for target in targets])),
        boxes=torch.from_numpy(np.stack([target.box_xyxy for target in targets])),
        levels=torch.tensor([target.level for target in targets]),
    )


@dataclass(frozen=True)
class StreamOptions:
    """How worker processes keep a GPU busy."""

    images: int = 64  # of one batch
    prompts: int = 12  # per image
    jittered: float = JITTERED  # share of the boxes
    side: int = 320
    scene_side: int = 384
    views_per_scene: float = 4.0
    pool: int = 2000  # scenes that each worker keeps in memory (0.9 MB each at 384 px)
    first: int = 12  # scenes that each worker makes before its first batch
    bank: str | None = None  # the folder of free pictures; None: scenes of drawn things only
    seed: int = 0


class ScenePool:
    """The scenes that one worker has made, the oldest replaced once there are enough."""

    def __init__(self, bank: Bank, options: StreamOptions, seed: int) -> None:
        self.bank, self.options, self.seed = bank, options, seed
        self.scenes: list[Scene] = []
        self.made = 0

    def grow(self) -> None:
        """Paint the next scene, compressed as photos are."""
        options = self.options
        scene = make_scene(self.seed, self.made, self.bank, options.scene_side)
        scene = Scene(from_jpeg(to_jpeg(scene.photo, jpeg_quality(self.seed, self.made))), scene.labels)
        if len(self.scenes) < self.options.pool:
            self.scenes.append(scene)
        else:
            self.scenes[self.made % self.options.pool] = scene
        self.made += 1

    def draw(self, rng: np.random.Generator) -> Scene:
        return self.scenes[rng.integers(len(self.scenes))]

    def view(self, rng: np.random.Generator) -> Scene:
        return hard_view(rng, self.draw, self.options.side)


def stream_views(options: StreamOptions, workers: int) -> Iterator[Views]:
    """Batches without end from ``workers`` fresh processes, which end with the iterator. Each paints scenes
    of its own, keeps the latest, and shows views of them. Raises TrainingError if none come any more because
    processes failed."""
    context = torch.multiprocessing.get_context("spawn")
    queue = context.Queue(maxsize=2 * workers)
    processes = [
        context.Process(target=_fill, args=(queue, options, number), daemon=True) for number in range(workers)
    ]
    for process in processes:
        process.start()
    try:
        while True:
            yield _next(queue, processes)
    finally:
        for process in processes:  # at once: one that ends by itself may be in the middle of sending
            process.terminate()


def _next(queue: Queue, processes: Sequence[BaseProcess]) -> Views:
    while True:
        try:
            return Views(*queue.get(timeout=LOOK_SECONDS))
        except Empty:
            failed = [process.exitcode for process in processes if not process.is_alive()]
            if failed:
                raise TrainingError(
                    f"{len(failed)} of {len(processes)} processes that make views ended (exit status "
                    f"{failed[0]}); their errors are printed above; with too little memory, use fewer or a "
                    "smaller pool"
                ) from None


def _fill(queue: Queue, options: StreamOptions, number: int) -> None:
    """What a worker process does, until it is ended."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    rng = np.random.default_rng([options.seed, number])
    bank = Bank() if options.bank is None else read_bank(options.bank)
    pool = ScenePool(bank, options, 1000 * options.seed + number)
    while len(pool.scenes) < options.first:
        pool.grow()
    owed = 0.0
    while True:
        queue.put(tuple(make_views(rng, pool.view, options.images, options.prompts, options.jittered)))
        owed += options.images / options.views_per_scene
        while owed >= 1:
            pool.grow()
            owed -= 1
