import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from everymask.errors import InputError
from everymask.masks import rle
from everymask.masks.boxes import box_of_mask

small_masks = hnp.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)))


def blobs(height, width, seed):
    import cv2

    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width), np.uint8)
    for _ in range(8):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(picture, centre, int(rng.integers(1, max(2, height // 3))), int(rng.integers(2)), -1)
    return picture.astype(bool)


def test_runs_go_down_the_columns_and_start_with_background():
    assert rle.encode(np.array([[1, 0], [1, 1]], bool)).counts.tolist() == [0, 2, 1, 1]


@pytest.mark.parametrize("value", [False, True])
def test_mask_of_one_value(value):
    mask = np.full((3, 5), value)
    encoded = rle.encode(mask)
    assert encoded.counts.tolist() == ([0, 15] if value else [15])
    assert encoded.area == (15 if value else 0)
    assert np.array_equal(rle.decode(encoded), mask)


@settings(max_examples=200, deadline=None)
@given(small_masks)
def test_string_is_byte_equal_to_pycocotools(mask):
    official = coco.encode(np.asfortranarray(mask, np.uint8))
    encoded = rle.encode(mask)
    assert rle.pack(encoded.counts) == official["counts"]
    assert np.array_equal(rle.unpack(official["counts"]), encoded.counts)
    assert np.array_equal(rle.decode(encoded), mask)
    assert rle.box_xyxy(encoded) == box_of_mask(mask)


@pytest.mark.parametrize("seed", range(8))
def test_string_of_a_large_mask_is_byte_equal_to_pycocotools(seed):
    mask = blobs(1200, 900, seed)
    official = coco.encode(np.asfortranarray(mask, np.uint8))
    assert rle.to_coco(rle.encode(mask)) == {"size": [1200, 900], "counts": official["counts"].decode()}
    assert rle.from_coco(official).same_as(rle.encode(mask))


def test_one_run_longer_than_twenty_bits_round_trips():
    counts = np.array([0, 2**31, 5, 2**33 + 17, 3])
    assert np.array_equal(rle.unpack(rle.pack(counts)), counts)


@settings(max_examples=100, deadline=None)
@given(small_masks, st.data())
def test_window_of_a_mask_equals_the_slice(mask, data):
    height, width = mask.shape
    x0, y0 = data.draw(st.integers(0, width)), data.draw(st.integers(0, height))
    x1, y1 = data.draw(st.integers(x0, width)), data.draw(st.integers(y0, height))
    assert np.array_equal(rle.decode_box(rle.encode(mask), (x0, y0, x1, y1)), mask[y0:y1, x0:x1])


def test_empty_runs_are_joined_when_read():
    read = rle.from_coco({"size": [1, 6], "counts": [1, 2, 0, 1, 2]})
    assert read.counts.tolist() == [1, 3, 2]
    assert rle.from_coco({"size": [1, 2], "counts": [0, 0, 2]}).counts.tolist() == [2]


def test_uncompressed_and_compressed_dicts_say_the_same():
    mask = blobs(50, 70, 3)
    encoded = rle.encode(mask)
    assert rle.from_coco(rle.to_uncompressed(encoded)).same_as(encoded)
    assert rle.from_coco(rle.to_coco(encoded)).same_as(encoded)


def test_crop_is_placed_in_the_photo():
    crop = np.array([[1, 0], [1, 1]], bool)
    expected = np.zeros((4, 5), bool)
    expected[1:3, 2:4] = crop
    assert np.array_equal(rle.decode(rle.encode_at(crop.T, (2, 1), (4, 5))), expected)


@pytest.mark.parametrize("hw", [(7, 5), (1, 9), (9, 1), (0, 3), (6, 6)])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_crop_anywhere_has_the_runs_of_the_whole_photo(hw, share):
    rng = np.random.default_rng(3)
    for _ in range(20):
        crop = rng.random(hw) < share
        left, top, right, bottom = rng.integers(0, 3, 4)
        photo = np.pad(crop, ((top, bottom), (left, right)))
        assert rle.encode_at(crop.T, (left, top), photo.shape).same_as(rle.encode(photo))


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [2, 2], "counts": [1, 2]}, r"add up to 2 x 2 = 4 pixels, got a sum of 3"),
        ({"size": [2, 2], "counts": [5, -1]}, r"must be positive"),
        ({"size": [2, 2], "counts": "~~"}, r"not a COCO run-length string"),
        ({"size": [2, 2], "counts": "P"}, r"not a COCO run-length string"),
        ({"size": [2, 2], "counts": "oooooooooooooo0"}, r"a run longer than any photo"),
        ({"counts": [4]}, r"must be a dict with 'size'"),
        (["no", "dict"], r"must be a dict with 'size'"),
    ],
)
def test_broken_rle_is_refused(segmentation, message):
    with pytest.raises(InputError, match=message):
        rle.from_coco(segmentation)


def test_stack_of_masks_is_refused():
    with pytest.raises(InputError, match=r"a mask must have shape \(H, W\), got \(2, 3, 3\)"):
        rle.encode(np.zeros((2, 3, 3), bool))


@settings(max_examples=100, deadline=None)
@given(st.lists(hnp.arrays(bool, (7, 9)), min_size=1, max_size=4))
def test_a_union_is_that_of_the_pixels(masks):
    whole = rle.union([rle.encode(mask) for mask in masks])
    assert whole.same_as(rle.encode(np.any(masks, axis=0)))


def test_a_union_of_masks_larger_than_pycocotools_can_count():
    def one(start, length):
        return rle.Rle((100_000, 100_000), np.array([start, length, 10**10 - start - length]))

    assert rle.union([one(5, 10), one(15, 2), one(9 * 10**9, 1)]).counts.tolist() == [
        *(5, 12, 9 * 10**9 - 17, 1, 10**9 - 1)
    ]


@settings(max_examples=100, deadline=None)
@given(small_masks)
def test_runs_of_columns_are_the_pixels(mask):
    again = np.zeros_like(mask)
    for column, top, bottom in zip(*rle.column_runs(rle.encode(mask)), strict=True):
        assert not again[top:bottom, column].any()
        assert bottom > top
        again[top:bottom, column] = True
    assert np.array_equal(again, mask)
