"""Holes and islands found once give what cleaning mask by mask gives, for any area."""

import numpy as np
import pytest

from everymask.masks.regions import clean_logits
from everymask.masks.specks import SpeckStore, find_specks


def noisy(count, height, width, seed=0):
    """Logits of smooth shapes with specks of all sizes."""
    rng = np.random.default_rng(seed)
    coarse = np.repeat(np.repeat(rng.normal(0, 4, (count, height // 4, width // 4)), 4, 1), 4, 2)
    return (coarse + rng.normal(0, 3, coarse.shape)).astype(np.float32)


def known(logits, threshold=0.0, most=40):
    """A store that knows the specks of all masks, found in two parts and out of order."""
    store = SpeckStore(threshold, most)
    numbers = np.random.default_rng(1).permutation(len(logits))
    none = np.zeros(len(logits), np.float32)
    for part in np.array_split(numbers, 2):
        missing = store.missing(part)
        if len(missing):
            store.take(missing, [find_specks(logits[missing], threshold, none[missing], most)])
    assert len(store.missing(numbers)) == 0
    return store


@pytest.mark.parametrize("area", [0, 1, 3, 12, 40])
@pytest.mark.parametrize("threshold", [0.0, -1.5])
def test_cleaning_from_the_store_is_cleaning_mask_by_mask(area, threshold):
    logits = noisy(9, 24, 20)
    store, numbers = known(logits, threshold), np.array([4, 0, 7])
    cleaned = logits[numbers].copy()
    store.clean(numbers, cleaned, area)
    for one, number in zip(cleaned, numbers, strict=True):
        np.testing.assert_array_equal(one, clean_logits(logits[number], threshold, area))


def test_lines_hold_what_is_left_and_are_sure_where_no_island_goes():
    logits = np.full((1, 6, 6), -5.0, np.float32)
    logits[0, 1, 1] = 9.0  # an island of one
    logits[0, 3:5, 2:5] = 9.0
    store = known(logits)
    four = np.array([[False, False, False, True, False]])
    above = four, np.array([[False, False, True, True, False]])
    (rows, columns), (sure_rows, _) = store.lines(np.array([0]), 0, above, (6, 6))
    assert np.flatnonzero(rows[0]).tolist() == [1, 3, 4]
    assert np.flatnonzero(sure_rows[0]).tolist() == [3]
    (rows, columns), (sure_rows, sure_columns) = store.lines(np.array([0]), 1, above, (6, 6))
    assert np.flatnonzero(rows[0]).tolist() == [3, 4]
    assert np.flatnonzero(columns[0]).tolist() == [2, 3, 4]
    assert np.flatnonzero(sure_rows[0]).tolist() == [3]
    assert np.flatnonzero(sure_columns[0]).tolist() == [2, 3]
    (rows, columns), (sure_rows, _) = store.lines(np.array([0]), 6, above, (6, 6))
    assert not rows.any()
    assert not sure_rows.any()


def test_a_filled_corner_is_reached():
    logits = np.full((1, 4, 4), 5.0, np.float32)
    logits[0, 0, :] = -5.0
    store = known(logits)
    above = np.ones((1, 3), bool), np.ones((1, 3), bool)
    assert store.lines(np.array([0]), 3, above, (4, 4))[0][0].tolist() == [[False, True, True, True]]
    assert store.lines(np.array([0]), 4, above, (4, 4))[0][0].tolist() == [[True] * 4]


def test_logits_that_rounding_may_lift_are_reached_too():
    logits = np.full((1, 4, 4), -5.0, np.float32)
    logits[0, 1, 1], logits[0, 3, 2] = 5.0, -1e-6
    found = find_specks(logits, 0.0, np.array([1e-5], np.float32), 4)
    assert found.doubt.tolist() == [[2, 3, 2, 3]]
    assert found.area.tolist() == [1, 15]
