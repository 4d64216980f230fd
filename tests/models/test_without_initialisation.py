"""Modules built to be filled at once leave out the drawing of random weights."""

import torch
from torch import nn

from everymask.models.load import WithoutInitialisation


def test_drawing_within_bounds_ends_whatever_the_memory_held():
    """trunc_normal_ draws again until every value is in range; left-over memory never is."""
    with WithoutInitialisation():
        nn.init.trunc_normal_(torch.full((1000,), 1e9), std=0.02)


def test_layers_keep_what_their_memory_held():
    with WithoutInitialisation():
        before = torch.full((3, 3), 7.0)
        assert nn.init.kaiming_uniform_(before) is before
    assert (before == 7).all()
