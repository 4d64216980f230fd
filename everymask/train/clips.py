"""Short made clips: a scene under a moving camera, and in front of it a thing that moves on its own.

Letters used in shapes: F frames, S side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from everymask.train.scenes import WHOLE, Scene

MIN_SHARE = 0.01  # of the frame: smaller things are not followed


@dataclass(frozen=True)
class Clip:
    """Frames RGB uint8 [F, S, S, 3] and the objects to follow as masks bool [O, F, S, S]."""

    frames: np.ndarray
    objects: np.ndarray


def make_clip(
    rng: np.random.Generator,
    draw: Callable[[np.random.Generator], Scene],
    side: int,
    frames: int,
    objects: int,
) -> Clip:
    """A clip of ``frames`` frames with up to ``objects`` things to follow; the first one moves on its own.

    ``draw`` gives scenes. Things may be covered, and leave the picture, in later frames; all are in the
    first one.
    """
    behind, other = draw(rng), draw(rng)
    thing = pick_region(rng, other)
    camera = Motion.random(rng, behind.photo.shape[:2], side)
    own = Motion.random(rng, other.photo.shape[:2], side, centre_on=thing)
    pictures, labels, covers = [], [], []
    for time in range(frames):
        photo = camera.apply(behind.photo, time, cv2.INTER_LINEAR)
        label_map = camera.apply(behind.labels[WHOLE], time, cv2.INTER_NEAREST)
        alpha = own.apply(thing.astype(np.float32), time, cv2.INTER_LINEAR, outside=0.0)
        colours = own.apply(other.photo, time, cv2.INTER_LINEAR)
        mixed = photo + alpha[..., None] * (colours.astype(np.float32) - photo)
        pictures.append(mixed.astype(np.uint8))
        labels.append(np.where(alpha > 0.5, 0, label_map))
        covers.append(alpha > 0.5)
    followed = [np.stack(covers)] if covers[0].mean() >= MIN_SHARE else []
    numbers, counts = np.unique(labels[0], return_counts=True)
    large = [n for n, c in zip(numbers, counts, strict=True) if n and c >= MIN_SHARE * labels[0].size]
    for number in rng.permutation(large)[: objects - len(followed)]:
        followed.append(np.stack([label_map == number for label_map in labels]))
    if not followed:
        followed = [np.stack([label_map >= 0 for label_map in labels])]
    return Clip(np.stack(pictures), np.stack(followed))


def pick_region(rng: np.random.Generator, scene: Scene) -> np.ndarray:
    """A region of middling size, bool [H, W]."""
    label_map = scene.labels[WHOLE]
    shares = np.bincount(label_map.ravel()) / label_map.size
    fitting = np.flatnonzero((shares > 0.015) & (shares < 0.25))
    number = rng.choice(fitting) if len(fitting) else int(shares.argmax())
    return label_map == number


@dataclass(frozen=True)
class Motion:
    """A camera or a thing on its way: how source pixels lie in the frame, changing a little every frame."""

    side: int
    centre_px: np.ndarray  # [2] of the source: what is at ``place_px`` of the first frame
    place_px: np.ndarray  # [2]
    zoom: float
    shift_px: np.ndarray  # [2] per frame
    growth: float  # per frame, of the logarithm of the zoom
    turn: float  # radians per frame

    @staticmethod
    def random(
        rng: np.random.Generator,
        source_hw: tuple[int, int],
        side: int,
        *,
        centre_on: np.ndarray | None = None,
    ) -> Motion:
        """A camera over the whole source, or, with ``centre_on`` (bool [H, W]), that thing on its own way."""
        size = np.array(source_hw[::-1], float)
        if centre_on is None:
            return Motion(
                side=side,
                centre_px=size / 2,
                place_px=np.full(2, side / 2),
                zoom=side / size.min() * rng.uniform(1.1, 1.6),
                shift_px=rng.normal(0, 0.012 * side, 2),
                growth=rng.normal(0, 0.01),
                turn=rng.normal(0, 0.01),
            )
        ys, xs = np.nonzero(centre_on)
        extent = max(float(np.ptp(xs)), float(np.ptp(ys)), 1.0)
        return Motion(
            side=side,
            centre_px=np.array([xs.mean(), ys.mean()]),
            place_px=rng.uniform(0.2 * side, 0.8 * side, 2),
            zoom=side * rng.uniform(0.2, 0.55) / extent,
            shift_px=rng.normal(0, 0.04 * side, 2),
            growth=rng.normal(0, 0.04),
            turn=rng.normal(0, 0.06),
        )

    def apply(
        self, picture: np.ndarray, time: int, interpolation: int, outside: float | None = None
    ) -> np.ndarray:
        """The source as it lies in frame ``time``, [S, S(, C)]; mirrored where it ends, or ``outside``."""
        side = self.side
        zoom, angle = self.zoom * np.exp(self.growth * time), self.turn * time
        linear = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        place = self.place_px + self.shift_px * time
        matrix = np.column_stack([linear, place - linear @ self.centre_px])
        border = cv2.BORDER_REFLECT if outside is None else cv2.BORDER_CONSTANT
        return cv2.warpAffine(picture, matrix, (side, side), flags=interpolation, borderMode=border)
