import numpy as np

from everymask.masks import coverage, hierarchy
from everymask.masks.rle import encode


def row(text):
    return encode(np.array([[c == "#" for c in text]]))


def test_no_masks():
    assert hierarchy.parents([]).tolist() == []
    assert coverage.share([], (3, 4)) == 0.0


def test_parent_is_the_smallest_mask_that_holds_most_of_a_part():
    masks = [row("..#......."), row(".###......"), row("########.."), row("......####")]
    assert hierarchy.parents(masks).tolist() == [1, 2, -1, -1]
    assert hierarchy.parents(masks, least_share=0.5).tolist() == [1, 2, -1, 2]


def test_equal_masks_are_not_each_others_parents():
    assert sorted(hierarchy.parents([row("##."), row("##.")]).tolist()) == [-1, 0]


def test_cover_is_the_union():
    assert coverage.covered([row("##.."), row(".#.#")], (1, 4)).tolist() == [[True, True, False, True]]
    assert coverage.share([row("##..")], (1, 4)) == 0.5
