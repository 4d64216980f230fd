"""Another view of a scene: crop, stretch, mirror, other colours; and scenes made harder by each other.

A model that only asks "has this pixel the colour of the one clicked" does well on plainly made scenes and
badly on photos. Two things forbid the shortcut: separate pieces of one region, and the same materials on
both sides of a seam, are different regions; and a second picture shines faintly through the first.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from everymask.train.scenes import PART, WHOLE, Scene
from everymask.train.shapes import bands, cells


def augment(rng: np.random.Generator, scene: Scene, side: int, *, closest: float = 0.55) -> Scene:
    """A random view of ``scene`` at ``side`` pixels; the label maps move with the photo. Crops go down to
    ``closest`` of its sides."""
    height, width = scene.photo.shape[:2]
    share = rng.uniform(closest, 1.0)
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


def harsh(rng: np.random.Generator, photo: np.ndarray) -> np.ndarray:
    """A third of the photos as poor cameras and microscopes give them: grey, inverted, flat, noisy, tinted or
    blurred; uint8 [S, S, 3]."""
    if rng.random() > 0.33:
        return photo
    kind = rng.choice(6, p=[0.34, 0.06, 0.2, 0.18, 0.14, 0.08])
    if kind <= 1:
        grey = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return 255 - grey if kind == 1 else grey
    if kind == 2:
        contrast, level = rng.uniform(0.2, 0.6), rng.uniform(30, 225)
        return cv2.addWeighted(photo, contrast, np.full_like(photo, 1), (1 - contrast) * level, 0.0)
    if kind == 3:
        noise = rng.normal(
            0, rng.uniform(5, 30), photo.shape if rng.random() < 0.5 else (*photo.shape[:2], 1)
        )
        return np.clip(photo + noise, 0, 255).astype(np.uint8)
    if kind == 4:
        gains = np.exp(rng.normal(0, 0.35, 3))
        return np.clip(photo * gains, 0, 255).astype(np.uint8)
    return cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.7, 2.2))


def hard_view(rng: np.random.Generator, draw: Callable[[np.random.Generator], Scene], side: int) -> Scene:
    """A view of a drawn scene, often joined with another view of itself or seen through another scene."""
    scene = draw(rng)
    view = augment(rng, scene, side)
    if rng.random() < 0.35:
        view = joined(rng, view, augment(rng, scene, side))
    if rng.random() < 0.3:
        view = Scene(shining_through(rng, view.photo, augment(rng, draw(rng), side).photo), view.labels)
    return Scene(view.photo, split_pieces(view.labels))


def joined(rng: np.random.Generator, first: Scene, second: Scene) -> Scene:
    """Two views on either side of a seam; like materials on both sides stay different regions."""
    if int(first.labels.max()) + int(second.labels.max()) > 255:
        return first
    side = first.photo.shape[0]
    regions = bands(rng, side) if rng.random() < 0.5 else cells(rng, side)
    inside = (regions % 2).astype(bool)
    photo = np.where(inside[..., None], second.photo, first.photo)
    labels = np.where(inside, second.labels + first.labels.max(), first.labels)
    return Scene(photo, labels)


def shining_through(rng: np.random.Generator, photo: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The photo with the detail of another one faintly on it, uint8."""
    height, width = other.shape[:2]
    small = cv2.resize(other, (width // 8, height // 8), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small.astype(np.float32), (0, 0), 0.06 * len(small))
    blurred = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    share = rng.uniform(0.15, 0.5)
    mixed = cv2.addWeighted(photo, 1.0, other, share, 0.0, dtype=cv2.CV_32F) - np.float32(share) * blurred
    return np.clip(mixed, 0, 255).astype(np.uint8)


def split_pieces(labels: np.ndarray, min_share: float = 0.004) -> np.ndarray:
    """Label maps in which the separate pieces of a whole are wholes; together they stay a group.

    Parts of a piece that is split off are its own. Pieces smaller than ``min_share`` of the picture stay
    with the largest one.
    """
    result = labels.copy()
    free = int(labels.max()) + 1
    least = min_share * labels[WHOLE].size
    areas = np.bincount(labels[WHOLE].ravel())
    for label in np.flatnonzero(areas[1:] > 2 * least) + 1:
        inside = (labels[WHOLE] == label).astype(np.uint8)
        x, y, width, height = cv2.boundingRect(inside)
        window = slice(y, y + height), slice(x, x + width)
        _, pieces, stats, _ = cv2.connectedComponentsWithStats(inside[window])
        by_area = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA])
        for piece in by_area[1:]:
            if stats[piece, cv2.CC_STAT_AREA] < least or free > 255:
                break
            split = pieces == piece
            result[WHOLE][window][split] = free
            result[PART][window][split & (labels[PART][window] == label)] = free
            free += 1
    return result
