"""Whole masks from logits: to the pixel those of logits scaled up in earnest."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from everymask.geometry import Letterbox, Squash
from everymask.masks.drawn import masks_above
from tests.masks.test_upscaled import SIZES, logits


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("threshold", [0.0, -0.7])
@pytest.mark.parametrize("kind", [Letterbox, Squash])
@pytest.mark.parametrize("size", SIZES)
def test_masks_are_those_of_logits_scaled_up(size, kind, threshold, dtype):
    frame, low = kind(size, 256), logits(6, 64).view(2, 3, 64, 64).to(dtype)
    expected = (frame.upscale(low) > threshold).numpy()
    found = masks_above(low, frame.stretches, threshold)
    assert found.dtype == bool
    assert found.shape == (2, 3, *size)
    assert 0 < expected.mean() < 1
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("size", [(90, 120), (30, 40)])  # drawn from cells, and scaled up in earnest
def test_one_mask_and_none(size):
    frame, low = Squash(size, 64), logits(4, 16)
    assert np.array_equal(masks_above(low[3], frame.stretches, 0.0), (frame.upscale(low[3]) > 0).numpy())
    assert masks_above(low[:0], frame.stretches, 0.0).shape == (0, *size)
