"""Choosing a preset's thresholds: a gain that one photo made is none."""

import numpy as np
import pytest

from benchmarks.presets import left_out


def test_a_row_that_is_better_on_every_photo_is_taken():
    told = left_out(np.array([[0.1, 0.2, 0.1], [0.2, 0.3, 0.2], [0.3, 0.5, 0.3]]))
    assert (told.choice, told.agreed, told.photos, told.gains) == (2, 3, 3, True)
    assert told.before == pytest.approx(0.4 / 3)
    assert told.after == pytest.approx(1.1 / 3)


def test_a_row_that_one_photo_chose_is_not():
    told = left_out(np.array([[0.3, 0.3, 0.3], [0.9, 0.2, 0.1]]))
    assert told.choice == 1
    assert told.agreed == 2
    assert told.after == pytest.approx((0.3 + 0.2 + 0.1) / 3)
    assert not told.gains
    assert str(told).endswith("no better than what stands: keep it")


def test_one_photo_tells_nothing():
    assert not left_out(np.array([[0.1], [0.9]])).gains
