"""Simulated users: they click inside, box around, and correct what is wrong."""

import numpy as np
import pytest
import torch

from everymask.train.prompts import (
    click_inside,
    corrective_clicks,
    draw_targets,
    jittered_box,
    list_regions,
    make_target,
    nested_truths,
    rough_masks,
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


def test_half_of_the_clicks_are_innermost():
    region = np.zeros((64, 64), bool)
    region[10:31, 20:41] = True
    clicks = [click_inside(np.random.default_rng(seed), region) for seed in range(100)]
    assert all(region[y, x] for x, y in clicks)
    assert 30 < sum(click == (30, 20) for click in clicks) < 70


def truths_of(labels, clicks, levels):
    return nested_truths(torch.from_numpy(labels)[None], torch.tensor(clicks), torch.tensor(levels))


def test_nested_truths_come_small_to_large_without_repeats(nested_labels):
    clicks = [[20.0, 20.0], [20.0, 20.0], [50.0, 50.0], [2.0, 2.0]]
    truths, valid, primary = truths_of(nested_labels, clicks, [0, 1, 1, 2])
    assert valid.tolist() == [[True, True, False]] * 3 + [[True, False, False]]
    assert primary.tolist() == [0, 1, 1, 0]
    part, whole, around = 16 * 16, 48 * 48, 64 * 64 - 48 * 48
    areas = (truths.sum((2, 3)) * 16).tolist()
    assert areas == [[part, whole, 0], [part, whole, 0], [whole - part, whole, 0], [around, 0, 0]]


def test_unknown_pixels_have_no_truth(nested_labels):
    nested_labels[0] = 0
    truths, valid, primary = truths_of(nested_labels, [[20.0, 20.0]], [1])
    assert valid.tolist() == [[True, False, False]]
    assert primary.tolist() == [0]
    assert truths[0, 0].sum() * 16 == 48 * 48


def test_truths_are_soft_at_borders():
    labels = np.ones((3, 8, 8), np.uint8)
    labels[:, :4, :2] = 2
    truths, _, _ = truths_of(labels, [[0.0, 0.0]], [0])
    np.testing.assert_allclose(truths[0, 0], [[0.5, 0], [0, 0]])


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


def chance(masks, seed=0):
    return torch.rand(len(masks), 1 + masks[0].numel(), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(6))
def test_a_correction_says_whether_something_is_missing_or_too_much(seed):
    truth, predicted = torch.zeros(2, 12, 12, dtype=torch.bool), torch.zeros(2, 12, 12, dtype=torch.bool)
    truth[:, 2:8, 2:8] = True
    predicted[:, 2:8, 2:5] = True
    predicted[:, 9:11, 9:11] = True
    places, labels = corrective_clicks(predicted, truth, chance(truth, seed))
    for index, (x, y) in enumerate(places.long().tolist()):
        assert predicted[index, y, x] != truth[index, y, x]
        assert labels[index] == truth[index, y, x]


def test_half_of_the_corrections_go_deep_inside_the_error():
    truth = torch.zeros(200, 12, 12, dtype=torch.bool)
    truth[:, 2:7, 3:8] = True
    places, labels = corrective_clicks(torch.zeros_like(truth), truth, chance(truth))
    assert (labels == 1).all()
    innermost = (places == torch.tensor([5.0, 4.0])).all(1).sum()
    assert 80 < innermost < 130


def test_a_perfect_prediction_is_confirmed_inside():
    truth = torch.eye(5, dtype=torch.bool)[None]
    places, labels = corrective_clicks(truth, truth, chance(truth))
    x, y = places[0].long().tolist()
    assert truth[0, y, x]
    assert labels.tolist() == [1]


def test_without_any_truth_the_middle_is_not_the_object():
    nothing = torch.zeros(1, 8, 8, dtype=torch.bool)
    places, labels = corrective_clicks(nothing, nothing, chance(nothing))
    assert places.tolist() == [[4.0, 4.0]]
    assert labels.tolist() == [0]


def test_regions_of_a_few_pixels_are_asked_for_where_there_are_no_others():
    labels = np.zeros((3, 64, 64), np.uint8)
    labels[1, 5, 9] = 200
    (target,) = draw_targets(np.random.default_rng(0), labels, 1, jittered=0)
    assert target.click_xy.tolist() == [9, 5]
    assert target.box_xyxy.tolist() == [9, 5, 9, 5]


def test_rough_masks_lie_about_where_the_truth_does():
    truth = torch.zeros(20, 32, 32)
    truth[:, 8:24, 10:22] = 1
    rough = rough_masks(truth, torch.Generator().manual_seed(0))
    assert rough.shape == (20, 1, 32, 32)
    found = rough[:, 0] > 0
    both = (found & (truth > 0.5)).sum((1, 2)) / (found | (truth > 0.5)).sum((1, 2))
    assert (both > 0.3).all()
    assert (both < 0.95).sum() > 10
    assert rough.abs().amax((1, 2, 3)).ge(4).all()


def test_no_rough_masks_are_none():
    assert rough_masks(torch.zeros(0, 8, 8), torch.Generator()).shape == (0, 1, 8, 8)
