"""Which type large matrix products are fastest in on a device; everything that may choose asks here.

A processor has bfloat16 units, or emulates them at its float32 rate, or takes such products element by
element, a hundred times slower. Its features rule the last kind out; where they say yes, a few milliseconds
of measuring confirm it, because a virtual machine or a limit in the environment may have the last word.
"""

from __future__ import annotations

import os
import time
import warnings
from functools import cache

import torch

from everymask.errors import SlowTypeWarning

PAYS_FROM = 1.2
"""bfloat16 is chosen where it is at least this many times as fast: what it rounds has to be worth it."""

SIDE = 256  # of the square products measured
ROUNDS = 3
HOPELESS = 5  # times as long as float32: measured no further
SLOW = 0.9  # times float32's speed: who asks for such a type is told

_warned: set[torch.dtype] = set()


def fast_dtype(device: torch.device | str) -> torch.dtype:
    """The type, float32 or bfloat16, that large products are fastest in on ``device``.

    The same answer throughout a process. GPUs other than NVIDIA's are given float32: none was measured.
    """
    device = torch.device(device)
    pays = _has_units(device) and (device.type != "cpu" or speed_of(torch.bfloat16, device) >= PAYS_FROM)
    return torch.bfloat16 if pays else torch.float32


@cache
def _has_units(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@cache
def speed_of(dtype: torch.dtype, device: torch.device | str) -> float:
    """How many times as fast as a float32 product one of ``dtype`` is on ``device``, measured once a process.

    Below 1 it is slower; 0.01 is what bfloat16 is on a CPU without the units.
    """
    single = torch.ones(SIDE, SIDE, device=device)
    half = single.to(dtype)
    with torch.inference_mode(), torch.autocast(single.device.type, enabled=False):
        _seconds(half)  # the first of a type does not count
        of_single = min(_seconds(single) for _ in range(ROUNDS))
        of_half = _seconds(half)
        for _ in range(ROUNDS if of_half < HOPELESS * of_single else 0):
            of_single = min(of_single, _seconds(single))  # both in turn: other work on the machine meets both
            of_half = min(of_half, _seconds(half))
    return of_single / of_half


def warn_where_slow(dtype: torch.dtype, device: torch.device | str, asked: str) -> None:
    """Warn, once a process, if ``dtype`` is a half type that is slower than float32 on ``device``.

    ``asked`` is what the user wrote, such as ``effort="bf16"``.
    """
    device = torch.device(device)
    if dtype.itemsize < 4 and dtype not in _warned and (speed := speed_of(dtype, device)) < SLOW:
        _warned.add(dtype)
        warnings.warn(
            f"{asked}: products of {type_name(dtype)} take {how_many_times(1 / speed)} as long as those of "
            f"float32 on this {device_name(device)}; without it the masks are quicker, and the exact ones",
            SlowTypeWarning,
            stacklevel=3,
        )


def how_many_times(ratio: float) -> str:
    """A ratio as people say it.

    >>> how_many_times(1.26), how_many_times(171.3)
    ('1.3 times', '170 times')
    """
    return f"{ratio:.1f} times" if ratio < 10 else f"{float(f'{ratio:.2g}'):.0f} times"


def type_name(dtype: torch.dtype) -> str:
    """As users write it: ``bfloat16``."""
    return str(dtype).removeprefix("torch.")


def device_name(device: torch.device) -> str:
    return "CPU" if device.type == "cpu" else f"device ({device.type})"


def _seconds(matrix: torch.Tensor) -> float:
    start = _clock(matrix.device)
    (matrix @ matrix)[0, 0].item()  # waits for a GPU
    return _clock(matrix.device) - start


def _clock(device: torch.device) -> float:
    """On a CPU the time that this thread computed, whatever else runs; Windows counts it too coarsely."""
    return time.thread_time() if device.type == "cpu" and os.name == "posix" else time.perf_counter()
