"""Matrix products of a layer, by the library that is fastest at them on this processor.

On a CPU torch takes MKL for float32, which on AMD's processors never computes with more than 256 bits.
Since Zen 5 that is half of their width, and oneDNN is twice as fast (218 GFLOP/s a core, 101). On Zen 4,
which takes AVX-512 in two halves, it is faster by a tenth, but not where the answer goes to memory that is
there: MKL writes to it, oneDNN does not. With AVX2 alone MKL is as fast, and faster into such memory
(docs/lab-notes.md, "Products"). For fast forms only (``nn/touched.py``): these operators have no gradients.
"""

from __future__ import annotations

import platform
import re
from functools import cache
from pathlib import Path

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
    return torch.ops.aten.gelu_(answer) if activation == "gelu" else answer.relu_()


def product_plus(x: Tensor, weight: Tensor, addend: Tensor, room: Tensor) -> Tensor:
    """``x @ weight.T + addend`` for ``x`` [M, K], ``weight`` [N, K], contiguous, and ``addend`` [M, N].

    ``room`` [M, N] may be written to, and may hold the answer; it may be ``addend`` itself.
    """
    if _onednn_takes(x, weight, has_room=True) and addend.dtype == x.dtype:
        return torch.ops.mkldnn._linear_pointwise.binary(x, addend, weight, None, "add")
    return torch.addmm(addend, x, weight.T, out=room)


def _onednn_takes(x: Tensor, weight: Tensor, *, has_room: bool = False) -> bool:
    return (
        _onednn_pays(x.dtype, has_room)
        and x.dtype == weight.dtype
        and x.device.type == "cpu"
        and weight.is_contiguous()
        and not torch.is_autocast_enabled("cpu")
    )


@cache
def _onednn_pays(dtype: torch.dtype, has_room: bool) -> bool:
    """Whether for products of a type, whose answers go to new memory or (``has_room``) to what is there."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    if dtype == torch.float32:
        return not torch.backends.mkl.is_available() or _mkl_is_slower(has_room)
    return dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _mkl_is_slower(has_room: bool) -> bool:
    """On AMD's processors with AVX-512; into memory that is there only from Zen 5 (family 26) on."""
    family = re.search(r"family\s*:?\s*(\d+)", _processor(), re.IGNORECASE)
    return (
        torch.backends.cpu.get_cpu_capability() == "AVX512"
        and "AuthenticAMD" in _processor()
        and not (has_room and family and int(family[1]) <= 25)
    )


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    return told.read_text("utf-8", "replace") if told.exists() else platform.processor()
