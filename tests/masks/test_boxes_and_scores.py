import numpy as np

from everymask.masks import boxes, rle, scores


def test_box_of_one_pixel_and_of_nothing():
    mask = np.zeros((4, 5), bool)
    assert boxes.box_of_mask(mask) == (0, 0, 0, 0)
    mask[3, 1] = True
    assert boxes.box_of_mask(mask) == (1, 3, 1, 3)


def test_edge_exactly_at_the_tolerance_touches():
    crop, photo = (100, 0, 400, 300), (300, 800)
    assert boxes.near_crop_edge(np.array([[120, 50, 200, 80]]), crop, photo).tolist() == [True]
    assert boxes.near_crop_edge(np.array([[121, 50, 200, 80]]), crop, photo).tolist() == [False]


def test_iou_of_boxes():
    a = np.array([[0, 0, 10, 10], [5, 5, 5, 5]])
    assert boxes.iou_matrix(a, np.array([[0, 0, 10, 5]])).tolist() == [[0.5], [0.0]]


def test_stability_is_rounded_to_float32():
    assert scores.stability(np.array([1]), np.array([3])).dtype == np.float32


def test_iou_of_runs_equals_iou_of_pixels():
    rng = np.random.default_rng(0)
    for _ in range(30):
        a, b = rng.random((2, 13, 17)) < 0.4
        assert scores.rle_iou(rle.encode(a), rle.encode(b)) == scores.mask_iou(a, b)
    nothing = rle.encode(np.zeros((3, 3), bool))
    assert scores.rle_iou(nothing, nothing) == 1.0
