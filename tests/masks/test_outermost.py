"""Boxes from few logits are those of the full-size masks, wherever they are said to be sure."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from everymask.geometry import Squash
from everymask.masks import outermost
from everymask.masks.boxes import box_of_mask
from everymask.masks.cells import tolerances
from everymask.masks.upscaled import Upscaler
from tests.masks.test_upscaled import logits

LOWER = [(1200, 1800), (300, 200), (97, 301), (2000, 131), (256, 256), (40, 120)]


def boxes_from_few(low, upscaler, threshold):
    values = low.numpy()
    return outermost.boxes_of(
        upscaler.axes,
        (values.max(axis=2), values.max(axis=1)),
        tolerances(values),
        np.float32(threshold),
        lambda masks, places, rows: values[masks, places] if rows else values[masks, :, places],
        lambda masks, y, x: values[masks, y, x],
    )


def expected(low, upscaler, threshold):
    return [list(box_of_mask(one.numpy() > threshold)) for one in upscaler.upscaled(low)]


@pytest.mark.parametrize("size", LOWER)
@pytest.mark.parametrize("threshold", [-2.5, 0.0, 1.0])
def test_sure_boxes_are_those_of_the_full_size(size, threshold):
    low = logits(12, 64)
    upscaler = Upscaler((64, 64), Squash(size, 256).stretches)
    found = boxes_from_few(low, upscaler, threshold)
    wanted = np.array(expected(low, upscaler, threshold))
    assert found.boxes[found.sure].tolist() == wanted[found.sure].tolist()
    assert found.sure[1]  # nothing above the threshold, or all of it
    assert not found.boxes[~found.sure].any()


def test_most_boxes_are_sure():
    low = logits(40, 64, seed=3)
    upscaler = Upscaler((64, 64), Squash((800, 1000), 256).stretches)
    assert boxes_from_few(low, upscaler, 0.0).sure.mean() > 0.9


def test_masks_that_reach_no_pixel_and_masks_of_all_pixels():
    low = logits(5, 64)
    upscaler = Upscaler((64, 64), Squash((150, 240), 256).stretches)
    found = boxes_from_few(low[:2], upscaler, 0.0)
    assert found.sure.all()
    assert found.boxes.tolist() == [[0, 0, 239, 149], [0, 0, 0, 0]]


@settings(deadline=None, max_examples=25, derandomize=True)
@given(seed=st.integers(0, 10_000), height=st.integers(70, 400), width=st.integers(70, 400))
def test_boxes_of_any_size_of_photo(seed, height, width):
    low = logits(6, 24, seed)
    upscaler = Upscaler((24, 24), Squash((height, width), 96).stretches)
    found = boxes_from_few(low, upscaler, 0.3)
    wanted = np.array(expected(low, upscaler, 0.3))
    assert found.boxes[found.sure].tolist() == wanted[found.sure].tolist()


@settings(deadline=None, max_examples=25, derandomize=True)
@given(seed=st.integers(0, 10_000), height=st.integers(65, 140), width=st.integers(65, 140))
def test_boxes_of_photos_hardly_larger_than_their_logits(seed, height, width):
    low = logits(12, 64, seed)
    upscaler = Upscaler((64, 64), Squash((height, width), 256).stretches)
    assert upscaler.boxes(low, -0.4).tolist() == expected(low, upscaler, -0.4)


def test_a_row_that_crosses_later_may_hold_the_outermost_pixel():
    """One row of logits crosses the threshold between two columns, another between the next two; pixels fall
    so that only the second has one there."""
    low = torch.full((1, 112, 112), -6.0)
    low[0, 95:, 80:100] = 5.0
    low[0, 107:, 76:80] = torch.tensor(
        [
            [-5.7329, -3.9766, -2.0534, -0.6270],
            [-2.4833, -0.8940, -0.0954, -0.3522],
            [-1.7204, -0.3512, 0.0224, 0.1894],
            [-1.2780, -0.4071, -0.5081, 0.0356],
            [-1.1016, -0.5932, -0.0926, 1.0261],
        ]
    )
    upscaler = Upscaler((112, 112), Squash((134, 200), 448).stretches)
    assert upscaler.boxes(low, 0.0).tolist() == expected(low, upscaler, 0.0)
