"""From a clean composition to something a camera might have taken: light, blur, noise, tone.

Pictures are float32 RGB [S, S, 3] in 0..255 until :func:`photograph` makes them uint8.
"""

from __future__ import annotations

import cv2
import numpy as np

from everymask.train.noise import smooth_field


def shade(rng: np.random.Generator, alpha: np.ndarray) -> np.ndarray:
    """The light on an object [h, w], around 1: brighter towards one side, darker along its rim."""
    side = max(alpha.shape)
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.35)
    along = np.linspace(-strength, strength, side, dtype=np.float32)
    light = (
        1
        + np.float32(np.cos(angle)) * along[None, : alpha.shape[1]]
        + np.float32(np.sin(angle)) * along[: alpha.shape[0], None]
    )
    if rng.random() < 0.5:
        reach = 0.5 + rng.uniform(0.01, 0.06) * side
        light = light * (1 - rng.uniform(0.2, 0.9) * (1 - cv2.GaussianBlur(alpha, (0, 0), reach)))
    if rng.random() < 0.3:
        bumps = smooth_field(rng, side, rng.uniform(2, 8))
        light = light + rng.uniform(0.03, 0.15) * bumps[: alpha.shape[0], : alpha.shape[1]]
    return light


def cast_shadow(rng: np.random.Generator, picture: np.ndarray, alpha: np.ndarray) -> None:
    """Darken ``picture`` [h, w, 3], in place, where an object of ``alpha`` is about to cast a shadow."""
    height, width = alpha.shape
    shift = rng.normal(0, 0.05, 2) * max(alpha.shape)
    displace = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    moved = cv2.warpAffine(alpha, displace, (width, height))
    soft = cv2.GaussianBlur(moved, (0, 0), 0.5 + rng.uniform(0.005, 0.05) * max(alpha.shape))
    picture *= 1 - rng.uniform(0.15, 0.6) * soft[..., None]


def light_scene(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Uneven light over the whole photo, sometimes with the edge of a large shadow across it."""
    side = picture.shape[0]
    light = 1 + rng.uniform(0, 0.15) * smooth_field(rng, side, rng.uniform(0.7, 2))
    if rng.random() < 0.35:
        field = smooth_field(rng, side, rng.uniform(1, 4))
        edge = 0.5 + 0.5 * np.tanh(field * rng.uniform(2, 20))
        light = light * (1 - rng.uniform(0.15, 0.45) * edge)
    return picture * np.clip(light, 0.2, 2)[..., None]


def photograph(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Exposure, colour cast, blur, noise -> uint8."""
    if rng.random() < 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.3) * picture.shape[0] / 384)
    gamma, cast = np.exp(rng.normal(0, 0.2)), np.exp(rng.normal(0, 0.06, 3))
    levels = np.linspace(0, 1, 256)[:, None] ** gamma * cast * 255
    exact = np.clip(picture, 0, 255).astype(np.uint8)
    picture = cv2.LUT(exact, np.clip(levels, 0, 255).astype(np.uint8)[None]).astype(np.float32)
    if rng.random() < 0.06:
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < 0.4:
        channels = 1 if rng.random() < 0.5 else 3
        noise = rng.standard_normal((*picture.shape[:2], channels), np.float32)
        picture = picture + rng.uniform(1, 9) * noise
    return np.clip(picture, 0, 255).astype(np.uint8)
