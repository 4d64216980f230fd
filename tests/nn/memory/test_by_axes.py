from __future__ import annotations

import pytest
import torch

import everymask.nn.memory.by_axes as module
from everymask.nn.memory.attention import RotaryAttention
from everymask.nn.memory.by_axes import average_by_axes, worth_it
from everymask.nn.memory.rope import grid_rotation, rotate
from everymask.nn.memory.softmax_product import softmax_product

CHANNELS, WIDTH = 16, 8


def tokens(frames, grid_hw, unplaced, queries=9, dtype=torch.float64, seed=0):
    """Queries turned by their place, keys and values, and a key projection."""
    torch.manual_seed(seed)
    count = frames * grid_hw[0] * grid_hw[1] + unplaced
    rotation = grid_rotation(CHANNELS, grid_hw)
    values = torch.randn(count, WIDTH, dtype=dtype)
    keys = values + torch.randn(count, WIDTH, dtype=dtype)
    weight, bias = torch.randn(CHANNELS, WIDTH, dtype=dtype), torch.randn(CHANNELS, dtype=dtype)
    return torch.randn(queries, CHANNELS, dtype=dtype), keys, values, weight, bias, rotation, unplaced


def plain(queries, keys, values, weight, bias, rotation, unplaced):
    """The definition: project, turn, softmax, average."""
    projected = keys @ weight.T + bias
    placed = len(keys) - unplaced
    projected = torch.cat([rotate(projected[:placed], rotation), projected[placed:]])
    return torch.softmax(queries @ projected.T / CHANNELS**0.5, dim=-1) @ values


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("grid_hw", [(4, 4), (3, 5), (5, 1), (1, 7)])
@pytest.mark.parametrize("unplaced", [1, 4])
def test_it_is_softmax_attention_to_projected_and_turned_keys(frames, grid_hw, unplaced):
    given = tokens(frames, grid_hw, unplaced)
    assert torch.allclose(average_by_axes(*given), plain(*given), atol=1e-6)


def test_blocks_do_not_change_the_answer(monkeypatch):
    given = tokens(3, (7, 5), 2, queries=23)
    expected = plain(*given)
    monkeypatch.setattr(module, "QUERY_BLOCK", 4)
    monkeypatch.setattr(module, "TOKEN_BLOCK", 2 * 3 * 5)  # two rows of the grid at once
    assert torch.allclose(average_by_axes(*given), expected, atol=1e-6)


def test_scores_far_above_and_below_the_first_ones_do_not_overflow(monkeypatch):
    monkeypatch.setattr(module, "TOKEN_BLOCK", 1)
    queries, keys, values, *rest = tokens(2, (6, 4), 1)
    for stretch in (-60.0, 60.0):
        grown = keys * torch.linspace(1, stretch, len(keys), dtype=keys.dtype).flip(0)[:, None]
        given = queries, grown, values, *rest
        for dtype, tolerance in ((torch.float64, 1e-6), (torch.float32, 1e-3)):
            lower = [one.to(dtype) if isinstance(one, torch.Tensor) else one for one in given]
            assert torch.allclose(average_by_axes(*lower).double(), plain(*given), atol=tolerance)


def test_rounding_is_no_worse_than_that_of_projected_keys():
    given = tokens(4, (16, 16), 4, queries=64)
    exact = plain(*given)
    single = [one.float() if isinstance(one, torch.Tensor) else one for one in given]
    error = (average_by_axes(*single).double() - exact).abs().max()
    assert error < 2 * (plain(*single).double() - exact).abs().max()


@pytest.mark.parametrize("stretch", [1.0, 20.0])
def test_bfloat16_products_are_as_near_as_with_projected_keys(stretch):
    queries, keys, values, weight, bias, rotation, unplaced = tokens(
        4, (16, 16), 4, queries=64, dtype=torch.float32
    )
    given = queries, keys * stretch, values, weight, bias, rotation, unplaced
    exact = plain(*[one.double() if isinstance(one, torch.Tensor) else one for one in given])
    projected = keys * stretch @ weight.T + bias
    projected = torch.cat([rotate(projected[:-unplaced], rotation), projected[-unplaced:]])
    other = softmax_product(queries[None], projected[None], values, product_dtype=torch.bfloat16)[0]
    ours = average_by_axes(*given, product_dtype=torch.bfloat16)
    assert ours.dtype == torch.float32
    assert (ours - exact).pow(2).mean() < 4 * (other - exact).pow(2).mean()
    whole = average_by_axes(*[one.bfloat16() if isinstance(one, torch.Tensor) else one for one in given])
    assert whole.dtype == torch.bfloat16
    assert (whole - exact).abs().max() < 0.1 * stretch


def test_it_is_used_where_it_saves_work_and_agrees_with_the_other_way(monkeypatch):
    torch.manual_seed(0)
    attention = RotaryAttention(64, key_channels=16).eval()
    grid_hw, unplaced = (16, 12), 4
    memory = torch.randn(2, 7 * 16 * 12 + unplaced, 16)
    frame, rotation = torch.randn(1, 16 * 12, 64), grid_rotation(64, grid_hw)
    assert worth_it(64, 16, grid_hw, 7 * 16 * 12)
    with torch.inference_mode():
        used = attention(frame, memory, memory, rotation, unplaced=unplaced)
        monkeypatch.setattr("everymask.nn.memory.attention.worth_it", lambda *_: False)
        other = attention(frame, memory, memory, rotation, unplaced=unplaced)
    assert not torch.equal(used, other)
    assert torch.allclose(used, other, atol=1e-6)
