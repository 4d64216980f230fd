"""Estimates of masks from coarse logits, and which points are decoded because of them."""

from types import SimpleNamespace

import numpy as np
import pytest

from everymask.everything.coarse_pass import Estimates, Promising, boxes_in_cells, seems_stable


def boxes(*rows):
    return np.array(rows, np.float32)


@pytest.mark.parametrize(
    ("logits", "box"),
    [
        ([[-1, -1], [-1, -1]], (0, 0, 0, 0)),
        ([[1, 1], [1, 1]], (0, 0, 2, 2)),  # an edge of the picture is the edge of its cells
        ([[-1, -1, -1], [-1, 1, -1], [-1, -1, -1]], (1, 1, 2, 2)),  # half way between two middles
        ([[-3, 1, 1, -1]], (1.25, 0, 3, 1)),  # nearer to the smaller one
    ],
)
def test_box_ends_where_the_largest_logits_cross_the_threshold(logits, box):
    found = boxes_in_cells(np.array([logits], float) + 5, 5.0)
    np.testing.assert_allclose(found, [box])


def test_stability_gives_one_cell_in_doubt_to_the_mask():
    logits = np.array([[[9, 9, 9, 0.5]], [[9, 9, 0.5, 0.5]], [[-9, -9, -9, -9]]])
    assert seems_stable(logits, 0.0, 1.0, 0.95).tolist() == [True, False, False]
    assert seems_stable(logits, 0.0, 1.0, 0.0).all()


def test_only_points_whose_estimates_survive_are_decoded():
    same = boxes((0, 0, 10, 10), (0, 0, 10, 10), (50, 50, 60, 60))
    estimates = guesses([0, 1, 2], [0.8, 0.9, 0.5], same)
    promising = Promising(estimates, 3, 0.7)
    assert promising.next().tolist() == [1, 2]
    promising.learn(np.array([1, 2]), [given(0.9, same[1]), given(0.5, same[2])])
    assert promising.next().tolist() == []


def test_a_point_that_disappoints_brings_up_the_next():
    same = boxes((0, 0, 10, 10), (0, 0, 10, 10))
    promising = Promising(guesses([0, 1], [0.8, 0.9], same), 2, 0.7)
    assert promising.next().tolist() == [1]
    promising.learn(np.array([1]), [])  # not stable after all
    assert promising.next().tolist() == [0]


def test_an_estimate_within_its_error_of_a_known_score_is_decoded():
    same = boxes((0, 0, 10, 10), (0, 0, 10, 10), (0, 0, 10, 10))
    estimates = guesses([0, 1, 2], [0.88, 0.9, 0.6], same)
    promising = Promising(estimates, 3, 0.7)
    promising.learn(promising.next(), [given(0.89, same[1])])
    assert promising.margin == pytest.approx(0.03, abs=1e-6)
    assert promising.next().tolist() == [0]


def test_estimates_are_joined_with_the_numbers_of_their_points():
    one = guesses([0, 0, 3], [0.1, 0.2, 0.3], boxes(*[(0, 0, 1, 1)] * 3))
    joined = Estimates.joined([(np.array([7, 2, 9, 4]), one), (np.arange(4), one)])
    assert joined.prompt.tolist() == [7, 7, 4, 0, 0, 3]
    assert joined.boxes.shape == (6, 4)
    assert joined.cells.shape == (6, 2, 2)


def guesses(prompts, iou, places):
    cells = np.zeros((len(prompts), 2, 2), bool)
    return Estimates(np.array(prompts), np.array(iou, np.float32), places, cells)


def given(iou, box):
    return SimpleNamespace(iou=np.float32(iou), box_xyxy=box.astype(np.int64))
