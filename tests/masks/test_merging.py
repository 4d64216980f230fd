"""Wholes and parts, and pieces of one object that become one mask."""

import numpy as np
import pytest

from everymask.errors import InputError, OptionError
from everymask.maskset import Mask, MaskSet

HW = (60, 80)


def box(x0, y0, x1, y1, iou=0.9, **known):
    pixels = np.zeros(HW, bool)
    pixels[y0:y1, x0:x1] = True
    return Mask.from_segmentation(pixels, predicted_iou=iou, stability_score=0.9, **known)


CAR = [box(0, 0, 40, 40), box(5, 5, 20, 20), box(8, 8, 12, 12), box(50, 0, 70, 20), box(25, 25, 35, 35)]


def test_tree_of_wholes_parts_and_subparts():
    tree = MaskSet(CAR).tree()
    assert tree.parents.tolist() == [-1, 0, 1, -1, 0]
    assert tree.roots == [0, 3]
    assert tree.children(0) == [1, 4]
    assert str(tree) == "1\n  2\n    3\n  5\n4"


def test_levels():
    masks = MaskSet(CAR)
    assert list(masks.level("whole")) == [CAR[0], CAR[3]]
    assert list(masks.level("part")) == [CAR[1], CAR[4]]
    assert list(masks.level("subpart")) == [CAR[2]]
    with pytest.raises(OptionError, match="a level is one of whole, part, subpart, got 'piece'"):
        masks.level("piece")
    assert len(MaskSet([], HW).level("whole")) == 0


def test_what_is_deeper_than_a_subpart_is_one_too():
    masks = MaskSet([box(0, 0, 40, 40), box(0, 0, 30, 30), box(0, 0, 20, 20), box(0, 0, 10, 10)])
    assert masks.tree().depths.tolist() == [0, 1, 2, 3]
    assert len(masks.level("subpart")) == 2


def test_label_map_gives_each_pixel_to_the_smallest_mask():
    labels = MaskSet(CAR).label_map()
    assert labels.dtype == np.int32
    assert (labels[0, 0], labels[6, 6], labels[9, 9], labels[30, 30], labels[50, 50]) == (1, 2, 3, 5, 0)
    whole = MaskSet(CAR).label_map("whole")
    assert sorted(np.unique(whole)) == [0, 1, 4]
    assert whole[9, 9] == 1
    assert (MaskSet([], HW).label_map() == 0).all()


def test_pieces_of_a_better_mask_become_it():
    whole = box(0, 0, 40, 20, 0.95)
    masks = MaskSet([box(0, 0, 20, 20, 0.9), whole, box(20, 0, 40, 20, 0.8), box(60, 40, 70, 50)])
    merged = masks.merged()
    assert [mask.area for mask in merged] == [800, 100]
    assert merged[0].attributes["merged"] == [1, 3]
    assert merged[0].attributes["because"] == (
        "masks 1, 3 make up 100% of a mask of predicted IoU 0.95, theirs is at most 0.90"
    )
    assert merged[0].predicted_iou == 0.95
    assert "merged" not in merged[1].attributes


def test_pieces_stay_where_the_whole_is_no_better_or_they_make_up_too_little():
    worse = MaskSet([box(0, 0, 20, 20, 0.9), box(20, 0, 40, 20, 0.8), box(0, 0, 40, 20, 0.85)])
    assert len(worse.merged()) == 3
    little = MaskSet([box(0, 0, 40, 40, 0.95), box(0, 0, 10, 10, 0.8), box(20, 20, 30, 30, 0.8)])
    assert len(little.merged()) == 3


def test_a_candidate_may_stand_for_masks():
    masks = MaskSet([box(0, 0, 20, 20, 0.9, label="a"), box(20, 0, 40, 20, 0.8)])
    candidates = MaskSet([box(0, 0, 40, 20, 0.95), box(0, 30, 10, 40, 0.99)])
    merged = masks.merged(candidates=candidates)
    assert [mask.area for mask in merged] == [800]
    assert merged[0].attributes["merged"] == [1, 2]


@pytest.fixture
def photo():
    pixels = np.full((*HW, 3), 40, np.uint8)
    pixels[10:50, 10:70] = (180, 80, 60)  # one object
    noise = np.random.default_rng(0).integers(-3, 4, pixels.shape)
    return (pixels + noise).astype(np.uint8)


def test_halves_without_an_edge_between_them_become_one(photo):
    halves = MaskSet([box(10, 10, 40, 50, 0.9, point_coords=[(20, 20)]), box(40, 10, 70, 50, 0.8)])
    merged = halves.merged(photo)
    assert [mask.area for mask in merged] == [60 * 40]
    assert merged[0].predicted_iou == 0.8
    assert merged[0].point_coords == ((20, 20),)
    assert merged[0].attributes["merged"] == [1, 2]
    assert merged[0].attributes["because"].startswith("no edge between masks 1 and 2: 40 px of border, ")
    assert len(halves.merged()) == 2  # no photo, no look at borders


def test_object_and_ground_stay_two(photo):
    masks = MaskSet([box(10, 10, 70, 50), box(10, 0, 70, 10)])
    assert len(masks.merged(photo)) == 2


def test_masks_that_only_meet_at_a_corner_or_overlap_stay(photo):
    assert len(MaskSet([box(10, 10, 40, 30), box(40, 30, 70, 50)]).merged(photo)) == 2
    assert len(MaskSet([box(10, 10, 50, 50), box(30, 10, 70, 50)]).merged(photo)) == 2


def test_photo_of_another_size_is_refused(photo):
    with pytest.raises(InputError, match="the photo is of"):
        MaskSet(CAR).merged(photo[:10])


def test_coverage_and_gaps():
    masks = MaskSet([box(0, 0, 80, 30), box(0, 30, 20, 60)])
    assert masks.coverage == pytest.approx(0.5 + 600 / 4800)
    gaps = masks.gaps()
    assert [gap.area for gap in gaps] == [1800]
    assert gaps[0].segmentation[40, 30]
    assert len(masks.gaps(min_area=1801)) == 0
    assert [gap.area for gap in MaskSet([], HW).gaps()] == [4800]
    assert MaskSet([box(0, 0, 80, 60)]).gaps(1).coverage == 0
