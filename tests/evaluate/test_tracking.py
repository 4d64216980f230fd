"""J, F and presence on masks small enough to count by hand."""

import numpy as np
import pytest

from everymask.evaluate.tracking import outline, outline_agreement, region_overlap, score_tracks


def square(left, size=8, hw=(40, 60)):
    mask = np.zeros(hw, bool)
    mask[10 : 10 + size, left : left + size] = True
    return mask


EMPTY = np.zeros((40, 60), bool)


def test_equal_masks_score_one():
    assert region_overlap(square(5), square(5)) == 1
    assert outline_agreement(square(5), square(5)) == 1


def test_half_overlapping_squares():
    assert region_overlap(square(5), square(9)) == pytest.approx(1 / 3)


def test_two_empty_masks_agree_and_one_empty_mask_does_not():
    assert region_overlap(EMPTY, EMPTY) == outline_agreement(EMPTY, EMPTY) == 1
    assert region_overlap(EMPTY, square(5)) == outline_agreement(EMPTY, square(5)) == 0
    assert outline_agreement(square(5), EMPTY) == 0


def test_reach_is_a_share_of_the_diagonal_rounded_up():
    # 0.8% of 72.1 is 0.58: one pixel
    assert outline_agreement(square(5), square(6)) == 1
    assert outline_agreement(square(5), square(8)) < 1


def test_outline_far_from_the_truth_counts_as_wrong():
    both = square(5) | square(40)
    # All of the truth's outline is found, half of ours is right.
    assert outline_agreement(both, square(5)) == pytest.approx(2 * 0.5 * 1 / 1.5)


def test_mask_that_fills_the_picture_has_no_outline():
    assert not outline(np.ones((5, 5), bool)).any()


def test_frames_without_the_object_count_for_presence_alone():
    truth = np.stack([square(5), EMPTY, square(5)])
    said = np.stack([square(5), square(5), EMPTY])
    scores = score_tracks([(said, truth)])
    assert (scores.objects, scores.frames) == (1, 2)
    assert scores.j == scores.f == scores.jf == 0.5
    assert scores.presence == pytest.approx(1 / 3)


def test_objects_count_alike_whatever_their_length():
    long = np.stack([square(5)] * 9), np.stack([square(5)] * 9)
    short = np.stack([EMPTY]), np.stack([square(5)])
    assert score_tracks([long, short]).j == 0.5


def test_object_that_can_never_be_seen_is_left_out():
    unseen = np.stack([EMPTY]), np.stack([EMPTY])
    scores = score_tracks([unseen, (square(5)[None], square(5)[None])])
    assert (scores.objects, scores.j, scores.presence) == (1, 1.0, 1.0)
