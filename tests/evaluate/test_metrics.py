"""The measures on arrays small enough to check by eye."""

import numpy as np
import pytest

from everymask.evaluate.everything import edge_strength
from everymask.evaluate.metrics import (
    best_f,
    borders,
    bounding_box,
    edge_counts,
    innermost,
    iou,
    rank_correlation,
)


def test_iou_of_two_empty_masks_is_zero():
    assert iou(np.zeros((1, 2, 2), bool), np.zeros((2, 2), bool)).tolist() == [0.0]


def test_iou_of_no_masks_is_an_empty_list():
    assert iou(np.zeros((0, 2, 2), bool), np.ones((2, 2), bool)).shape == (0,)


def test_innermost_pixel_keeps_away_from_the_border_of_the_photo():
    assert innermost(np.ones((5, 5), bool)) == (2.0, 2.0)


def test_innermost_pixel_of_a_single_pixel():
    region = np.zeros((4, 6), bool)
    region[3, 5] = True
    assert innermost(region) == (5.0, 3.0)


def test_boxes_end_at_the_last_pixel():
    region = np.zeros((5, 8), bool)
    region[1:3, 2:6] = True
    assert bounding_box(region) == (2.0, 1.0, 5.0, 2.0)


def test_borders_between_three_regions():
    labels = np.array([[1, 1, 2], [1, 1, 2], [3, 3, 3]])
    assert borders(labels).astype(int).tolist() == [[0, 1, 0], [1, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("b", "expected"), [([1, 2, 3, 4], 1.0), ([4, 3, 2, 1], -1.0), ([10, 40, 90, 91], 1.0)]
)
def test_rank_correlation_sees_order_only(b, expected):
    assert rank_correlation(np.array([0.1, 0.2, 0.3, 0.4]), np.array(b)) == pytest.approx(expected)


def test_ties_share_their_rank():
    assert rank_correlation(np.array([1, 1, 2]), np.array([5, 5, 9])) == pytest.approx(1.0)


def test_rank_correlation_of_a_constant_is_not_a_number():
    assert np.isnan(rank_correlation(np.array([1, 1]), np.array([1, 2])))


def test_edges_within_reach_match_and_others_do_not():
    human = np.zeros((20, 20), bool)
    human[:, 10] = True
    near, far = np.zeros((20, 20)), np.zeros((20, 20))
    near[:, 11] = 0.9
    far[:, 16] = 0.9
    thresholds = np.array([0.5])
    assert best_f(edge_counts(near, [human], thresholds, reach_px=2)) == pytest.approx(1.0)
    assert best_f(edge_counts(far, [human], thresholds, reach_px=2)) == pytest.approx(0.0)


def test_the_best_mask_with_a_border_gives_the_strength():
    masks = np.zeros((2, 1, 4), bool)
    masks[0, 0, :2] = True
    masks[1, 0, :3] = True
    assert edge_strength(masks, np.array([0.4, 0.8])).tolist() == [[0.0, 0.4, 0.8, 0.0]]


def test_no_masks_have_no_edges():
    assert edge_strength(np.zeros((0, 2, 2), bool), np.zeros(0)).tolist() == [[0, 0], [0, 0]]
