import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from everymask.masks.nms import suppress
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
