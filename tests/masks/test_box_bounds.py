"""Bounds of boxes hold the boxes, whatever the logits and the photo's size."""

import numpy as np
import pytest
import torch

from everymask.everything.candidate_pool import floors_of
from everymask.geometry import Letterbox, Squash
from everymask.masks.box_bounds import BoxBounds, surely_above
from everymask.masks.cells import tolerances
from everymask.masks.nms import suppress, suppress_between
from everymask.masks.upscaled import Upscaler
from tests.masks.test_specks import noisy


@pytest.mark.parametrize("photo_hw", [(300, 420), (97, 211), (640, 130)])
@pytest.mark.parametrize("threshold", [0.0, -2.0, 6.0])
def test_inner_box_box_and_outer_box_lie_in_each_other(photo_hw, threshold):
    logits = 3 * noisy(40, 24, 32)
    logits[::2, :6], logits[::2, 14:], logits[::3, :, :9] = -20.0, -20.0, -20.0
    upscaler = Upscaler((24, 32), Squash(photo_hw, 128).stretches)
    limits = BoxBounds.of(upscaler.axes, (24, 32))
    assert limits is not None
    peaks, error = (logits.max(axis=2), logits.max(axis=1)), tolerances(logits)
    floors = [np.stack(each) for each in zip(*map(floors_of, logits), strict=True)]
    lowest, surely = (threshold - error)[:, None], surely_above(np.float32(threshold), error)[:, None]
    bounds = limits.told((peaks[0] > lowest, peaks[1] > lowest), (floors[0] > surely, floors[1] > surely))
    boxes = upscaler.boxes(torch.from_numpy(logits), threshold)
    assert (bounds.outer[:, :2] <= boxes[:, :2]).all()
    assert (bounds.outer[:, 2:] >= boxes[:, 2:]).all()
    told = bounds.inner[:, 0] < bounds.inner[:, 2]
    assert told.sum() > 5
    assert (bounds.inner[told, :2] >= boxes[told, :2]).all()
    assert (bounds.inner[told, 2:] <= boxes[told, 2:]).all()
    # As near as the logits are: a pixel and a half of them.
    assert np.abs(bounds.outer - boxes)[told].max() < 2 * max(photo_hw[0] / 24, photo_hw[1] / 32)


def test_an_empty_mask_has_the_box_of_empty_masks():
    upscaler = Upscaler((8, 8), Squash((300, 420), 32).stretches)
    limits = BoxBounds.of(upscaler.axes, (8, 8))
    none, no_squares = np.zeros((1, 8), bool), np.zeros((1, 7), bool)
    bounds = limits.told((none, none), (no_squares, no_squares)).moved(5, 7)
    assert bounds.inner.tolist() == bounds.outer.tolist() == [[5, 7, 5, 7]]


def test_nothing_is_sure_where_the_largest_logit_is_not_known():
    known, unknown = surely_above(np.float32(2.0), np.array([1e-4, 0.0], np.float32))
    assert 2.0001 <= known < 2.001
    assert np.isposinf(unknown)


def test_a_square_of_four_tells_of_all_pixels_up_to_the_edge():
    logits = np.full((8, 8), -5.0, np.float32)
    logits[:2, 3:6] = 5.0
    upscaler = Upscaler((8, 8), Squash((300, 420), 32).stretches)
    limits = BoxBounds.of(upscaler.axes, (8, 8))
    reached = (logits > 0).any(axis=1)[None], (logits > 0).any(axis=0)[None]
    rows, columns = (floors[None] > 0 for floors in floors_of(logits))
    inner = limits.told(reached, (rows, columns)).inner[0]
    left, top, _, bottom = upscaler.boxes(torch.from_numpy(logits)[None], 0.0)[0]
    assert inner[1] == top == 0
    assert left <= inner[0] < left + 420 / 8
    assert bottom >= inner[3] > bottom - 300 / 8


def test_photos_smaller_than_the_logits_have_no_bounds():
    assert BoxBounds.of(Upscaler((64, 64), Squash((50, 420), 256).stretches).axes, (64, 64)) is None


def test_two_steps_have_no_bounds():
    upscaler = Upscaler((64, 64), Letterbox((300, 420), 256).stretches)
    assert BoxBounds.of(upscaler.axes, (64, 64)) is None


def test_suppression_between_bounds_asks_until_it_knows():
    rng = np.random.default_rng(0)
    asked_in_all = 0
    for _ in range(60):
        corners = rng.integers(0, 40, (30, 2))
        boxes = np.concatenate([corners, corners + rng.integers(0, 30, (30, 2))], axis=1)
        room = rng.integers(0, 4, (30, 4)) * np.array([1, 1, -1, -1])
        inner, outer, scores = boxes + room, boxes - room, rng.random(30)
        threshold = float(rng.choice([0.0, 0.3, 0.7, 1.0]))
        for _ in range(40):
            kept, needed = suppress_between(inner, outer, scores, threshold)
            if not len(needed):
                break
            asked_in_all += len(needed)
            inner[needed] = outer[needed] = boxes[needed]
        assert kept.tolist() == suppress(boxes, scores, threshold).tolist()
    assert 0 < asked_in_all < 60 * 30
