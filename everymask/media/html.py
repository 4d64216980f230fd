"""What a notebook shows of a result: a picture with a line of text, self-contained."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

import cv2
import numpy as np

from ..errors import EverymaskError
from ..maskset import Mask, MaskSet
from ..opencv import encoded
from .draw import draw_overlay
from .photos import read_photo

LONG_SIDE = 640
"""Pixels of a picture's longer side at the most, so that a notebook file stays small."""
GROUND = 48
"""Grey level where the photo is not known."""
GAP = 8
"""Pixels between pictures side by side."""


def of_mask(mask: Mask) -> str:
    """A mask as a white shape, with what is known of it."""
    return with_caption(shape_of(mask.segmentation), repr(mask))


def of_masks(masks: MaskSet) -> str:
    """Masks over the photo that they remember, or over grey."""
    return with_caption(drawn(masks), repr(masks))


def drawn(masks: MaskSet) -> np.ndarray:
    """Masks over the photo that they remember or over grey, RGB uint8 [H, W, 3]."""
    return draw_overlay(_ground(masks), masks)


def of_candidates(masks: Sequence[np.ndarray], scores: Sequence[float], caption: str) -> str:
    """The masks bool [H, W] of one prompt side by side, numbered from 1, with their scores."""
    shapes = [shape_of(mask) for mask in masks]
    gap = np.full((shapes[0].shape[0], GAP, 3), 255, np.uint8)
    row = [piece for shape in shapes for piece in (gap, shape)][1:]
    numbered = ", ".join(f"{number}: {score:.3f}" for number, score in enumerate(scores, 1))
    return with_caption(np.concatenate(row, axis=1), f"{caption}; scores {numbered}")


def with_caption(picture: np.ndarray, caption: str, longest: int = LONG_SIDE) -> str:
    """A figure with a picture RGB uint8 [H, W, 3] in the page itself, and an escaped line of text."""
    small = _fitted(picture, longest)
    source = base64.b64encode(encoded(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))).decode()
    text = html.escape(caption)
    return (
        f'<figure style="margin:0"><img alt="{text}" width="{small.shape[1]}" height="{small.shape[0]}" '
        f'src="data:image/png;base64,{source}"><figcaption><code>{text}</code></figcaption></figure>'
    )


def _ground(masks: MaskSet) -> np.ndarray:
    """The remembered photo if it can still be read and fits, else grey: showing must never fail."""
    if masks.photo is not None:
        try:
            photo = read_photo(masks.photo)
        except (EverymaskError, OSError):
            photo = None
        if photo is not None and photo.shape[:2] == masks.photo_hw:
            return photo
    return np.full((*masks.photo_hw, 3), GROUND, np.uint8)


def shape_of(pixels: np.ndarray) -> np.ndarray:
    """A mask bool [H, W] in white on grey, RGB uint8, no larger than a notebook shows."""
    grey = np.where(np.asarray(pixels) != 0, 255, GROUND).astype(np.uint8)
    return np.repeat(_fitted(grey)[..., None], 3, axis=2)


def _fitted(picture: np.ndarray, longest: int = LONG_SIDE) -> np.ndarray:
    scale = longest / max(picture.shape[:2])
    if scale >= 1:
        return picture
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
