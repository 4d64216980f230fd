"""Photos made for the studio's tests: plain colours on a ground, so that any model can tell them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 240, 320
DISK = (90, 120, 50)  # x, y, radius
BOX = (190, 60, 280, 180)  # x0, y0, x1, y1


def disk_mask() -> np.ndarray:
    """The disk's pixels, bool [H, W]."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return (x - DISK[0]) ** 2 + (y - DISK[1]) ** 2 <= DISK[2] ** 2


def scene() -> np.ndarray:
    """A red disk and a yellow box on blue, RGB uint8."""
    photo = np.full((HEIGHT, WIDTH, 3), (40, 70, 120), np.uint8)
    photo[disk_mask()] = (220, 60, 50)
    x0, y0, x1, y1 = BOX
    photo[y0:y1, x0:x1] = (230, 200, 60)
    noise = np.random.default_rng(0).integers(-6, 7, photo.shape)
    return np.clip(photo + noise, 0, 255).astype(np.uint8)


def make_folder(folder: Path, names: tuple[str, ...] = ("a.jpg", "b.png", "c.jpg")) -> Path:
    """A folder with the scene under several names, each turned a little further."""
    folder.mkdir(parents=True, exist_ok=True)
    for turn, name in enumerate(names):
        Image.fromarray(np.ascontiguousarray(np.roll(scene(), 20 * turn, axis=1))).save(folder / name)
    return folder
