"""Which points are explained by those around them."""

import numpy as np
import pytest

from everymask.everything.coarse_pass import Estimates
from everymask.everything.explained import Explained, two_say_the_same

PART, WHOLE, OTHER = [1.0, 1, 0, 0, 0, 0, 0, 0], [1.0] * 8, [0.0, 1, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("groups", "same"),
    [
        ([[PART, WHOLE], [WHOLE, PART]], True),
        ([[PART, WHOLE], [WHOLE]], False),  # one of them knows no part
        ([[PART, WHOLE], [OTHER, WHOLE]], False),  # they disagree about it
        ([[PART, WHOLE], [OTHER, WHOLE], [OTHER, WHOLE]], True),  # two of three are enough
        ([[PART]], False),
    ],
)
def test_two_points_must_say_the_same_at_every_scale(groups, same):
    assert two_say_the_same(np.concatenate([np.array(g) for g in groups]), [len(g) for g in groups]) is same


def test_a_point_is_explained_by_near_points_that_cover_it_alike():
    explained = Explained()
    upper = np.zeros((1, 4, 4), bool)
    upper[:, :2] = True
    middle = np.array([[0.5, 0.25]])
    explained.add(np.array([[0.4, 0.25]]), seen(upper))
    assert explained.holds(middle, 0.1).tolist() == [False]  # one is not enough
    explained.add(np.array([[0.6, 0.25], [0.5, 0.35]]), seen(upper, np.zeros((0, 4, 4), bool)))
    asked = np.array([[0.5, 0.25], [0.5, 0.6], [0.5, 0.25]])
    assert explained.holds(asked, 0.1).tolist() == [True, False, True]  # not below the mask
    assert explained.holds(middle, 0.05).tolist() == [False]  # too far away


def seen(*masks):
    prompts = np.repeat(np.arange(len(masks)), [len(m) for m in masks])
    cells = np.concatenate(masks)
    return Estimates(prompts, np.ones(len(cells), np.float32), np.zeros((len(cells), 4), np.float32), cells)
