"""Products by whichever library: the values of torch's own, whatever the type."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from everymask.nn import products
from everymask.nn.products import linear, product, product_plus

ACTIVATIONS = {"none": lambda x: x, "gelu": F.gelu, "relu": F.relu}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_product_is_the_layer_and_its_activation(activation: str, dtype: torch.dtype):
    torch.manual_seed(0)
    layer, limit = torch.nn.Linear(57, 96).to(dtype), 1e-5 if dtype == torch.float32 else 1e-12
    x = torch.randn(3, 130, 57, dtype=dtype)
    with torch.no_grad():
        exact = ACTIVATIONS[activation](F.linear(x.double(), layer.weight.double(), layer.bias.double()))
        assert (linear(x, layer, activation) - exact).abs().max() < limit


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_product_plus_takes_rows_that_lie_across(dtype: torch.dtype):
    torch.manual_seed(0)
    across, weight = torch.randn(57, 200, dtype=dtype), torch.randn(64, 57, dtype=dtype)
    addend = torch.randn(200, 64, dtype=dtype)
    exact = across.T.double() @ weight.T.double() + addend.double()
    kept = addend.clone()
    assert (product_plus(across.T, weight, addend) - exact).abs().max() < 1e-4
    assert torch.equal(addend, kept)


def test_weights_that_lie_across_go_another_way():
    """oneDNN would take them by its reference implementation, a thousand times slower."""
    x, across = torch.ones(2, 57), torch.randn(57, 200).T
    assert not products._onednn_takes(x, across)
    assert torch.allclose(product(x, across, None), across.sum(1).expand(2, -1), atol=1e-4)
