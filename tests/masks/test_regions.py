import numpy as np
import pytest

from everymask.masks.regions import clean_logits, drop_small_islands, fill_small_holes, remove_small_regions


def ring(side, hole):
    mask = np.ones((side, side), bool)
    start = (side - hole) // 2
    mask[start : start + hole, start : start + hole] = False
    return np.pad(mask, 2)


def test_hole_equal_to_the_limit_stays():
    assert not fill_small_holes(ring(9, 2), 4).changed
    assert fill_small_holes(ring(9, 2), 5).mask[2:-2, 2:-2].all()


def test_island_equal_to_the_limit_stays():
    mask = np.zeros((8, 8), bool)
    mask[:4, :4] = True
    mask[6:, 6:] = True
    assert not drop_small_islands(mask, 4).changed
    assert drop_small_islands(mask, 5).mask.sum() == 16


def test_largest_of_small_islands_stays():
    mask = np.zeros((8, 8), bool)
    mask[0, 0] = mask[4, 4] = mask[4, 5] = True
    assert np.argwhere(drop_small_islands(mask, 100).mask).tolist() == [[4, 4], [4, 5]]


def test_diagonal_pixels_are_one_region():
    assert not drop_small_islands(np.eye(4, dtype=bool), 4).changed


@pytest.mark.parametrize("value", [False, True])
def test_mask_of_one_value_ends_defined(value):
    mask = np.full((5, 5), value)
    cleaned = remove_small_regions(mask, 100)
    assert cleaned.mask.shape == (5, 5)
    # An empty mask is one small "hole" from edge to edge: filled, as the official code does.
    assert cleaned.mask.all()


def test_cleaning_equals_the_official_function():
    from tests.parity import torchvision_standin

    torchvision_standin.install()
    amg = pytest.importorskip("segment_anything.utils.amg")
    rng = np.random.default_rng(0)
    for size in (3, 8, 20, 60):
        mask = rng.random((40, 50)) < 0.5
        for mode, ours in (("holes", fill_small_holes), ("islands", drop_small_islands)):
            expected, changed = amg.remove_small_regions(mask, size, mode)
            result = ours(mask, size)
            assert result.changed == changed
            assert np.array_equal(result.mask, expected)


def test_logits_of_small_holes_and_islands_are_moved():
    logits = np.full((12, 12), -3.0, np.float32)
    logits[1:9, 1:9] = 5.0
    logits[4, 4] = -1.0
    logits[11, 11] = 2.0
    cleaned = clean_logits(logits, 0.0, 1)
    assert cleaned[4, 4] == 10.0
    assert cleaned[11, 11] == -10.0
    assert np.array_equal(clean_logits(logits, 0.0, 0), logits)
