"""Matrix products of a layer, by the library that is fastest at them on this processor.

On a CPU torch takes MKL for float32, which on AMD's processors with AVX-512 computes with half of their
width: there oneDNN is twice as fast (218 GFLOP/s a core against 101 on a Zen 5), with AVX2 a sixth, and never
slower for products of some hundred rows (docs/lab-notes.md, "Products"). For fast forms only
(``nn/touched.py``): these operators have no gradients.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def linear(x: Tensor, layer: nn.Linear, activation: str = "none") -> Tensor:
    """``layer(x)``, then the exact (erf) GELU if ``activation`` is "gelu", or "relu"."""
    return product(x, layer.weight, layer.bias, activation)


def product(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str = "none") -> Tensor:
    """:func:`linear` with weights [N, K] that are in no layer. They must be contiguous: others take a
    reference implementation, a thousand times slower."""
    if _onednn_takes(x, weight):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], "none")
    answer = F.linear(x, weight, bias)
    if activation == "none":
        return answer
    return F.gelu(answer) if activation == "gelu" else F.relu(answer)


def product_plus(x: Tensor, weight: Tensor, addend: Tensor) -> Tensor:
    """``x @ weight.T + addend`` for ``x`` [M, K], ``weight`` [N, K], contiguous, and ``addend`` [M, N]."""
    if _onednn_takes(x, weight) and addend.dtype == x.dtype:
        return torch.ops.mkldnn._linear_pointwise.binary(x, addend, weight, None, "add")
    return torch.addmm(addend, x, weight.T)


def _onednn_takes(x: Tensor, weight: Tensor) -> bool:
    return (
        _onednn_has(x.dtype)
        and x.dtype == weight.dtype
        and x.device.type == "cpu"
        and weight.is_contiguous()
        and not torch.is_autocast_enabled("cpu")
    )


@cache
def _onednn_has(dtype: torch.dtype) -> bool:
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    return dtype == torch.float32 or (
        dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
