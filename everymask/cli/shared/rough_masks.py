"""Masks given as prompts: a picture or a mask file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import PromptError
from ...formats import read_masks
from ...media.picture_files import read_file

PICTURES = {".png", ".tif", ".tiff", ".bmp", ".webp", ".jpg", ".jpeg"}
NEARLY_BLACK = 1 / 16
"""Of the brightest value: JPEG's black is not quite black."""
SOFT = 1 / 2
"""The share of what is not black that may lie between black and the brightest value: soft edges."""
FLAT = 1 / 20
"""The share of what is not black from which one grey between is an area of its own, and no soft edge."""


def read_rough_mask(path: Path, photo_hw: tuple[int, ...], *, several: bool = False) -> np.ndarray:
    """A mask prompt, bool [H, W]: a picture (see :func:`from_picture`), or a mask file with one mask, or with
    ``several``, which are taken together.

    Raises PromptError.
    """
    if path.suffix.lower() in PICTURES:
        try:
            pixels = from_picture(read_file(path, None, None).values)
        except PromptError as error:
            raise PromptError(f"--mask {path} {error}") from None
    else:
        masks = read_masks(path, photo_hw=(photo_hw[0], photo_hw[1]))
        if len(masks) != 1 and not several:
            raise PromptError(f"--mask {path} must hold one mask, it holds {len(masks)}")
        pixels = np.asarray(masks.segmentations().any(axis=0))
    if pixels.shape != tuple(photo_hw):
        raise PromptError(
            f"--mask {path} is {pixels.shape[1]} x {pixels.shape[0]}, the photo {photo_hw[1]} x {photo_hw[0]}"
        )
    return pixels


def from_picture(pixels: np.ndarray) -> np.ndarray:
    """The mask that a picture of any depth [H, W] or [H, W, 1 | 3 | 4] shows, bool [H, W].

    Outside is black, or transparent where the picture has transparency; the mask has one value; a soft edge
    is cut in its middle. Raises PromptError, which goes on from the file's name, for pictures that show no
    such mask: photos, label maps of several objects, greys without black.

    >>> from_picture(np.array([[0, 0, 7], [0, 7, 7]], np.uint16)).astype(int).tolist()
    [[0, 0, 1], [0, 1, 1]]
    """
    grey = _one_channel(pixels)
    if grey.dtype.kind == "f" and not np.isfinite(grey).all():
        raise PromptError("holds NaN or infinity; a mask is black (0) outside and one value inside")
    top = grey.max()
    if top <= 0 or grey.min() == top:
        return grey > 0
    if grey.min() > top * NEARLY_BLACK:
        raise PromptError(
            f"has no black: its values are {grey.min():g} to {top:g}; "
            "a mask is black (0) outside and one value inside"
        )
    lit = grey[grey > top * NEARLY_BLACK]
    between = lit[lit < top * (1 - NEARLY_BLACK)]
    _, counts = np.unique(between, return_counts=True)
    several_values = len(between) > SOFT * len(lit) or counts.max(initial=0) > FLAT * len(lit)
    if several_values or _has_colours(pixels, grey):
        raise PromptError(
            f"holds several values or colours between black and {top:g}, as a photo or a label map has them; "
            "a mask is black (0) outside and one value inside: save that of one object"
        )
    return grey > top / 2


def _one_channel(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 4 and np.ptp(pixels[..., 3]) > 0:
        return pixels[..., 3]
    return pixels[..., :3].max(axis=2)


def _has_colours(pixels: np.ndarray, grey: np.ndarray) -> bool:
    """Whether what is as bright as the brightest differs in colour."""
    if pixels.ndim == 2 or (pixels.shape[2] == 4 and np.ptp(pixels[..., 3]) > 0):
        return False
    top = grey.max()
    bright = pixels[..., :3][grey >= top * (1 - NEARLY_BLACK)]
    middle = np.median(bright, axis=0)
    return bool((np.abs(bright - middle) > top / 4).any(axis=1).mean() > FLAT)
