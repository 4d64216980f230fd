"""Whole masks from logits: what scaling them up to the photo gives, bit for bit, in a fraction of the time.

Letters used in shapes: h x w logits, H x W the photo.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

from everymask.geometry import Stretch
from everymask.masks.upscaled import Upscaler


def masks_above(logits: Tensor, stretches: tuple[Stretch, ...], threshold: float) -> np.ndarray:
    """Which pixels of the photo are above ``threshold``: logits [..., h, w] -> bool [..., H, W].

    ``stretches`` take the logits to the photo (``Frame.stretches``). Most pixels lie between logits on one
    side of the threshold: only those along outlines are computed.
    """
    *leading, height, width = logits.shape
    upscaler = _upscaler((height, width), stretches)
    flat = logits.reshape(-1, height, width)
    flat = flat if flat.dtype == torch.float64 else flat.float()
    if not len(flat):
        masks = np.zeros((0, *upscaler.photo_hw), bool)
    elif upscaler.plain or flat.device.type != "cpu" or flat.dtype == torch.float64:
        masks = (upscaler.upscaled(flat) > threshold).cpu().numpy()
    else:
        masks = np.zeros((len(flat), *upscaler.photo_hw), bool)
        for mask, patch in zip(masks, upscaler.patches(flat, threshold), strict=True):
            columns, (x, y) = upscaler.draw(patch, threshold)
            if columns.size:
                across, down = columns.shape
                mask[y : y + down, x : x + across] = cv2.transpose(columns.view(np.uint8)).view(bool)
    return masks.reshape(*leading, *upscaler.photo_hw)


@lru_cache(maxsize=8)
def _upscaler(logits_hw: tuple[int, int], stretches: tuple[Stretch, ...]) -> Upscaler:
    """One that is used again for the next click on the same photo."""
    return Upscaler(logits_hw, stretches)
