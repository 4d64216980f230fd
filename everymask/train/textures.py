"""What regions are filled with: photo and texture crops, noise in natural colours, plain gradients.

All textures are float32 RGB [S, S, 3] in 0..255.
"""

from __future__ import annotations

import cv2
import numpy as np

from everymask.train.noise import fractal_field, smooth_field
from everymask.train.sources import Bank


def texture(rng: np.random.Generator, side: int, bank: Bank) -> np.ndarray:
    """What fills one region: a material, or two in patches, as coats, crowns and meadows have them."""
    first = material(rng, side, bank)
    if rng.random() > 0.35:
        return first
    second = material(rng, side, bank)
    if rng.random() < 0.5:  # the same colour on the whole
        means = np.array(cv2.mean(first))[:3] - np.array(cv2.mean(second))[:3]
        second = second + (rng.uniform(0.4, 1.0) * means).astype(np.float32)
    field = fractal_field(rng, side, np.exp(rng.uniform(np.log(2), np.log(80))), 4, 0.6)
    share = 0.5 + 0.5 * np.tanh(rng.uniform(0.5, 6) * (field - rng.normal(0, 0.5)))
    return first + share[..., None].astype(np.float32) * (second - first)


def material(rng: np.random.Generator, side: int, bank: Bank) -> np.ndarray:
    """One random texture, its tone varied as light and material vary it."""
    kind = rng.choice(["texture", "photo", "noise", "plain"], p=[0.40, 0.26, 0.14, 0.20])
    if kind == "texture" and bank.textures:
        filled = crop(rng, side, bank.textures[rng.integers(len(bank.textures))], (0.5, 3.0))
    elif kind == "photo" and bank.photos:
        filled = crop(rng, side, bank.photos[rng.integers(len(bank.photos))], (0.8, 4.0))
    elif kind in ("noise", "texture"):
        filled = coloured_noise(rng, side, bank)
    else:
        filled = plain(rng, side, bank)
    return tone(rng, filled, bank)


def crop(
    rng: np.random.Generator, side: int, picture: np.ndarray, zoom_range: tuple[float, float]
) -> np.ndarray:
    """A random part of a picture at a random zoom and angle, mirrored where it ends."""
    zoom = np.exp(rng.uniform(*np.log(zoom_range)))
    angle = rng.normal(0, 0.3) if rng.random() < 0.7 else rng.uniform(0, 6.3)
    if zoom < 0.8:  # warpAffine does not average: shrink first, or fine detail turns into speckle
        picture = cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
        zoom = 1.0
    height, width = picture.shape[:2]
    stretch = np.exp(rng.normal(0, 0.15, 2)) / zoom
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag(stretch)
    middle = rng.uniform(0.2, 0.8, 2) * [width, height]
    matrix = np.column_stack([turn, middle - turn @ [side / 2, side / 2]]).astype(np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    filled = cv2.warpAffine(
        picture[..., :3], matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT
    )
    return filled.astype(np.float32)


def natural_colour(rng: np.random.Generator, bank: Bank) -> np.ndarray:
    """A colour as photos have it: that of a random small patch, or a dull random one, [3] in 0..255."""
    if bank.photos and rng.random() < 0.8:
        photo = bank.photos[rng.integers(len(bank.photos))]
        y, x = rng.integers(photo.shape[0] - 8), rng.integers(photo.shape[1] - 8)
        return photo[y : y + 8, x : x + 8, :3].reshape(-1, 3).mean(0).astype(np.float32)
    grey = rng.uniform(15, 240)
    return np.clip(grey + rng.normal(0, 25, 3), 0, 255).astype(np.float32)


def coloured_noise(rng: np.random.Generator, side: int, bank: Bank) -> np.ndarray:
    """A fractal between two natural colours, sometimes stretched as grass, bark and water are."""
    field = fractal_field(rng, side, np.exp(rng.uniform(np.log(2), np.log(40))), 5, rng.uniform(0.4, 0.9))
    if rng.random() < 0.4:
        long = rng.integers(3, 12)
        field = cv2.resize(field[: side // long + 1], (side, side), interpolation=cv2.INTER_LINEAR)
        field = field if rng.random() < 0.5 else np.ascontiguousarray(field.T)
    mix = (0.5 + 0.5 * np.tanh(rng.uniform(0.25, 1.5) * field))[..., None]
    first = natural_colour(rng, bank)
    second = rng.normal(0, 30) + rng.normal(0, 10, 3).astype(np.float32)
    return first + second * mix


def plain(rng: np.random.Generator, side: int, bank: Bank) -> np.ndarray:
    """A wall, a sky, a cloth: one colour under a soft gradient, nearly without grain."""
    slope = rng.normal(0, 18, 2).astype(np.float32)
    along = np.linspace(-1, 1, side, dtype=np.float32)
    light = slope[0] * along[:, None] + slope[1] * along[None]
    light = light + rng.uniform(0, 10) * smooth_field(rng, side, rng.uniform(1, 3))
    grain = rng.uniform(0, 4) * rng.standard_normal((side, side), np.float32)
    return natural_colour(rng, bank) + (light + grain)[..., None]


def tone(rng: np.random.Generator, filled: np.ndarray, bank: Bank) -> np.ndarray:
    """Vary contrast, saturation, brightness; sometimes shift towards another natural colour."""
    old = np.array(cv2.mean(filled))[:3]
    new = old.mean() + (old - old.mean()) * rng.uniform(0.3, 1.1)
    if rng.random() < 0.35:
        new = 0.3 * new + 0.7 * natural_colour(rng, bank)
    new += rng.normal(0, 12)
    saturation, contrast = rng.uniform(0.3, 1.1), rng.uniform(0.45, 1.15)
    detail = contrast * (saturation * np.eye(3) + (1 - saturation) / 3)
    return cv2.transform(filled, np.column_stack([detail, new - detail @ old]))
