"""Another view of a scene: crop, stretch, mirror, other colours."""

from __future__ import annotations

import cv2
import numpy as np

from everymask.train.scenes import Scene


def augment(rng: np.random.Generator, scene: Scene, side: int) -> Scene:
    """A random view of ``scene`` at ``side`` pixels; the label maps move with the photo."""
    height, width = scene.photo.shape[:2]
    share = rng.uniform(0.55, 1.0)
    aspect = np.exp(rng.uniform(-0.25, 0.25))
    crop_w = int(min(width, width * share * aspect))
    crop_h = int(min(height, height * share / aspect))
    left, top = rng.integers(0, width - crop_w + 1), rng.integers(0, height - crop_h + 1)
    window = slice(top, top + crop_h), slice(left, left + crop_w)
    shrinks = crop_w > side
    photo = cv2.resize(
        scene.photo[window], (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    labels = np.stack(
        [cv2.resize(x[window], (side, side), interpolation=cv2.INTER_NEAREST) for x in scene.labels]
    )
    if rng.random() < 0.5:
        photo, labels = photo[:, ::-1], labels[:, :, ::-1]
    if rng.random() < 0.1:
        photo, labels = photo.transpose(1, 0, 2), labels.transpose(0, 2, 1)
    return Scene(recolour(rng, np.ascontiguousarray(photo)), np.ascontiguousarray(labels))


def recolour(rng: np.random.Generator, photo: np.ndarray) -> np.ndarray:
    """Other exposure, contrast, saturation and white balance, uint8 [S, S, 3]."""
    if rng.random() < 0.3:
        return photo
    saturation = rng.uniform(0.5, 1.3)
    matrix = np.exp(rng.normal(0, 0.05, 3))[:, None] * (saturation * np.eye(3) + (1 - saturation) / 3)
    contrast, brightness = rng.uniform(0.7, 1.2), rng.normal(0, 12)
    shift = 128 * (1 - contrast) + brightness
    return cv2.transform(photo, np.column_stack([contrast * matrix, np.full(3, shift)]))
