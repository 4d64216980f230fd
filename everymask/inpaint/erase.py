"""Things taken out of photos: the mask grown, a crop around it filled by an engine, and laid back seamlessly.

Every other pixel of the photo stays as it is, to the bit, at its own depth.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from everymask.errors import OptionError, PictureError, PromptError
from everymask.inpaint.engines import Engine, open_engine
from everymask.maskset import Mask, MaskSet
from everymask.media.photos import PhotoLike
from everymask.media.picture_files import decoding, read_file, upright_pixels

MaskLike = np.ndarray | Mask | MaskSet
CONTEXT = 1.0
"""How far a crop reaches beyond its hole, as a share of the hole's longer side ..."""
LEAST_CONTEXT = 64
"""... and at least, in pixels."""
GROWN = 0.015
"""How far a mask grows, as a share of its longer side ..."""
LEAST_GROWN, MOST_GROWN = 2, 12
"""... within these bounds, in pixels: the rim of a thing goes on beyond its mask."""


def erase(
    photo: PhotoLike, mask: MaskLike, engine: str | Engine | None = None, *, grow: int | None = None
) -> np.ndarray:
    """The photo without what the mask covers, an array of its own shape and depth.

    ``photo`` is a path, an array [H, W], [H, W, 1], RGB [H, W, 3] or RGBA [H, W, 4] of integers or floats, or
    a PIL picture. ``mask`` is bool or zero / non-zero [H, W], a :class:`Mask` or a :class:`MaskSet` (all).
    ``engine`` is a name of ``everymask.inpaint.engines`` or an engine of your own; by default the best one
    that is here, which without any download is ``patches``. The mask is grown by ``grow`` pixels first (by
    default 1.5% of its longer side, 2 to 12), and the fill fades out over them; what is outside of the
    grown mask stays as it is, to the bit. ``grow=0``: exactly the mask.

    Raises ``PictureError`` for a photo, ``PromptError`` for a mask that is empty, covers all or is of
    another size, ``OptionError`` for an engine; ``MissingExtraError`` or ``DownloadError`` for what it needs.

    >>> photo = np.full((40, 60, 3), 200, np.uint8)
    >>> photo[18:22, 28:32] = 0
    >>> int(erase(photo, photo[..., 0] == 0).min())
    200
    """
    pixels = raw_pixels(photo)
    hole = checked_mask(mask, pixels.shape[:2])
    if grow is not None and grow < 0:
        raise OptionError(f"grow must be at least 0 pixels, got {grow}")
    filler = open_engine(engine) if engine is None or isinstance(engine, str) else engine
    return filled(pixels, hole, filler, grow)


def filled(pixels: np.ndarray, hole: np.ndarray, engine: Engine, grow: int | None = None) -> np.ndarray:
    """Pixels [H, W] or [H, W, C] of any depth with the hole, bool [H, W], filled piece by piece."""
    result = pixels.copy()
    if result.dtype == bool:
        result = result.astype(np.uint8) * 255
    for window, inner, outer in pieces(hole, grow):
        crop = result[window]
        picture, low, high = to_bytes_range(crop if crop.ndim == 3 else crop[..., None])
        made = engine.fill(picture, outer)
        if made.shape != picture.shape:
            raise OptionError(
                f"an engine must keep the picture's shape {picture.shape}, it gave {made.shape}"
            )
        share = fading(inner, outer)[..., None]
        mixed = from_bytes_range(share * made + (1 - share) * picture, low, high, result.dtype)
        mixed = mixed if crop.ndim == 3 else mixed[..., 0]
        result[window] = np.where(outer if crop.ndim == 2 else outer[..., None], mixed, crop)
    return result


def pieces(
    hole: np.ndarray, grow: int | None = None
) -> Iterator[tuple[tuple[slice, slice], np.ndarray, np.ndarray]]:
    """For each crop to be worked on: its window, the mask in it, and the grown mask in it.

    Parts of a mask whose surroundings overlap are filled together.
    """
    reach = {}
    count, numbered, stats, _ = cv2.connectedComponentsWithStats(hole.astype(np.uint8), connectivity=8)
    for number in range(1, count):
        x, y, width, height = stats[number, : cv2.CC_STAT_AREA]
        margin = max(LEAST_CONTEXT, round(CONTEXT * max(width, height)))
        reach[number] = [max(y - margin, 0), max(x - margin, 0), y + height + margin, x + width + margin]
    groups = [([number], box) for number, box in reach.items()]
    merged = True
    while merged:
        merged = False
        for first in range(len(groups)):
            for second in range(len(groups) - 1, first, -1):
                (ours, a), (theirs, b) = groups[first], groups[second]
                if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]:
                    box = [min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])]
                    groups[first] = (ours + theirs, box)
                    del groups[second]
                    merged = True
    for numbers, (y0, x0, y1, x1) in groups:
        window = slice(y0, min(y1, hole.shape[0])), slice(x0, min(x1, hole.shape[1]))
        inner = np.isin(numbered[window], numbers)
        yield window, inner, grown(inner, grow)


def grown(mask: np.ndarray, by: int | None = None) -> np.ndarray:
    """A mask and the pixels within ``by`` of it; by a rule of its size for None (see ``GROWN``).

    >>> int(grown(np.eye(5, dtype=bool) & (np.arange(5) == 2), 1).sum())
    5
    """
    if by is None:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        longer = max(np.ptp(rows), np.ptp(columns)) + 1 if len(rows) else 0
        by = int(np.clip(round(GROWN * longer), LEAST_GROWN, MOST_GROWN))
    if by == 0:
        return mask
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1))
    return cv2.dilate(mask.astype(np.uint8), disc) > 0


def fading(inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """How much of the fill shows, float32 [H, W]: 1 in the mask, falling over the grown rim to 0 outside."""
    inward = cv2.distanceTransform(np.pad(outer, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    outward = cv2.distanceTransform((~inner).astype(np.uint8), cv2.DIST_L2, 5)
    share = inward / np.maximum(inward + outward, 1e-6)
    return np.where(inner, 1, np.where(outer, share, 0)).astype(np.float32)


def to_bytes_range(crop: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Pixels of any depth as float32 from 0 to 255, and which values these two stand for.

    8-bit values stay what they are; others are stretched from their least to their largest.
    """
    if crop.dtype == np.uint8:
        return crop.astype(np.float32), 0.0, 255.0
    low, high = float(crop.min()), float(crop.max())
    high = high if high > low else low + 1
    return ((crop.astype(np.float64) - low) * (255 / (high - low))).astype(np.float32), low, high


def from_bytes_range(values: np.ndarray, low: float, high: float, dtype: Any) -> np.ndarray:
    """The inverse of :func:`to_bytes_range`, within the range."""
    scaled = np.clip(values.astype(np.float64), 0, 255) * ((high - low) / 255) + low
    return (np.rint(scaled) if np.issubdtype(dtype, np.integer) else scaled).astype(dtype)


def raw_pixels(photo: PhotoLike) -> np.ndarray:
    """The photo at its own depth, upright: [H, W] or [H, W, 1 | 3 | 4]."""
    if isinstance(photo, np.ndarray):
        pixels = photo
    elif isinstance(photo, Image.Image):
        with decoding("the PIL picture"):
            pixels = upright_pixels(photo)
    elif isinstance(photo, (str, os.PathLike)):
        pixels = read_file(Path(photo).expanduser(), None).values
    else:
        raise PictureError(f"a photo must be a path, an array or a PIL picture, got {type(photo).__name__}")
    if (
        pixels.ndim not in (2, 3)
        or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4))
        or not pixels.size
    ):
        raise PictureError(
            f"a photo must have shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {pixels.shape}"
        )
    if pixels.dtype.kind not in "buif" or not np.isfinite(pixels).all():
        raise PictureError("a photo must hold integers or finite floats")
    return pixels


def checked_mask(mask: MaskLike, photo_hw: tuple[int, ...]) -> np.ndarray:
    """The mask as bool [H, W]; empty, full and those of another size are refused."""
    if isinstance(mask, Mask):
        pixels = mask.segmentation
    elif isinstance(mask, MaskSet):
        pixels = np.zeros(mask.photo_hw, bool)
        for each in mask:
            pixels |= each.segmentation
    else:
        pixels = np.asarray(mask)
        pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
        pixels = pixels != 0
    if pixels.shape != tuple(photo_hw):
        raise PromptError(
            f"the mask must have the photo's shape {tuple(photo_hw)} (height, width), got {pixels.shape}"
        )
    if not pixels.any():
        raise PromptError("the mask is empty: there is nothing to erase")
    if pixels.all():
        raise PromptError("the mask covers the whole photo: nothing is left to fill it from")
    return pixels
