import numpy as np

from everymask.everything import filters
from everymask.everything.grid import Crop

PHOTO = (100, 200)


def test_iou_equal_to_the_threshold_goes_and_stability_equal_to_it_stays():
    equal = np.array([0.88, 0.9], np.float32)
    assert filters.by_predicted_iou(equal, 0.88).tolist() == [False, True]
    assert filters.by_stability(np.array([0.95, 0.9], np.float32), 0.95).tolist() == [True, False]


def test_threshold_of_zero_keeps_even_nan():
    assert filters.by_predicted_iou(np.array([-1.0]), 0).tolist() == [True]
    assert filters.by_stability(np.array([np.nan]), 0).tolist() == [True]


def test_mask_at_the_edge_of_a_crop_goes_but_at_the_edge_of_the_photo_stays():
    crop = Crop(0, 0, 120, 100, 1)
    boxes = np.array([[30, 30, 119, 60], [0, 0, 90, 99], [30, 30, 99, 60], [30, 30, 100, 60]])
    assert filters.whole(boxes, crop, PHOTO).tolist() == [False, True, True, False]


def test_whole_photo_cuts_nothing_off():
    crop = Crop(0, 0, 200, 100, 0)
    assert filters.whole(np.array([[0, 0, 199, 99]]), crop, PHOTO).tolist() == [True]


def test_smaller_crop_is_preferred():
    same = np.array([[0, 0, 50, 50], [0, 0, 50, 50]])
    chosen = [Crop(0, 0, 200, 100, 0), Crop(0, 0, 100, 60, 1)]
    assert filters.between_crops(same, chosen, 0.7).tolist() == [1]


def test_untouched_mask_is_preferred_to_a_cleaned_one():
    same = np.array([[0, 0, 50, 50], [0, 0, 50, 50]])
    assert filters.after_cleaning(same, np.array([True, False]), 0.7).tolist() == [1]


def test_nothing_in_nothing_out():
    none = np.zeros((0, 4))
    assert filters.within_crop(none, np.zeros(0), 0.7).tolist() == []
    assert filters.between_crops(none, [], 0.7).tolist() == []
