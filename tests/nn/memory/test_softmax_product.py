import pytest
import torch

import everymask.nn.memory.softmax_product as module
from everymask.nn.memory.softmax_product import softmax_product


def plain(q, k, v):
    return torch.softmax(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, dim=-1) @ v


@pytest.mark.parametrize(("length", "keys"), [(1, 1), (5, 7), (8, 8), (9, 17)])
def test_blocks_give_what_the_plain_formula_gives(monkeypatch, length, keys):
    monkeypatch.setattr(module, "QUERY_BLOCK", 4)
    monkeypatch.setattr(module, "SMALLEST_BLOCK", 2)
    monkeypatch.setattr(module, "KEY_BLOCK", 8)
    torch.manual_seed(0)
    q, k, v = torch.randn(2, length, 6), torch.randn(2, keys, 6), torch.randn(keys, 3)
    assert torch.allclose(softmax_product(q, k, v), plain(q, k, v), atol=1e-6)


def test_scores_that_overflow_exp_are_no_problem():
    q, k = torch.full((1, 2, 4), 50.0), torch.full((1, 3, 4), 50.0)
    assert torch.allclose(softmax_product(q, k, torch.ones(3, 2)), torch.ones(1, 2, 2))


def test_bfloat16_products_stay_near():
    torch.manual_seed(0)
    q, k, v = torch.randn(1, 64, 32), torch.randn(1, 300, 32), torch.randn(300, 8)
    fast = softmax_product(q, k, v, product_dtype=torch.bfloat16)
    assert fast.dtype == torch.float32
    assert torch.allclose(fast, plain(q, k, v), atol=0.02)


def test_two_threads_give_what_one_gives():
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 600, 16), torch.randn(2, 700, 16), torch.randn(700, 8)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        both = softmax_product(q, k, v)
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(both, plain(q, k, v), atol=1e-6)
