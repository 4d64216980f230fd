"""Overlaps settled: who gets a pixel, and what stays true of the whole."""

import numpy as np
import pytest

from everymask.masks import rle
from everymask.masks.overlap import disjoint, nested


def masks(*rows):
    return [rle.encode(np.array([[int(c) for c in row]], bool)) for row in rows]


def rows(found):
    return ["".join(str(int(v)) for v in rle.decode(mask)[0]) for mask in found]


def test_the_smallest_mask_gets_a_shared_pixel():
    assert rows(disjoint(masks("111111", "011100", "001000"))) == ["100011", "010100", "001000"]


def test_of_equals_the_later_one_gets_it():
    assert rows(disjoint(masks("110", "011"))) == ["100", "011"]


def test_a_mask_covered_by_smaller_ones_stays_as_an_empty_one():
    assert rows(disjoint(masks("1111", "1100", "0011"))) == ["0000", "1100", "0011"]


def test_masks_apart_are_handed_back_as_they_are():
    given = masks("1100", "0011")
    assert all(a is b for a, b in zip(disjoint(given), given, strict=True))
    assert rows(nested(given)) == ["1100", "0011"]


def test_parts_stay_within_their_whole():
    assert rows(nested(masks("111111", "011100", "001000"))) == ["111111", "011100", "001000"]


def test_what_sticks_out_of_the_whole_is_cut():
    assert rows(nested(masks("11110000", "00111000"))) == ["11110000", "00110000"]


def test_a_neighbour_that_laps_over_takes_the_shared_pixels():
    assert rows(nested(masks("1111000", "0001110"))) == ["1110000", "0001110"]


def test_a_neighbour_takes_pixels_from_parts_as_well():
    assert rows(nested(masks("11111000", "00011000", "00001110"))) == ["11110000", "00010000", "00001110"]


def test_no_masks_and_empty_masks():
    assert disjoint([]) == []
    assert nested([]) == []
    assert rows(disjoint(masks("000", "010"))) == ["000", "010"]
    assert rows(nested(masks("000", "010", "111"))) == ["000", "010", "111"]


@pytest.mark.parametrize("seed", range(40))
def test_random_masks_end_up_as_promised(seed):
    random = np.random.default_rng(seed)
    pixels = []
    for _ in range(8):
        y, x, h, w = random.integers(0, 12, 2).tolist() + random.integers(1, 9, 2).tolist()
        mask = np.zeros((16, 16), bool)
        mask[y : y + h, x : x + w] = True
        pixels.append(mask)
    given = [rle.encode(mask) for mask in pixels]
    union = np.any(pixels, axis=0)
    apart = np.array([rle.decode(mask) for mask in disjoint(given)])
    assert apart.sum(axis=0).max() <= 1
    assert np.array_equal(apart.any(axis=0), union)
    tree = [rle.decode(mask) for mask in nested(given)]
    for i, one in enumerate(tree):
        assert not (one & ~pixels[i]).any(), "a mask never grows"
        for other in tree[:i]:
            both = (one & other).sum()
            assert both in (0, one.sum(), other.sum())
