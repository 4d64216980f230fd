"""Products by whichever library: the values of torch's own, whatever the type."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from everymask.nn import products
from everymask.nn.products import linear, product, product_plus

ACTIVATIONS = {"none": lambda x: x, "gelu": F.gelu, "relu": F.relu}


@pytest.fixture(params=["oneDNN", "torch's own"], autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the libraries that a processor may have to take for float32."""
    name: str = request.param
    if not torch.backends.mkldnn.is_available() and name == "oneDNN":
        pytest.skip("this torch was built without oneDNN")
    monkeypatch.setattr(
        products, "_onednn_pays", lambda dtype, has_room: name == "oneDNN" and dtype == torch.float32
    )
    return name


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
    kept, room = addend.clone(), torch.empty_like(addend)
    assert (product_plus(across.T, weight, addend, room) - exact).abs().max() < 1e-4
    assert torch.equal(addend, kept)
    # The room may be the addend itself.
    assert (product_plus(across.T, weight, addend, addend) - exact).abs().max() < 1e-4, (
        "onto the addend itself"
    )


def test_weights_that_lie_across_go_another_way():
    """oneDNN would take them by its reference implementation, a thousand times slower."""
    x, across = torch.ones(2, 57), torch.randn(57, 200).T
    assert not products._onednn_takes(x, across)
    assert torch.allclose(product(x, across, None), across.sum(1).expand(2, -1), atol=1e-4)


ZEN4, ZEN5 = (f"vendor_id : AuthenticAMD\ncpu family : {family}" for family in (25, 26))


@pytest.mark.parametrize(
    ("width", "processor", "fresh", "with_room"),
    [
        ("AVX512", ZEN5, True, True),
        ("AVX512", "AMD64 Family 26 Model 68 Stepping 0, AuthenticAMD", True, True),  # as Windows has it
        ("AVX512", ZEN4, True, False),
        ("AVX512", "vendor_id : GenuineIntel", False, False),
        ("AVX2", ZEN5, False, False),
    ],
)
def test_onednn_is_taken_where_mkl_leaves_width_unused(
    width: str, processor: str, fresh: bool, with_room: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: width)
    monkeypatch.setattr(products, "_processor", lambda: processor)
    assert products._mkl_is_slower(has_room=False) == fresh
    assert products._mkl_is_slower(has_room=True) == with_room
