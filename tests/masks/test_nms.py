import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from everymask.masks.nms import overlaps, suppress, suppress_pixels
from everymask.masks.rle import encode
from tests.parity import torchvision_standin


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 40), st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
def test_keeps_what_torchvision_keeps_in_its_order(count, seed, threshold):
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 30, (count, 2))
    boxes = np.concatenate([corner, corner + rng.integers(0, 15, (count, 2))], axis=1)
    scores = rng.integers(0, 5, count).astype(np.float32)  # many ties
    official = torchvision_standin.nms(torch.from_numpy(boxes).float(), torch.from_numpy(scores), threshold)
    assert suppress(boxes, scores, threshold).tolist() == official.tolist()


def test_iou_equal_to_the_threshold_stays():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5]])
    assert suppress(boxes, np.array([1.0, 0.5]), 0.5).tolist() == [0, 1]
    assert suppress(boxes, np.array([1.0, 0.5]), 0.49).tolist() == [0]


def test_boxes_without_area_do_not_suppress_each_other():
    assert suppress(np.zeros((3, 4)), np.array([1.0, 1.0, 1.0]), 0.5).tolist() == [0, 1, 2]


def test_first_of_equal_scores_wins():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10]])
    assert suppress(boxes, np.array([0.5, 0.5]), 0.5).tolist() == [0]


def rows(*texts):
    return [encode(np.array([[c == "x" for c in text]])) for text in texts]


def test_nested_double_that_boxes_let_through_goes_by_pixels():
    # A cross and the same cross without an arm: boxes overlap by half, pixels by more.
    masks = rows("xxxxxxxx..", "xxxxxxx...", "........xx")
    result = suppress_pixels(masks, 0.8)
    assert result.kept.tolist() == [0, 2]
    assert result.by == {1: (0, 7 / 8)}


def test_equal_overlap_stays_and_one_keeps_everything():
    masks = rows("xxxx", "xxx.")
    assert suppress_pixels(masks, 0.75).kept.tolist() == [0, 1]
    assert suppress_pixels(rows("xx", "xx"), 1.0).kept.tolist() == [0, 1]
    assert suppress_pixels(rows("xx", "xx"), 0.99).kept.tolist() == [0]


def test_what_is_suppressed_suppresses_nothing():
    masks = rows("xxxxxx....", "..xxxxxx..", "....xxxxxx")
    assert suppress_pixels(masks, 0.4).kept.tolist() == [0, 2]


def test_empty_masks_and_no_masks():
    assert suppress_pixels(rows("....", "...."), 0.5).kept.tolist() == [0, 1]
    assert suppress_pixels([], 0.5).kept.tolist() == []


def test_pixel_suppression_answers_as_the_plain_one():
    rng = np.random.default_rng(3)
    masks = [rng.random((6, 6)) < 0.6 for _ in range(30)]
    for threshold in (0.3, 0.45, 0.6):
        kept: list[int] = []
        for number, mask in enumerate(masks):
            if all((mask & masks[k]).sum() / (mask | masks[k]).sum() <= threshold for k in kept):
                kept.append(number)
        assert suppress_pixels([encode(mask) for mask in masks], threshold).kept.tolist() == kept


def test_overlaps_are_those_that_suppress_compares():
    rng = np.random.default_rng(4)
    corners = rng.integers(0, 9, (40, 2))
    boxes = np.concatenate([corners, corners + rng.integers(0, 7, (40, 2))], axis=1)
    for box in boxes[1:]:
        iou = float(overlaps(boxes[0], box[None])[0])
        assert suppress(np.stack([boxes[0], box]), np.array([2, 1]), iou).tolist() == [0, 1]
        if iou > 0:
            below = np.nextafter(iou, 0)
            assert suppress(np.stack([boxes[0], box]), np.array([2, 1]), below).tolist() == [0]
