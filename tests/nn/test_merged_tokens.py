"""Image features on merged tokens."""

import pytest
import torch

from everymask.nn import merged_tokens as module
from everymask.nn.merged_tokens import merged_tokens
from everymask.nn.records import ImageFeatures


@pytest.mark.parametrize(("tokens", "side"), [(16, 2), (15, 4), (4, 4)])
def test_tokens_are_merged_until_there_are_few_enough(tokens, side, monkeypatch):
    monkeypatch.setattr(module, "TOKENS", tokens)
    features = ImageFeatures(torch.rand(1, 3, 8, 8), (torch.rand(1, 2, 32, 32), torch.rand(1, 2, 16, 16)))
    merged, position = merged_tokens(features, torch.rand(1, 3, 8, 8))
    assert merged.embedding.shape == position.shape == (1, 3, 8 // side, 8 // side)
    assert [x.shape[-1] for x in merged.high_res] == [32 // side, 16 // side]
    expected = features.embedding[0, :, :side, :side].mean((1, 2))
    torch.testing.assert_close(merged.embedding[0, :, 0, 0], expected)


def test_few_tokens_and_sides_that_do_not_divide_stay_as_they_are(monkeypatch):
    small = ImageFeatures(torch.rand(1, 3, 20, 20))
    assert merged_tokens(small, small.embedding) is None
    odd = ImageFeatures(torch.rand(1, 3, 45, 45))
    assert merged_tokens(odd, odd.embedding) is None
