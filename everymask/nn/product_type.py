"""Which type large matrix products are fastest in on a device; everything that may choose asks here.

A processor has bfloat16 units, or emulates them at its float32 rate, or takes such products element by
element, a hundred times slower. Its features rule the last kind out; where they say yes, a few milliseconds
of measuring confirm it, because a virtual machine or a limit in the environment may have the last word.
"""

from __future__ import annotations

import time
from functools import cache

import torch

PAYS_FROM = 1.2
"""bfloat16 is chosen where it is at least this many times as fast: what it rounds has to be worth it."""

SIDE = 256  # of the square products measured
ROUNDS = 4  # the first does not count
HOPELESS = 0.2  # times float32's speed: measured no further


def fast_dtype(device: torch.device | str) -> torch.dtype:
    """The type, float32 or bfloat16, that large products are fastest in on ``device``.

    The same answer throughout a process. GPUs other than NVIDIA's are given float32: none was measured.
    """
    device = torch.device(device)
    pays = _has_units(device) and (device.type != "cpu" or bfloat16_speed(device) >= PAYS_FROM)
    return torch.bfloat16 if pays else torch.float32


@cache
def _has_units(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@cache
def bfloat16_speed(device: torch.device | str) -> float:
    """How many times as fast as a float32 product a bfloat16 one is on ``device``, measured once a process.

    Below 1 it is slower; 0.01 is what a CPU without the units gets.
    """
    single = torch.ones(SIDE, SIDE, device=device)
    half = single.bfloat16()
    fastest = [float("inf"), float("inf")]
    with torch.inference_mode(), torch.autocast(single.device.type, enabled=False):
        for number in range(ROUNDS):  # both in turn, so that other work on the machine meets both
            seconds = _seconds(single), _seconds(half)
            if number > 0:
                fastest = [min(pair) for pair in zip(fastest, seconds, strict=True)]
                if fastest[0] < HOPELESS * fastest[1]:
                    break
    return fastest[0] / fastest[1]


def _seconds(matrix: torch.Tensor) -> float:
    start = time.perf_counter()
    (matrix @ matrix)[0, 0].item()  # waits for a GPU
    return time.perf_counter() - start
