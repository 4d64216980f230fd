"""Which points are explained by those around them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from everymask.everything.explained import Explained, two_say_the_same
from everymask.geometry import Squash

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
    model = SimpleNamespace(logits_size=(40, 40), spec=SimpleNamespace(image_size=40), frame=frame)
    decoder = SimpleNamespace(
        model=model,
        crop=SimpleNamespace(x0=5, y0=0, hw=(40, 40)),
        options=SimpleNamespace(mask_threshold=0.0),
        typed=lambda points: points.astype(np.float32),
    )
    explained = Explained(decoder)
    left, right = np.array([[10.0, 20.0]]), np.array([[20.0, 20.0]])
    explained.add(left, [candidate(left, torch.ones(20, 20), 5, 10)])
    middle = np.array([[15.0, 20.0]])
    assert explained.holds(middle, np.array([10, 10])).tolist() == [False]  # one is not enough
    explained.add(right, [candidate(right, torch.ones(19, 20), 5, 10)])
    asked = np.concatenate([middle, [[15.0, 35.0]], [[15.0, 20.0]]])
    assert explained.holds(asked, np.array([10, 10])).tolist() == [True, False, True]  # not below the mask
    assert explained.holds(middle, np.array([3, 3])).tolist() == [False]  # too far away


def frame(hw):
    return Squash(hw, 40)


def candidate(point, values, x, y):
    moved = (point[0] + [5, 0]).astype(np.float32)
    return SimpleNamespace(point_xy=moved, patch=SimpleNamespace(values=values, x=x, y=y))
