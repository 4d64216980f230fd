"""Small holes of mask logits, filled on any device (the official code needs a CUDA extension for it)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

FILLED = 0.1
"""The logit of a pixel that was a hole: just inside."""


def fill_holes(mask_logits: Tensor, max_area: int) -> Tensor:
    """Logits [..., h, w] with background components (8-connected) of at most ``max_area`` pixels raised.

    Answers to ``fill_holes_in_mask_scores`` of sam2.

    >>> fill_holes(torch.tensor([[[1.0, 1, 1], [1, -1, 1], [1, 1, 1]]]), 1)[0, 1, 1].item()
    0.10000000149011612
    """
    if max_area == 0:
        return mask_logits
    background = (mask_logits <= 0).cpu().numpy().astype(np.uint8)
    holes = np.zeros(background.shape, bool)
    for place in np.ndindex(background.shape[:-2]):
        holes[place] = _small(background[place], max_area)
    if not holes.any():
        return mask_logits
    return torch.where(torch.from_numpy(holes).to(mask_logits.device), FILLED, mask_logits)


def _small(background: np.ndarray, max_area: int) -> np.ndarray:
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats(background, connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] <= max_area
    small[0] = False  # label 0 is everything that is not background
    return small[labels]
