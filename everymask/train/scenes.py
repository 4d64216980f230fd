"""Made scenes: a photo-like picture and the nested regions that are true of it.

    background regions -> their textures -> objects one behind another, parts inside them, groups of
    equals -> light -> camera

The same seed, index and bank give the same scene, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from everymask.train.camera import cast_shadow, light_scene, photograph, shade
from everymask.train.shapes import partition, silhouette, split_object
from everymask.train.sources import Bank
from everymask.train.textures import crop, texture

PART, WHOLE, GROUP = 0, 1, 2
MAX_LABEL = 255


@dataclass(frozen=True)
class Scene:
    """A photo RGB uint8 [S, S, 3] and its label maps uint8 [3, S, S]: parts, wholes, groups.

    In each map every pixel has the number of its region, 0 where it is not known; a region without
    parts or group has the same pixels in several maps.
    """

    photo: np.ndarray
    labels: np.ndarray


def make_scene(seed: int, index: int, bank: Bank, side: int = 384) -> Scene:
    """Scene ``index`` of the stream ``seed``.

    >>> scene = make_scene(0, 0, Bank(), side=64)
    >>> scene.photo.shape, scene.labels.shape
    ((64, 64, 3), (3, 64, 64))
    """
    rng = np.random.default_rng([seed, index])
    canvas = Canvas(side)
    paint_background(rng, canvas, bank)
    for _ in range(object_count(rng)):
        size = side * float(np.exp(rng.uniform(np.log(0.07), np.log(0.75))))
        alpha, colours = silhouette(rng, int(size), bank.cutouts)
        if rng.random() < 0.12:
            paint_group(rng, canvas, bank, alpha, colours)
        else:
            centre = tuple(rng.uniform(0.02 * side, 0.98 * side, 2))
            paint_object(rng, canvas, bank, Sprite(alpha, colours, centre), canvas.new_label())
    photo = photograph(rng, light_scene(rng, canvas.picture))
    return Scene(photo, canvas.labels)


@dataclass(frozen=True)
class Sprite:
    """A silhouette on its way to the canvas: alpha [s, s], own colours or None, centre (x, y) in pixels."""

    alpha: np.ndarray
    colours: np.ndarray | None
    centre: tuple[float, float]


class Canvas:
    """The picture so far, [S, S, 3] float32, and its three label maps [3, S, S] int32."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.picture = np.zeros((side, side, 3), np.float32)
        self.labels = np.zeros((3, side, side), np.uint8)
        self.count = 0
        self.materials: list[np.ndarray] = []

    def new_label(self) -> int:
        self.count = min(self.count + 1, MAX_LABEL)
        return self.count

    def lay(
        self, window: Window, alpha: np.ndarray, colours: np.ndarray, labels: tuple[int, int, int]
    ) -> None:
        """Put colours where ``alpha`` is; pixels more than half covered take the labels.

        ``labels`` are those of the part, the whole and the group.
        """
        seen, alpha = self.picture[window], np.ascontiguousarray(alpha)
        seen += alpha[..., None] * (colours - seen)
        covered = alpha > 0.5
        for level, label in enumerate(labels):
            self.labels[level][window][covered] = label


Window = tuple[slice, slice]


def window_of(inside: np.ndarray, margin: int) -> Window:
    """The bounding window of the true pixels of [S, S], ``margin`` pixels wider where there is room."""
    x, y, width, height = cv2.boundingRect(inside.astype(np.uint8))
    rows = slice(max(0, y - margin), min(inside.shape[0], y + height + margin))
    return rows, slice(max(0, x - margin), min(inside.shape[1], x + width + margin))


def fill(rng: np.random.Generator, canvas: Canvas, bank: Bank, hw: tuple[int, int]) -> np.ndarray:
    """A texture [h, w, 3]: a new one, or another piece of one that the scene has elsewhere.

    Without the latter, "has this colour" would be all there is to being one region.
    """
    if canvas.materials and rng.random() < 0.35:
        known = canvas.materials[rng.integers(len(canvas.materials))]
        piece = crop(rng, max(hw), known, (0.8, 1.25)) + np.float32(rng.normal(0, 6))
        return piece[: hw[0], : hw[1]]
    made = texture(rng, max(hw), bank)
    canvas.materials.append(made)
    return made[: hw[0], : hw[1]]


def object_count(rng: np.random.Generator) -> int:
    """Mostly a few objects, sometimes none, sometimes a crowded shelf."""
    return int(rng.choice([0, 1, 2, 3, 5, 8, 16], p=[0.1, 0.2, 0.2, 0.2, 0.15, 0.1, 0.05]))


def paint_background(rng: np.random.Generator, canvas: Canvas, bank: Bank) -> None:
    """Large regions, each of one texture, their borders between sharp and soft; some have parts."""
    regions = partition(rng, canvas.side)
    softness = float(rng.choice([0.5, 0.8, 1.5, 3.0], p=[0.4, 0.35, 0.2, 0.05]))
    for value in range(regions.max() + 1):
        whole = window_of(regions >= 0, 0) if value == 0 else window_of(regions == value, 8)
        inside = regions[whole] == value
        alpha = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), softness)
        label, colours = canvas.new_label(), fill(rng, canvas, bank, inside.shape)
        canvas.lay(whole, np.ones_like(alpha) if value == 0 else alpha, colours, (label, label, label))
        for level in (PART, WHOLE, GROUP):
            canvas.labels[level][whole][inside] = label
        if rng.random() < 0.15:
            paint_patches(rng, canvas, whole, inside, colours, label)


def paint_patches(
    rng: np.random.Generator,
    canvas: Canvas,
    window: Window,
    inside: np.ndarray,
    colours: np.ndarray,
    label: int,
) -> None:
    """A region's own darker or lighter patches: parts of it, not regions beside it."""
    patches = split_object(rng, inside.astype(np.float32)) == 1
    alpha = cv2.GaussianBlur((inside & patches).astype(np.float32), (0, 0), rng.uniform(0.5, 2))
    changed = colours * rng.uniform(0.6, 0.9) + rng.normal(0, 12, 3).astype(np.float32)
    canvas.lay(window, alpha, changed, (canvas.new_label(), label, label))


def paint_object(rng: np.random.Generator, canvas: Canvas, bank: Bank, sprite: Sprite, group: int) -> None:
    """One object in front of everything so far, with its shadow, its light and perhaps its parts."""
    placed = place(canvas.side, sprite)
    if placed is None:
        return
    window, alpha, own_colours = placed
    whole = canvas.new_label()
    if rng.random() < 0.5:
        cast_shadow(rng, canvas.picture[window], alpha)
    material = object_colours(rng, canvas, bank, own_colours, alpha.shape)
    light = shade(rng, alpha)[..., None]
    canvas.lay(window, alpha, material * light, (whole, whole, group))
    if (own_colours is None and rng.random() < 0.4) or rng.random() < 0.15:
        parts = split_object(rng, alpha)
        for value in range(1, parts.max() + 1):
            part_alpha = alpha * cv2.GaussianBlur((parts == value).astype(np.float32), (0, 0), 0.6)
            colours = fill(rng, canvas, bank, alpha.shape) * light
            canvas.lay(window, part_alpha, colours, (canvas.new_label(), whole, group))


def place(side: int, sprite: Sprite) -> tuple[Window, np.ndarray, np.ndarray | None] | None:
    """The part of a sprite that lies on the canvas, and its window there; None if (nearly) nothing does."""
    height, width = sprite.alpha.shape
    left, top = round(sprite.centre[0] - width / 2), round(sprite.centre[1] - height / 2)
    rows = slice(max(0, top), min(side, top + height))
    columns = slice(max(0, left), min(side, left + width))
    if rows.stop - rows.start < 4 or columns.stop - columns.start < 4:
        return None
    inner = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    colours = None if sprite.colours is None else sprite.colours[inner]
    return (rows, columns), sprite.alpha[inner], colours


def object_colours(
    rng: np.random.Generator,
    canvas: Canvas,
    bank: Bank,
    own_colours: np.ndarray | None,
    hw: tuple[int, int],
) -> np.ndarray:
    """A cutout's own colours made duller, or in their place a texture, or something of both, [h, w, 3]."""
    if own_colours is None or rng.random() < 0.45:
        return fill(rng, canvas, bank, hw)
    saturation = rng.uniform(0.2, 0.9)
    duller = saturation * np.eye(3) + (1 - saturation) / 3
    share = rng.uniform(0, 0.6)
    return cv2.transform(own_colours, duller * (1 - share)) + share * fill(rng, canvas, bank, hw)


def paint_group(
    rng: np.random.Generator, canvas: Canvas, bank: Bank, alpha: np.ndarray, own_colours: np.ndarray | None
) -> None:
    """Two to seven objects of one shape and material next to each other: one region on the group map."""
    shrink = rng.uniform(0.3, 0.6)
    colours = object_colours(rng, canvas, bank, own_colours, alpha.shape)
    alpha = cv2.resize(alpha, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    colours = cv2.resize(colours, alpha.shape[::-1], interpolation=cv2.INTER_AREA)
    step = rng.uniform(0.6, 1.0, 2) * alpha.shape[0]
    start = rng.uniform(0.05 * canvas.side, 0.8 * canvas.side, 2)
    count, columns, group = rng.integers(2, 8), rng.integers(1, 5), canvas.new_label()
    for index in range(count):
        centre = start + step * [index % columns, index // columns] + rng.normal(0, 2, 2)
        whole = canvas.new_label()
        placed = place(canvas.side, Sprite(alpha, colours, (centre[0], centre[1])))
        if placed is not None:
            window, seen, seen_colours = placed
            canvas.lay(window, seen, seen_colours * shade(rng, seen)[..., None], (whole, whole, group))
