"""A short clip made for tests: a red disc runs to the right, a yellow box to the left, on a blue ground."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from everymask.media.video_writer import VideoWriter

HEIGHT, WIDTH, LENGTH = 120, 160, 24


def disc_at(frame: int) -> tuple[int, int, int]:
    """Centre and radius of the disc."""
    return 30 + 3 * frame, 45, 17


def box_at(frame: int) -> tuple[int, int, int, int]:
    """Corners of the box, XYXY."""
    left = 110 - 2 * frame
    return left, 82, left + 34, 110


def picture(frame: int) -> np.ndarray:
    """RGB uint8 [H, W, 3]."""
    down, across = np.mgrid[:HEIGHT, :WIDTH]
    photo = np.full((HEIGHT, WIDTH, 3), (40, 70, 120), np.uint8)
    photo += np.random.default_rng(3).integers(0, 9, photo.shape, np.uint8)
    x0, y0, x1, y1 = box_at(frame)
    photo[y0:y1, max(0, x0) : x1] = (230, 200, 60)
    x, y, radius = disc_at(frame)
    photo[(across - x) ** 2 + (down - y) ** 2 <= radius**2] = (220, 60, 50)
    return photo


def write_clip(path: Path, length: int = LENGTH) -> Path:
    """The clip as an MP4."""
    with VideoWriter(path, 12) as writer:
        for frame in range(length):
            writer.write(picture(frame))
    return path
