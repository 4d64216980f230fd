import pickle
import re

import numpy as np
import pytest

from everymask.errors import InputError, OptionError
from everymask.maskset import Mask, MaskSet


def square(x0, y0, side, **known):
    pixels = np.zeros((20, 30), bool)
    pixels[y0 : y0 + side, x0 : x0 + side] = True
    return Mask.from_segmentation(pixels, **known)


@pytest.fixture
def three():
    return MaskSet(
        [
            square(1, 2, 3, predicted_iou=0.9, stability_score=0.95, label="a"),
            square(5, 5, 10, predicted_iou=0.8, stability_score=0.99),
            square(20, 0, 1, predicted_iou=0.7, stability_score=0.97),
        ]
    )


def test_box_counts_from_first_to_last_column():
    mask = square(1, 2, 3)
    assert mask.bbox == (1, 2, 2, 2)
    assert mask.area == 9
    assert mask.extent == (slice(2, 5), slice(1, 4))
    assert mask.crop().all()
    assert mask.segmentation[mask.extent].all()


def test_empty_mask_has_zero_box_and_empty_window():
    mask = Mask.from_segmentation(np.zeros((4, 5)))
    assert mask.bbox == (0, 0, 0, 0)
    assert mask.segmentation[mask.extent].size == 0
    assert mask.crop().size == 0


def test_dict_has_the_official_fields_in_the_official_order(three):
    (first, *_) = three.to_dicts("uncompressed_rle")
    assert list(first) == [
        "segmentation",
        "area",
        "bbox",
        "predicted_iou",
        "point_coords",
        "stability_score",
        "crop_box",
    ]
    assert first["bbox"] == [1, 2, 2, 2]
    assert first["crop_box"] == [0, 0, 30, 20]
    assert sum(first["segmentation"]["counts"]) == 600


def test_output_modes_hold_the_same_pixels(three):
    for mode in ("binary_mask", "uncompressed_rle", "coco_rle"):
        for entry, mask in zip(three.to_dicts(mode), three, strict=True):
            segmentation = entry["segmentation"]
            read = segmentation if mode == "binary_mask" else Mask.from_rle(segmentation).segmentation
            assert np.array_equal(read, mask.segmentation)


def test_unknown_output_mode_is_refused(three):
    with pytest.raises(
        OptionError, match="output_mode must be one of binary_mask, uncompressed_rle, coco_rle"
    ):
        three.to_dicts("png")


def test_sorting_and_filtering(three):
    assert [m.area for m in three.sorted_by("area")] == [100, 9, 1]
    assert [m.area for m in three.sorted_by("predicted_iou", descending=False)] == [1, 100, 9]
    assert [m.area for m in three.filter(min_area=9)] == [9, 100]
    assert [m.area for m in three.filter(max_area=9, min_stability_score=0.97)] == [1]
    assert [m.area for m in three.filter(inside_box=(0, 0, 15, 15))] == [9, 100]
    assert [m.area for m in three.filter(lambda m: m.label == "a")] == [9]


def test_indexing_gives_masks_and_sets(three):
    assert three[-1].area == 1
    assert [m.area for m in three[:2]] == [9, 100]
    assert [m.area for m in three[[2, 0]]] == [1, 9]
    assert [m.area for m in three[np.array([False, True, False])]] == [100]
    assert three.segmentations().shape == (3, 20, 30)
    with pytest.raises(InputError, match=r"one value a mask, \(3,\); got \(2,\)"):
        three[np.array([True, False])]


def test_sizes_must_agree(three):
    with pytest.raises(InputError, match=r"mask 1 has \(20, 30\)"):
        MaskSet(three, photo_hw=(30, 20))
    with pytest.raises(InputError, match="needs photo_hw"):
        MaskSet([])
    assert len(MaskSet([], (5, 6))) == 0
    assert repr(MaskSet([], (5, 6))) == "MaskSet(0 masks of a 6 x 5 photo)"


def test_score_that_is_missing_is_named():
    with pytest.raises(OptionError, match="these masks have no predicted_iou"):
        MaskSet([square(0, 0, 2)]).sorted_by("predicted_iou")
    with pytest.raises(OptionError, match="a sort key must be one of"):
        MaskSet([square(0, 0, 2)]).sorted_by("size")


def test_masks_do_not_change_but_can_be_replaced_and_pickled(three):
    with pytest.raises(AttributeError, match=r"mask.replace\(label=\.\.\.\)"):
        three[0].label = "b"
    other = three[0].replace(label="b")
    assert (other.label, other.area, three[0].label) == ("b", 9, "a")
    copy = pickle.loads(pickle.dumps(three[0]))
    assert copy.runs.same_as(three[0].runs)
    assert copy.label == "a"


HALF = np.array([[0, 0, 1], [0, 1, 1]])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Mask(HALF), "of pixels [H, W] take Mask.from_segmentation(pixels)"),
        (lambda: Mask([1, 2]), "an RLE must be a dict with 'size' [height, width] and 'counts', got [1, 2]"),
        (
            lambda: MaskSet([HALF]),
            "a MaskSet holds objects of class Mask, got ndarray; of pixels [H, W] take",
        ),
        (
            lambda: Mask.from_segmentation(HALF * 3.5 - 2),
            "must be 0 and one other value, got -2 to 1.5; of logits",
        ),
        (lambda: Mask.from_segmentation(HALF * [0.2, 0.4, 0.6]), "got 0 to 0.6; of logits pass logits > 0"),
        (lambda: Mask.from_segmentation(HALF * np.nan), "got nan to nan"),
        (lambda: Mask.from_segmentation([[0, 1], [1]]), "shape (H, W), got rows of unequal length"),
        (lambda: Mask.from_segmentation(HALF[None]), "a mask must have shape (H, W), got (1, 2, 3)"),
        (
            lambda: Mask.from_segmentation(HALF, predicted_iou="good"),
            "predicted_iou must be a number, got 'good'",
        ),
        (lambda: Mask.from_segmentation(HALF, point_coords=(3, 4)), "must be (x, y) pairs, got (3, 4)"),
    ],
)
def test_what_is_no_mask_is_refused_with_what_to_pass(make, words):
    with pytest.raises(InputError, match=re.escape(words)):
        make()


@pytest.mark.parametrize("one", [True, 1, 255, -1, 1.0, 0.5])
def test_pixels_are_zero_or_not(one):
    mask = Mask.from_segmentation(HALF * np.asarray(one), point_coords=np.array([[2, 1]]))
    assert mask.segmentation.tolist() == (HALF > 0).tolist()
    assert mask.point_coords == ((2.0, 1.0),)
