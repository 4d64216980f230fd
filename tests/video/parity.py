"""The official video predictor next to ours: same seeded weights, same frames."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from everymask.models.specs import MODELS, ModelSpec
from everymask.nn.encoders.hiera import HieraSpec
from tests.parity.official import seeded_pair

TINY_TRUNK = HieraSpec(24, 1, (1, 1, 2, 1), (3,), (7, 7), window_sizes=(8, 4, 4, 2))


def tiny(name: str = "sam2.1_hiera_tiny", *, image_size: int = 128) -> ModelSpec:
    """A model of the family's every part and flag, small enough for the default tests."""
    spec = MODELS[name]
    assert spec.memory is not None
    return replace(
        spec,
        trunk=TINY_TRUNK,
        image_size=image_size,
        embed_dim=64,
        decoder=replace(spec.decoder, mlp_dim=64, iou_hidden_dim=32),
        memory=replace(spec.memory, dim=16, layers=2, mlp_dim=64),
    )


def video_pair(spec: ModelSpec, seed: int = 0, **flags: Any) -> tuple[Any, Any]:
    """Our model and the official predictor; ``flags`` are attributes of the latter."""
    ours, official = seeded_pair(spec, seed, video=True)
    for name, value in flags.items():
        assert hasattr(official, name)
        setattr(official, name, value)
    return ours, official


def moving_scene(count: int, hw: tuple[int, int] = (90, 140)) -> np.ndarray:
    """Frames with a disc and a square that move over a pattern, uint8 [N, H, W, 3]."""
    height, width = hw
    y, x = np.mgrid[:height, :width]
    frames = []
    for i in range(count):
        red = 120 + 60 * np.sin(x / 9 + i / 7)
        frame = np.stack([red, 90 + 50 * np.cos(y / 6), 110 + 0 * x], axis=-1)
        frame[(x - 30 - 2 * i) ** 2 + (y - 40 - i / 2) ** 2 < 200] = (230, 210, 40)
        frame[(abs(x - 110 + 2 * i) < 12) & (abs(y - 60) < 12)] = (20, 60, 200)
        frames.append(frame)
    return np.clip(np.stack(frames), 0, 255).astype(np.uint8)


def write_jpegs(folder: Path, frames: np.ndarray) -> Path:
    """Frames as the official loader wants them: 00000.jpg, 00001.jpg, ..."""
    folder.mkdir(exist_ok=True)
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{i:05d}.jpg", quality=95)
    return folder


@contextmanager
def components_without_cuda() -> Iterator[None]:
    """The official hole filling needs a CUDA extension and is left out without it; here OpenCV stands in."""
    import cv2
    from sam2.utils import misc

    def components(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        labels, areas = torch.zeros(mask.shape, dtype=torch.int32), torch.zeros(mask.shape, dtype=torch.int32)
        for n, one in enumerate(mask[:, 0].numpy().astype(np.uint8)):
            _, found, stats, _ = cv2.connectedComponentsWithStats(one, connectivity=8)
            labels[n, 0] = torch.from_numpy(found)
            areas[n, 0] = torch.from_numpy(stats[:, cv2.CC_STAT_AREA])[labels[n, 0].long()]
        return labels, areas

    kept = misc.get_connected_components
    misc.get_connected_components = components
    try:
        yield
    finally:
        misc.get_connected_components = kept


def spread_error(ours: np.ndarray, official: np.ndarray) -> float:
    """The largest difference of logits over the official ones' standard deviation, absent ones left out."""
    absent = official <= -1023
    assert np.array_equal(absent, ours <= -1023)
    if absent.all():
        return 0.0
    spread = float(official[~absent].std())
    return float(np.abs(ours - official)[~absent].max()) / spread
