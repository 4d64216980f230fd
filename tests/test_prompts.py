"""Prompts are read by their number of axes and checked once."""

import warnings

import numpy as np
import pytest
import torch

from everymask.errors import PromptError
from everymask.prompts import read_prompts

PHOTO, LOGITS = (60, 80), (16, 16)


def read(**given):
    return read_prompts(PHOTO, LOGITS, **given)


def test_one_click_is_one_prompt_without_a_prompt_axis():
    prompts = read(points=[(50, 37)], labels=[1])
    assert (len(prompts), prompts.many) == (1, False)
    assert prompts.points_xy_px.tolist() == [[[50.0, 37.0]]]
    assert prompts.labels.tolist() == [[1]]


def test_labels_left_out_mean_the_object():
    assert read(points=[(1, 2), (3, 4)]).labels.tolist() == [[1, 1]]


def test_boolean_labels_count_as_one_and_zero():
    assert read(points=[(1, 2), (3, 4)], labels=[True, False]).labels.tolist() == [[1, 0]]


def test_points_with_three_axes_are_many_prompts():
    prompts = read(points=np.ones((3, 2, 2)), labels=np.ones((3, 2)))
    assert (len(prompts), prompts.many) == (3, True)


def test_a_single_row_of_boxes_keeps_its_prompt_axis():
    assert read(box=[(1, 2, 30, 40)]).many
    assert (len(read(box=[])), read(box=[]).many) == (0, True)
    assert not read(box=(1, 2, 30, 40)).many


def test_tensors_are_read_like_arrays():
    torch = pytest.importorskip("torch")
    prompts = read(points=torch.tensor([[5.0, 6.0]], requires_grad=True), box=torch.tensor([0, 0, 9, 9]))
    assert prompts.points_xy_px.tolist() == [[[5.0, 6.0]]]
    assert prompts.boxes_xyxy_px.tolist() == [[0.0, 0.0, 9.0, 9.0]]


def test_prompts_of_unequal_length_come_in_groups_without_padding():
    prompts = read(points=[[(1, 1)], [(2, 2), (3, 3)], [(4, 4)]], labels=[[1], [1, 0], [0]])
    groups = [
        (rows.tolist(), group.points_xy_px.tolist(), group.labels.tolist())
        for rows, group in prompts.groups()
    ]
    assert groups == [
        ([0, 2], [[[1.0, 1.0]], [[4.0, 4.0]]], [[1], [0]]),
        ([1], [[[2.0, 2.0], [3.0, 3.0]]], [[1, 0]]),
    ]


def test_a_prompt_of_a_ragged_list_may_have_no_points_beside_its_box():
    prompts = read(points=[[], [(2, 2)]], box=[(0, 0, 9, 9), (1, 1, 8, 8)])
    assert [group.points_xy_px.shape for _, group in prompts.groups()] == [(1, 0, 2), (1, 1, 2)]
    assert [group.boxes_xyxy_px.tolist() for _, group in prompts.groups()] == [[[0, 0, 9, 9]], [[1, 1, 8, 8]]]


def test_padding_labels_are_dropped_from_the_groups():
    prompts = read(points=[[(1, 1), (0, 0)], [(2, 2), (3, 3)]], labels=[[1, -1], [1, 1]])
    assert [group.labels.tolist() for _, group in prompts.groups()] == [[[1]], [[1, 1]]]


def test_padding_may_lie_anywhere():
    assert len(read(points=[(1, 1), (-9, 999)], labels=[1, -1])) == 1


@pytest.mark.parametrize(
    "mask",
    [
        np.ones(PHOTO, bool),
        np.ones(PHOTO, np.uint8) * 255,
        np.ones(PHOTO, np.int64),
        np.ones((1, *PHOTO), np.float32),
    ],
)
def test_a_mask_of_zeros_and_ones_with_the_photos_size_is_a_photo_mask(mask):
    prompts = read(mask=mask)
    assert prompts.photo_masks.dtype == bool
    assert prompts.photo_masks.all()
    assert (prompts.photo_masks.shape, prompts.mask_logits, prompts.many) == ((1, *PHOTO), None, False)


@pytest.mark.parametrize(
    ("shape", "many"), [((16, 16), False), ((1, 16, 16), False), ((3, 16, 16), True), ((3, 1, 16, 16), True)]
)
def test_floats_of_the_low_resolution_size_are_logits(shape, many):
    prompts = read(mask=np.full(shape, -3.5))
    assert prompts.mask_logits.dtype == np.float32
    assert (prompts.mask_logits.shape[1:], prompts.photo_masks, prompts.many) == ((16, 16), None, many)


def test_floats_are_logits_when_the_photo_has_the_low_resolution_size():
    prompts = read_prompts((16, 16), (16, 16), mask=np.full((16, 16), 0.5, np.float32))
    assert prompts.photo_masks is None
    assert read_prompts((16, 16), (16, 16), mask=np.ones((16, 16), bool)).mask_logits is None


def test_one_mask_row_beside_boxes_with_an_axis_counts_as_many():
    prompts = read(box=[(1, 2, 30, 40)], mask=np.full((1, 16, 16), -2.0))
    assert (len(prompts), prompts.many) == (1, True)


def test_the_far_edge_of_the_picture_is_inside():
    assert len(read(points=[(80, 60), (0, 0)])) == 1


def test_boxes_may_reach_over_the_edge_but_not_lie_outside():
    assert len(read(box=(-5, -5, 90, 70))) == 1
    with pytest.raises(
        PromptError, match=r"box \(80, 0, 90, 9\) does not overlap the picture of 80 x 60 pixels"
    ):
        read(box=(80, 0, 90, 9))


def test_keep_hands_on_any_finite_coordinates():
    prompts = read(points=[(-500, 4000)], outside="keep")
    assert prompts.points_xy_px.tolist() == [[[-500.0, 4000.0]]]


def test_the_callers_arrays_are_not_changed():
    points = np.array([[5.0, 6.0]])
    read(points=points).points_xy_px[:] = 0
    assert points.tolist() == [[5.0, 6.0]]


# --- what a mask prompt is --------------------------------------------------------------------------

SQUARE = np.zeros((60, 80))
SQUARE[10:40, 20:50] = 1


@pytest.mark.parametrize(
    "mask",
    [
        *(SQUARE.astype(kind) for kind in (bool, np.uint8, np.int64, np.float16, np.float32, np.float64)),
        *((SQUARE * 255).astype(kind) for kind in (np.uint8, np.int32, np.float32)),
        torch.tensor(SQUARE, dtype=torch.bfloat16),
        torch.tensor(SQUARE) > 0,
        SQUARE.tolist(),
    ],
)
@pytest.mark.parametrize("logits_hw", [(16, 16), (60, 80)])
def test_a_mask_of_two_values_is_binary_whatever_its_type(mask, logits_hw):
    prompts = read_prompts((60, 80), logits_hw, mask=mask)
    assert prompts.mask_logits is None
    assert np.array_equal(prompts.photo_masks[0], SQUARE > 0)


@pytest.mark.parametrize("values", [[-5.0, 5.0], [0.0, 0.5], [-1.0, 0.0], [0.0, 2.0]])
def test_floats_of_the_size_of_logits_are_logits(values):
    mask = np.resize(np.array(values, np.float32), (16, 16))
    prompts = read_prompts((60, 80), (16, 16), mask=mask)
    assert prompts.photo_masks is None
    assert np.array_equal(prompts.mask_logits[0], mask)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            np.zeros((16, 16), np.float32),
            "16 x 16 .H x W. zeros could be an empty mask or logits that say nothing",
        ),
        (
            np.eye(16, dtype=np.float32),
            "a binary mask must have the photo's size 60 x 80 .H x W., got 16 x 16",
        ),
        (np.eye(16, dtype=bool), "a binary mask must have the photo's size 60 x 80 .H x W., got 16 x 16"),
        (SQUARE * 0.5, "a float mask of the photo's size must hold only 0 and 1, got values 0 to 0.5"),
        (SQUARE * 3 + 1, "a float mask of the photo's size must hold only 0 and 1, got values 1 to 4"),
        (
            (SQUARE * 7).astype(int),
            "an integer mask must hold only 0 and 1, or only 0 and 255, got values 0 to 7",
        ),
        (SQUARE * np.nan, "mask must be finite numbers, got NaN or infinity"),
        ([[0, 1], [1]], "mask must be one array, got rows of unequal length"),
        (np.array([["a"]]), "mask must be booleans, integers or floats"),
    ],
)
def test_what_could_be_both_or_is_neither_is_refused(mask, message):
    with pytest.raises(PromptError, match=message):
        read_prompts((60, 80), (16, 16), mask=mask)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64, torch.int32])
def test_tensors_of_any_type_are_prompts(kind):
    points = torch.tensor([[10, 20], [30, 40]], dtype=kind)
    prompts = read_prompts((60, 80), (16, 16), points=points, labels=torch.tensor([1, 0], dtype=kind))
    assert prompts.points_xy_px.tolist() == [[[10, 20], [30, 40]]]
    box = [torch.tensor(side, dtype=kind) for side in (1, 2, 30, 40)]
    assert read_prompts((60, 80), (16, 16), box=box).boxes_xyxy_px.tolist() == [[1, 2, 30, 40]]


@pytest.mark.parametrize(
    "empty",
    [
        {"box": np.zeros((0, 4))},
        {"box": torch.zeros(0, 4)},
        {"points": np.zeros((0, 1, 2)), "labels": np.zeros((0, 1))},
        {"mask": np.zeros((0, 60, 80), bool)},
    ],
)
def test_no_boxes_are_no_prompts(empty):
    prompts = read_prompts((60, 80), (16, 16), **empty)
    assert (len(prompts), prompts.many) == (0, True)


def _quantised(mask):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.tensor(mask).float(), 1 / 255, 0, torch.quint8)


OTHER_TENSORS = {
    "sparse": lambda mask: torch.tensor(mask).float().to_sparse(),
    "rows compressed": lambda mask: torch.tensor(mask).float().to_sparse_csr(),
    "quantised": _quantised,
    "float8": lambda mask: torch.tensor(mask).to(torch.float8_e5m2),
    "bfloat16 of NumPy": lambda mask: mask.astype(pytest.importorskip("ml_dtypes").bfloat16),
    "float8 of NumPy": lambda mask: mask.astype(pytest.importorskip("ml_dtypes").float8_e4m3fn),
}


@pytest.mark.filterwarnings("ignore:.*[Ss]parse.*:UserWarning")
@pytest.mark.parametrize("case", OTHER_TENSORS)
def test_masks_of_any_layout_are_masks(case):
    mask = np.zeros((6, 8), bool)
    mask[1:4, 2:7] = True
    read = read_prompts((6, 8), (4, 4), mask=OTHER_TENSORS[case](mask))
    assert np.array_equal(read.photo_masks[0], mask)
