"""Masks given as prompts: a picture or a mask file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import PromptError
from ...formats import read_masks
from ...media.photos import read_photo


def read_rough_mask(path: Path, photo_hw: tuple[int, ...], *, several: bool = False) -> np.ndarray:
    """A mask prompt, bool [H, W]: a picture whose black is outside, or a mask file with one mask, or with
    ``several``, which are taken together."""
    if path.suffix.lower() in {".png", ".tif", ".tiff", ".bmp", ".webp"}:
        pixels = read_photo(path, range="minmax").max(axis=2) > 0
    elif path.suffix.lower() in {".jpg", ".jpeg"}:
        pixels = read_photo(path).max(axis=2) > 127  # JPEG's black is not quite black
    else:
        masks = read_masks(path, photo_hw=(photo_hw[0], photo_hw[1]))
        if len(masks) != 1 and not several:
            raise PromptError(f"--mask {path} must hold one mask, it holds {len(masks)}")
        pixels = masks.segmentations().any(axis=0)
    if pixels.shape != tuple(photo_hw):
        raise PromptError(
            f"--mask {path} is {pixels.shape[1]} x {pixels.shape[0]}, the photo {photo_hw[1]} x {photo_hw[0]}"
        )
    return pixels
