import pytest
import torch
from torch import nn

from everymask.nn.encoders import tokens
from everymask.nn.encoders.tokens import add_branch, band_rows, feed_forward, normed
from everymask.nn.products import linear


def test_band_rows_is_a_multiple_of_the_window():
    assert band_rows(torch.zeros(1, 64, 64, 768), multiple=14) % 14 == 0


def test_band_rows_is_never_less_than_one_window():
    assert band_rows(torch.zeros(1, 2, 4096, 4096), multiple=7) == 7


def test_bands_add_what_the_whole_picture_adds():
    x = torch.randn(2, 7, 5, 3)
    want = x + x.sin()
    with torch.no_grad():
        assert torch.equal(add_branch(x.clone(), torch.sin, rows=2, own=True), want)


def test_add_branch_overwrites_only_what_is_the_callers_own():
    x = torch.randn(1, 4, 4, 2)
    before = x.clone()
    add_branch(x, torch.sin, rows=2, own=False)
    assert torch.equal(x, before)
    assert add_branch(x, torch.sin, rows=2, own=True) is x


def test_norm_of_a_float_stream_hands_on_the_weights_dtype():
    norm = nn.LayerNorm(8).bfloat16()
    x = torch.randn(2, 8) * 100
    out = normed(x, norm)
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, torch.nn.functional.layer_norm(x, (8,)).bfloat16())


def test_feed_forward_uses_the_exact_gelu():
    one = nn.Linear(1, 1)
    nn.init.ones_(one.weight)
    nn.init.zeros_(one.bias)
    out = feed_forward(torch.tensor([[1.0]]), one, one)
    assert abs(out.item() - 0.841344746) < 1e-6  # the tanh form gives 0.841192


def test_a_gpu_would_take_the_whole_picture():
    assert band_rows(torch.zeros(1, 64, 64, 1024, device="meta"), multiple=14) == 64
    assert tokens.BAND_TOKENS > 0


@torch.no_grad()
@pytest.mark.parametrize("activation", ["none", "gelu"])
def test_linear_is_the_layer_itself(activation):
    layer = nn.Linear(48, 32)
    crop = torch.randn(2, 6, 5, 48)[:, :4, :3]  # not contiguous, as windows that overhang are
    want = layer(crop)
    want = torch.nn.functional.gelu(want) if activation == "gelu" else want
    assert torch.allclose(linear(crop, layer, activation), want, atol=2e-6)
