"""What a training step sees, made on CPUs: views of scenes, and who asks for what in them.

Letters used in shapes: B images, P prompts, equally many of each image, S side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from everymask.train.augment import hard_view
from everymask.train.cache import PSEUDO_SHARE, any_scene, jpeg_quality
from everymask.train.prompts import JITTERED, draw_targets
from everymask.train.scenes import Scene
from everymask.train.sources import Bank, read_bank

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
    pseudo_share: float = PSEUDO_SHARE  # of the scenes
    pool: int = 2000  # scenes that each worker keeps in memory (0.9 MB each at 384 px)
    first: int = 12  # scenes that each worker makes before its first batch
    bank: str | None = None  # the folder of free pictures; None: scenes of drawn things only
    seed: int = 0


class ViewStream(IterableDataset):
    """Batches without end: each worker paints scenes of its own, keeps the latest, shows views of them."""

    def __init__(self, options: StreamOptions) -> None:
        self.options = options

    def __iter__(self) -> Iterator[Views]:
        cv2.setNumThreads(1)
        worker = get_worker_info()
        number = 0 if worker is None else worker.id
        options = self.options
        rng = np.random.default_rng([options.seed, number])
        bank = Bank() if options.bank is None else read_bank(options.bank)
        pool = ScenePool(bank, options, 1000 * options.seed + number)
        while len(pool.scenes) < options.first:
            pool.grow()
        owed = 0.0
        while True:
            yield make_views(rng, pool.view, options.images, options.prompts, options.jittered)
            owed += options.images / options.views_per_scene
            while owed >= 1:
                pool.grow()
                owed -= 1


class ScenePool:
    """The scenes that one worker has made, the oldest replaced once there are enough."""

    def __init__(self, bank: Bank, options: StreamOptions, seed: int) -> None:
        self.bank, self.options, self.seed = bank, options, seed
        self.scenes: list[Scene] = []
        self.made = 0

    def grow(self) -> None:
        """Paint the next scene, compressed as photos are."""
        options = self.options
        scene = any_scene(self.seed, self.made, self.bank, options.scene_side, options.pseudo_share)
        scene = Scene(compressed(scene.photo, jpeg_quality(self.seed, self.made)), scene.labels)
        if len(self.scenes) < self.options.pool:
            self.scenes.append(scene)
        else:
            self.scenes[self.made % self.options.pool] = scene
        self.made += 1

    def draw(self, rng: np.random.Generator) -> Scene:
        return self.scenes[rng.integers(len(self.scenes))]

    def view(self, rng: np.random.Generator) -> Scene:
        return hard_view(rng, self.draw, self.options.side)


def compressed(photo: np.ndarray, quality: int) -> np.ndarray:
    """The photo after JPEG, RGB uint8 [H, W, 3]."""
    _, data = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1])


def stream_views(options: StreamOptions, workers: int) -> Iterator[Views]:
    """Batches of :class:`ViewStream` from ``workers`` fresh processes, each of which reads the bank."""
    loader = DataLoader(
        ViewStream(options),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=2,
        pin_memory=torch.cuda.is_available(),
        multiprocessing_context="spawn",
    )
    return iter(loader)
