import numpy as np
import pytest

from benchmarks.measure import Measured, Side, compare, difference, ratio_table

HERE = "tests.benchmarks.test_measure"


def takes(megabytes):
    """A side that holds ``megabytes`` while it works."""

    def work():
        return np.ones(megabytes * 2**20, np.uint8)[:3].astype(np.float32)

    return work


def fails():
    raise ValueError("cannot be built")


@pytest.mark.full
def test_each_side_has_its_own_peak_and_the_turns_asked_for():
    large, small = compare(
        [
            Side("large", f"{HERE}:takes", {"megabytes": 200}),
            Side("small", f"{HERE}:takes", {"megabytes": 1}),
        ],
        turns=2,
        threads=1,
    )
    assert len(large.wall_s) == len(small.cpu_s) == 2
    assert large.working_bytes > 190 * 2**20
    assert small.working_bytes < 100 * 2**20
    assert small.answer.tolist() == [1, 1, 1]


def test_ratios_are_against_the_first_side():
    slow = Measured("slow", [2.0, 4.0], [2.0], 200 * 2**20, 100 * 2**20, None)
    fast = Measured("fast", [1.0, 9.0], [0.5], 100 * 2**20, 10 * 2**20, None)
    row = ratio_table([slow, fast]).splitlines()[-1].split()
    assert row == ["fast", "1.000", "2.00x", "0.500", "4.00x", "100", "2.00x", "10", "10.00x"]


def test_difference_is_in_units_of_the_spread():
    assert difference(np.array([0.0, 2.0]), np.array([0.0, 4.0])).startswith("largest difference 1.0e+00")
    assert difference(None, np.zeros(2)) == "no answers to compare"


@pytest.mark.full
def test_a_side_that_cannot_be_built_is_named():
    with pytest.raises(RuntimeError, match="'broken'"):
        compare([Side("broken", f"{HERE}:fails")])
