"""Scenes on disk: one process makes them, the training process reads those that are there so far."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from everymask.opencv import encoded
from everymask.train.scenes import Scene, make_scene
from everymask.train.sources import Bank


def write_scenes(
    folder: Path | str,
    bank: Bank,
    *,
    seed: int,
    start: int = 0,
    count: int,
    side: int = 384,
) -> Iterator[int]:
    """Make scenes ``start`` .. ``start + count - 1`` and yield each index once its file is complete.

    Files that are there already are left alone, so that an interrupted run continues.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(start, start + count):
        target = folder / scene_name(seed, index)
        if not target.exists():
            scene = make_scene(seed, index, bank, side)
            save_scene(target, scene, quality=jpeg_quality(seed, index))
        yield index


def scene_name(seed: int, index: int) -> str:
    return f"{seed:03d}_{index:07d}.npz"


def jpeg_quality(seed: int, index: int) -> int:
    """Between hard (40) and mild (95) compression: real photos were compressed too."""
    return int(np.random.default_rng([seed, index, 1]).choice([40, 60, 75, 85, 92, 95]))


def save_scene(target: Path, scene: Scene, quality: int = 92) -> None:
    """Write one scene; it appears under its name only when complete."""
    photo = to_jpeg(scene.photo, quality)
    labels = encoded(np.concatenate(list(scene.labels)), ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1])
    partial = target.with_suffix(".partial")
    with open(partial, "wb") as file:
        np.savez(file, photo=photo, labels=np.frombuffer(labels, np.uint8))
    os.replace(partial, target)


def load_scene(path: Path | str) -> Scene:
    """The scene in one file of :func:`write_scenes`."""
    with np.load(path) as file:
        photo = from_jpeg(file["photo"])
        labels = np.asarray(cv2.imdecode(file["labels"], cv2.IMREAD_UNCHANGED))
    return Scene(photo, labels.reshape(3, -1, labels.shape[1]))


def to_jpeg(photo: np.ndarray, quality: int) -> np.ndarray:
    """The bytes of a photo RGB uint8 [H, W, 3] as JPEG, uint8 [N]."""
    data = encoded(np.ascontiguousarray(photo[..., ::-1]), ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.frombuffer(data, np.uint8)


def from_jpeg(data: np.ndarray) -> np.ndarray:
    """What :func:`to_jpeg` left of the photo, RGB uint8 [H, W, 3]."""
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1])


class SceneFolder:
    """The scenes in a folder, looked up again from time to time while the folder grows."""

    def __init__(self, folder: Path | str, refresh_every: int = 500) -> None:
        self.folder, self.refresh_every = Path(folder), refresh_every
        self.paths: list[str] = []
        self.drawn = 0

    def __len__(self) -> int:
        return len(self.paths)

    def draw(self, rng: np.random.Generator) -> Scene:
        """A random scene, the newest 4000 more often than the rest."""
        if self.drawn % self.refresh_every == 0:
            self.paths = sorted(e.path for e in os.scandir(self.folder) if e.name.endswith(".npz"))
        self.drawn += 1
        first = max(0, len(self.paths) - 4000) if rng.random() < 0.5 else 0
        return load_scene(self.paths[rng.integers(first, len(self.paths))])
