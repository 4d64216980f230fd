"""What a run says of how good it was, from masks set by hand."""

import numpy as np

from everymask.cli.segment.quality import quality_lines, quality_of
from everymask.cli.track.quality import followed
from everymask.formats.video_record import ClipMasks, ObjectMask
from everymask.masks.coverage import largest_gap
from everymask.masks.rle import encode
from everymask.maskset import Mask, MaskSet


def mask_of(columns, score):
    pixels = np.zeros((4, 10), bool)
    pixels[:, columns] = True
    return Mask.from_segmentation(pixels, predicted_iou=score)


def test_the_largest_connected_area_without_a_mask():
    covered = np.array([[1, 0, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0]], bool)
    assert largest_gap(covered) == (3, (3, 0, 1, 3))
    assert largest_gap(np.ones((2, 2), bool)) == (0, (0, 0, 0, 0))


def test_coverage_median_score_and_gap_of_a_photo():
    masks = MaskSet([mask_of([0, 1], 0.9), mask_of([1, 2], 0.5), mask_of([5], 0.7)])
    quality = quality_of(masks)
    assert (quality.masks, quality.coverage, quality.median_score) == (3, 0.4, 0.7)
    assert (quality.gap, quality.gap_xywh) == (0.4, (6, 0, 4, 4))
    assert quality_lines([("a.jpg", quality.to_dict())]) == [
        "coverage 40%, median score 0.70, biggest gap 40% of the photo at 6,0 (4 x 4)"
    ]


def test_of_several_photos_the_one_with_the_biggest_gap_is_named():
    good = quality_of(MaskSet([mask_of(range(10), 0.8)])).to_dict()
    empty = quality_of(MaskSet([], (4, 10))).to_dict()
    (line,) = quality_lines([("a.jpg", good), ("b.jpg", empty)])
    assert line == "coverage 50%, median score 0.80, biggest gap 100% of b.jpg at 0,0 (10 x 4)"
    assert quality_lines([]) == []


def test_an_object_that_is_weak_and_lost_and_comes_back():
    full, none = encode(np.ones((2, 2), bool)), encode(np.zeros((2, 2), bool))
    scores = {3: 0.9, 4: 0.4, 5: None, 6: None, 7: 0.8, 8: None}
    frames = {
        frame: {1: ObjectMask(none if score is None else full, score or 0.0)}
        for frame, score in scores.items()
    }
    frames |= {2: {}, 9: {2: ObjectMask(none, 0.0)}}
    one, two = followed(ClipMasks("clip", (2, 2), 10, frames=frames, names={1: "dog"}))
    assert str(one) == "object 1 (dog): 3 of 7 frames, mean score 0.70; weak from frame 5; lost on 6-7, 9-10"
    assert one.to_dict()["lost"] == [[6, 7], [9, 10]]
    assert str(two) == "object 2: on none of the frames tracked"
