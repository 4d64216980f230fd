import numpy as np

from everymask.maskset import Mask, MaskSet
from everymask.video.discover import DiscoveryRule, new_objects

RULE = DiscoveryRule(least_area_share=0.02)


def square(x: int, y: int, side: int) -> np.ndarray:
    mask = np.zeros((20, 20), bool)
    mask[y : y + side, x : x + side] = True
    return mask


def found(*masks):
    return MaskSet([Mask.from_segmentation(m, predicted_iou=iou) for m, iou in masks], (20, 20))


NONE = np.zeros((0, 20, 20), bool)


def test_everything_is_new_on_the_first_frame_best_first():
    masks = found((square(0, 0, 5), 0.7), (square(10, 10, 5), 0.9))
    assert [mask.predicted_iou for mask in new_objects(masks, NONE, RULE)] == [0.9, 0.7]


def test_a_followed_object_is_not_found_again():
    masks = found((square(1, 0, 6), 0.9), (square(10, 10, 5), 0.8))
    new = new_objects(masks, square(0, 0, 6)[None], RULE)
    assert [mask.predicted_iou for mask in new] == [0.8]


def test_parts_of_a_followed_object_are_no_objects():
    assert new_objects(found((square(2, 2, 3), 0.9)), square(0, 0, 10)[None], RULE) == []


def test_a_larger_thing_around_a_small_followed_one_is_new():
    assert len(new_objects(found((square(0, 0, 12), 0.9)), square(2, 2, 3)[None], RULE)) == 1


def test_a_thing_and_its_copy_become_one_object():
    masks = found((square(0, 0, 6), 0.8), (square(0, 0, 7), 0.9))
    assert [mask.predicted_iou for mask in new_objects(masks, NONE, RULE)] == [0.9]


def test_specks_are_left_alone_and_the_number_of_objects_is_limited():
    masks = found((square(0, 0, 2), 0.99), (square(5, 5, 4), 0.9), (square(12, 12, 4), 0.8))
    rule = DiscoveryRule(least_area_share=0.02, most_objects=2)
    assert len(new_objects(masks, NONE, rule)) == 2
    assert len(new_objects(masks, square(0, 10, 4)[None], rule)) == 1
    assert all(mask.area > 4 for mask in new_objects(masks, NONE, rule))


def test_objects_that_are_out_of_sight_still_count():
    rule = DiscoveryRule(most_objects=1)
    assert new_objects(found((square(5, 5, 4), 0.9)), np.zeros((1, 20, 20), bool), rule) == []
