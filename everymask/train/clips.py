"""Made clips: a scene under a moving camera, and in front of it things that move on their own.

Things wander: they turn round, bend, leave the picture and come back, pass behind one another, and the light
changes. Letters used in shapes: F frames, O objects, S side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from everymask.train.noise import smooth_field
from everymask.train.scenes import WHOLE, Scene

MIN_SHARE = 0.01  # of the frame: smaller things are not followed
CROSSED = 0.4  # share of clips in which something passes in front of the first thing

Draw = Callable[[np.random.Generator], Scene]


@dataclass(frozen=True)
class Clip:
    """Frames RGB uint8 [F, S, S, 3] and the objects to follow as masks bool [O, F, S, S]."""

    frames: np.ndarray
    objects: np.ndarray


def make_clip(
    rng: np.random.Generator,
    draw: Draw,
    side: int,
    frames: int,
    objects: int,
    *,
    pace: int = 1,
    draw_thing: Draw | None = None,
    bending: float = 0.0,
) -> Clip:
    """A clip of ``frames`` frames with up to ``objects`` things to follow; the first one moves on its own.

    ``draw`` gives scenes, ``draw_thing`` (by default the same) those that things are cut out of; ``pace`` is
    the time from frame to frame, 2 for every other frame. Things may be covered, leave the picture and come
    back in later frames; all are in the first one. A share of ``bending`` of the things changes its shape.
    """
    draw_thing = draw_thing or draw
    times = [float(pace * index) for index in range(frames)]
    behind = draw(rng)
    camera = Motion.random(rng, behind.photo.shape[:2], side)
    things = [Thing.random(rng, draw_thing(rng), side, bending)]
    if rng.random() < CROSSED:
        crossing = Thing.random(rng, draw_thing(rng), side, bending)
        things.append(crossing.across(rng, things[0].motion, times[-1]))
    light = Light.random(rng)
    pictures, labels = [], []
    for time in times:
        picture = camera.apply(behind.photo, time, cv2.INTER_LINEAR)
        label_map = camera.apply(behind.labels[WHOLE], time, cv2.INTER_NEAREST).astype(np.int32)
        for number, thing in enumerate(things):
            picture = thing.paint(picture, label_map, time, number=-1 - number)
        pictures.append(light.fall_on(picture, time))
        labels.append(label_map)
    numbers = followed_numbers(rng, labels[0], objects)
    return Clip(np.stack(pictures), np.stack(labels)[None] == numbers[:, None, None, None])


def varied_clip(
    rng: np.random.Generator,
    draw: Draw,
    side: int,
    most_frames: int = 8,
    *,
    draw_thing: Draw | None = None,
    bending: float = 0.0,
) -> Clip:
    """A clip for training: now few frames with several things, now many with one, sometimes in a hurry."""
    frames = int(rng.choice([count for count in (3, 4, 6, 8) if count <= most_frames]))
    pace = int(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15]))
    return make_clip(
        rng, draw, side, frames, max(1, 12 // frames), pace=pace, draw_thing=draw_thing, bending=bending
    )


def followed_numbers(rng: np.random.Generator, labels: np.ndarray, objects: int) -> np.ndarray:
    """Which numbers of the first frame's label map are followed: what moves on its own (negative
    numbers) before parts of the scene, large things only. Where none is large, the largest."""
    numbers, counts = np.unique(labels, return_counts=True)
    large = numbers[counts >= MIN_SHARE * labels.size]
    own, still = large[large < 0][::-1], rng.permutation(large[large > 0])
    chosen = np.concatenate([own, still])[:objects]
    return chosen if len(chosen) else numbers[[counts.argmax()]]


def pick_region(rng: np.random.Generator, scene: Scene) -> np.ndarray:
    """A region of middling size, bool [H, W]; what is not labelled only where nothing else is."""
    label_map = scene.labels[WHOLE]
    shares = np.bincount(label_map.ravel()) / label_map.size
    if (shares[1:] > 0).any():
        shares[0] = 0
    fitting = np.flatnonzero((shares > 0.015) & (shares < 0.25))
    number = rng.choice(fitting) if len(fitting) else int(shares.argmax())
    return label_map == number


@dataclass(frozen=True)
class Motion:
    """A camera or a thing on its way: how source pixels lie in the frame at a time.

    It moves by ``shift_px`` and so on per unit of time at first, slows down, and turns round after
    ``1.6 * swing``: what leaves the picture comes back.
    """

    side: int
    centre_px: np.ndarray  # [2] of the source: what is at ``place_px`` at time 0
    place_px: np.ndarray  # [2]
    zoom: float
    shift_px: np.ndarray  # [2] per unit of time
    growth: float  # of the logarithm of the zoom
    turn: float  # radians
    swing: float

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
        swing = rng.uniform(3, 12)
        if centre_on is None:
            return Motion(
                side=side,
                centre_px=size / 2,
                place_px=np.full(2, side / 2),
                zoom=side / size.min() * rng.uniform(1.1, 1.6),
                shift_px=rng.normal(0, 0.012 * side, 2),
                growth=rng.normal(0, 0.01),
                turn=rng.normal(0, 0.01),
                swing=swing,
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
            swing=swing,
        )

    def travelled(self, time: float) -> float:
        """Time as it counts for the way: slower and slower, then backwards."""
        return self.swing * float(np.sin(time / self.swing))

    def place_at(self, time: float) -> np.ndarray:
        """Where ``centre_px`` of the source lies in the frame, [2] pixels."""
        return self.place_px + self.shift_px * self.travelled(time)

    def apply(
        self, picture: np.ndarray, time: float, interpolation: int, outside: float | None = None
    ) -> np.ndarray:
        """The source as it lies in the frame, [S, S(, C)]; mirrored where it ends, or ``outside``."""
        way = self.travelled(time)
        zoom, angle = self.zoom * np.exp(self.growth * way), self.turn * way
        linear = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = np.column_stack([linear, self.place_at(time) - linear @ self.centre_px])
        border = cv2.BORDER_REFLECT if outside is None else cv2.BORDER_CONSTANT
        return cv2.warpAffine(picture, matrix, (self.side, self.side), flags=interpolation, borderMode=border)


@dataclass(frozen=True)
class Thing:
    """Something cut out of a scene that moves on its own."""

    photo: np.ndarray  # uint8 [H, W, 3]
    share: np.ndarray  # float32 [H, W], 1 where the thing is
    motion: Motion
    bend: Bend | None = None

    @staticmethod
    def random(rng: np.random.Generator, scene: Scene, side: int, bending: float = 0.0) -> Thing:
        region = pick_region(rng, scene)
        motion = Motion.random(rng, scene.photo.shape[:2], side, centre_on=region)
        bend = Bend.random(rng, region) if rng.random() < bending else None
        return Thing(scene.photo, region.astype(np.float32), motion, bend)

    def across(self, rng: np.random.Generator, other: Motion, last: float) -> Thing:
        """The same thing, on a way that crosses ``other`` before the time ``last``, from beside it."""
        meeting = rng.uniform(0.3, 0.8) * max(last, 1.0)
        angle = rng.uniform(0, 2 * np.pi)
        away = self.motion.side * rng.uniform(0.4, 0.7) * np.array([np.cos(angle), np.sin(angle)])
        way = replace(
            self.motion,
            place_px=other.place_at(meeting) + away,
            shift_px=-away / meeting,
            swing=100 * meeting,  # straight on
        )
        return replace(self, motion=way)

    def paint(self, picture: np.ndarray, labels: np.ndarray, time: float, number: int) -> np.ndarray:
        """``picture`` uint8 [S, S, 3] with the thing in front; its pixels in ``labels`` become ``number``."""
        share, colours = self.share, self.photo
        if self.bend is not None:
            share, colours = self.bend.apply(share, time), self.bend.apply(colours, time)
        share = self.motion.apply(share, time, cv2.INTER_LINEAR, outside=0.0)
        if not share.any():
            return picture
        colours = self.motion.apply(colours, time, cv2.INTER_LINEAR)
        labels[share > 0.5] = number
        mixed = picture + share[..., None] * (colours.astype(np.float32) - picture)
        return mixed.astype(np.uint8)


@dataclass(frozen=True)
class Bend:
    """A change of shape that comes and goes, as limbs move."""

    push_px: np.ndarray  # float32 [H, W, 2], at its strongest
    period: float

    @staticmethod
    def random(rng: np.random.Generator, region: np.ndarray) -> Bend:
        """Pushes of up to about a tenth of the region's extent, a few bumps across it."""
        height, width = region.shape
        extent = max(cv2.boundingRect(region.view(np.uint8))[2:])
        side = max(height, width)
        cells = side / extent * rng.uniform(1.5, 4)
        push = np.stack([smooth_field(rng, side, cells) for _ in range(2)], -1)[:height, :width]
        return Bend((rng.uniform(0.02, 0.08) * extent * push).astype(np.float32), rng.uniform(1.5, 6))

    def apply(self, picture: np.ndarray, time: float) -> np.ndarray:
        """The picture [H, W(, C)] as it is bent at a time; at time 0 not at all."""
        ys, xs = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]].astype(np.float32)
        push = self.push_px * np.float32(np.sin(time / self.period))
        return cv2.remap(picture, xs + push[..., 0], ys + push[..., 1], cv2.INTER_LINEAR)


@dataclass(frozen=True)
class Light:
    """Exposure and colour that change in time."""

    strength: np.ndarray  # [3] by channel, of the logarithm of brightness
    period: float
    phase: float

    @staticmethod
    def random(rng: np.random.Generator) -> Light:
        common = abs(rng.normal(0, 0.15)) if rng.random() < 0.6 else 0.0
        return Light(common + rng.normal(0, 0.03, 3), rng.uniform(2, 10), rng.uniform(0, 2 * np.pi))

    def fall_on(self, picture: np.ndarray, time: float) -> np.ndarray:
        """A picture uint8 [S, S, 3] under the light of a time."""
        gain = np.exp(self.strength * np.sin(time / self.period + self.phase))
        levels = np.clip(np.arange(256)[:, None] * gain, 0, 255).astype(np.uint8)  # [256, 3]
        return np.asarray(cv2.LUT(picture, levels[None]))
