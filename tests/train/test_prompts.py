"""Simulated users: they click inside, box around, and correct what is wrong."""

import numpy as np
import pytest

from everymask.train.prompts import (
    corrective_click,
    draw_targets,
    jittered_box,
    list_regions,
    make_target,
    shrink,
)


@pytest.fixture
def nested_labels():
    labels = np.ones((3, 64, 64), np.uint8)
    labels[1:, 8:56, 8:56] = 2
    labels[0, 8:56, 8:56] = 2
    labels[0, 16:32, 16:32] = 3
    return labels


def test_a_click_lies_in_the_region_that_was_meant(nested_labels):
    for seed in range(20):
        target = make_target(np.random.default_rng(seed), nested_labels, level=0, label=3)
        x, y = target.click_xy.astype(int)
        assert nested_labels[0, y, x] == 3


def test_nested_truths_come_small_to_large_without_repeats(nested_labels):
    target = make_target(np.random.default_rng(0), nested_labels, level=1, label=2)
    areas = target.masks.sum((1, 2)) * 16
    assert list(target.valid) == ([True, True, False] if target.masks[1].any() else [True, False, False])
    assert areas[target.primary] == 48 * 48


def test_the_primary_truth_of_a_part_is_the_part(nested_labels):
    target = make_target(np.random.default_rng(0), nested_labels, level=0, label=3)
    assert target.primary == 0
    assert target.masks[0].sum() * 16 == 16 * 16
    assert target.masks[1].sum() * 16 == 48 * 48


def test_boxes_stay_on_the_picture():
    region = np.zeros((40, 40), bool)
    region[0:40, 30:40] = True
    for seed in range(30):
        x0, y0, x1, y1 = jittered_box(np.random.default_rng(seed), region)
        assert 0 <= x0 <= x1 <= 39
        assert 0 <= y0 <= y1 <= 39


def test_small_and_unlabelled_regions_are_not_asked_for():
    labels = np.zeros((3, 100, 100), np.uint8)
    labels[:, 0, 0:3] = 9
    labels[:, 50:] = 4
    assert {label for _, label, _ in list_regions(labels, 0.002)} == {4}


def test_as_many_targets_as_asked_for(nested_labels):
    assert len(draw_targets(np.random.default_rng(0), nested_labels, 7)) == 7


def test_shrunk_masks_keep_the_share_of_each_block():
    mask = np.zeros((8, 8), bool)
    mask[:4, :2] = True
    np.testing.assert_allclose(shrink(mask), [[0.5, 0], [0, 0]])


@pytest.mark.parametrize("seed", range(6))
def test_a_correction_says_whether_something_is_missing_or_too_much(seed):
    truth, predicted = np.zeros((12, 12), bool), np.zeros((12, 12), bool)
    truth[2:8, 2:8] = True
    predicted[2:8, 2:5] = True
    predicted[9:11, 9:11] = True
    x, y, label = corrective_click(np.random.default_rng(seed), predicted, truth)
    assert predicted[int(y), int(x)] != truth[int(y), int(x)]
    assert label == truth[int(y), int(x)]


def test_a_perfect_prediction_is_confirmed_inside():
    truth = np.eye(5, dtype=bool)
    x, y, label = corrective_click(np.random.default_rng(0), truth, truth)
    assert truth[int(y), int(x)]
    assert label == 1
