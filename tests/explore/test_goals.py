import numpy as np
import pytest

from everymask.errors import OptionError
from everymask.explore.goals import Wish, closeness, iou_matrix, panoptic_quality, score_against
from everymask.maskset import Mask, MaskSet


def masks(*rows, stability=None):
    return MaskSet(
        [Mask.from_segmentation(np.array([row]), stability_score=stability) for row in rows], photo_hw=(1, 4)
    )


LEFT, RIGHT, ALL = [1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]


def test_overlap_matrix_is_that_of_the_pixels():
    np.testing.assert_allclose(iou_matrix(masks(LEFT, ALL), masks(LEFT, RIGHT)), [[1, 0], [0.5, 0.5]])
    assert iou_matrix(masks(), masks(LEFT)).shape == (0, 1)


def test_overlap_and_recall_do_not_mind_more_masks_but_quality_does():
    reference = [masks(LEFT, RIGHT)]
    exact, more = masks(LEFT, RIGHT), masks(LEFT, RIGHT, ALL)
    for goal in ("overlap", "recall"):
        assert score_against(exact, reference, goal) == score_against(more, reference, goal) == 1.0
    assert score_against(exact, reference, "quality") == 1.0
    assert score_against(more, reference, "quality") == pytest.approx(2 / 2.5)
    assert score_against(more, reference, "count") == 0.5


def test_goals_are_means_over_annotators():
    assert score_against(masks(LEFT), [masks(LEFT), masks(ALL)], "overlap") == 0.75


def test_nothing_found_and_nothing_to_find():
    for goal in ("quality", "overlap", "recall", "count"):
        assert score_against(masks(), [masks(LEFT)], goal) == 0.0
        assert score_against(masks(), [masks()], goal) == 1.0
        assert score_against(masks(LEFT), [masks()], goal) == 0.0


def test_a_reference_is_matched_once():
    assert panoptic_quality(np.array([[0.9], [0.9]])) == pytest.approx(0.9 / 1.5)
    assert panoptic_quality(np.array([[0.5]])) == 0.0, "IoU must be above one half"


def test_unknown_goal_lists_the_known():
    with pytest.raises(OptionError, match="quality, overlap, recall, count; got 'pq'"):
        score_against(masks(), [masks()], "pq")


def test_wish_for_all_of_the_photo_once():
    wish = Wish()
    assert wish.score(masks(LEFT, RIGHT)) == 1.0
    assert wish.score(masks(LEFT)) == 0.75
    assert wish.score(masks(LEFT, ALL)) == 0.75
    assert wish.score(masks()) == 0.0


def test_wish_for_sizes_count_and_stability():
    wish = Wish({"sizes": 1, "count": 1, "stability": 2}, sizes=(2, 3), count=(2, 2))
    assert wish.score(masks(LEFT, ALL, stability=0.5)) == pytest.approx((0.5 + 1 + 2 * 0.5) / 4)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"weights": {"beauty": 1}}, "a wish weighs coverage, single, stability, sizes, count; got"),
        ({"weights": {"coverage": 0}}, "weights must be at least 0 and one above it"),
        ({"weights": {"sizes": 1}}, r"needs both its weight and sizes=\(least, largest\)"),
        ({"weights": {"count": 1}, "count": (5, 2)}, r"count must be \(least, largest\), got \(5, 2\)"),
    ],
)
def test_wish_that_makes_no_sense_is_refused(wish, message):
    with pytest.raises(OptionError, match=message):
        Wish(**wish)


def test_no_mask_wanted_and_none_found():
    assert closeness(0, 0, 0) == 1.0
    assert closeness(1, 0, 0) == 0.0
