"""Several processes train one model: each on batches of its own, their gradients averaged.

On CPUs two processes of one thread each do nearly twice the work; one process of two threads does not.
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, multiprocessing, nn


def run_together(processes: int, work: Callable[..., None], *arguments: Any) -> None:
    """Call ``work(*arguments)`` in so many processes that :func:`average_gradients` then joins.

    ``work`` is a function of a module. An error in one ends all.
    """
    with tempfile.TemporaryDirectory() as folder:
        meeting = (Path(folder) / "meeting").as_uri()
        multiprocessing.spawn(_join, (processes, meeting, work, arguments), nprocs=processes)


def _join(
    rank: int, processes: int, meeting: str, work: Callable[..., None], arguments: Sequence[Any]
) -> None:
    # torch interrupts the others when their parent dies; a shell's "&" would have them ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=processes)
    try:
        work(*arguments)
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """This process's number; 0 where there is only one."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def processes() -> int:
    """How many train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@torch.no_grad()
def average_gradients(parameters: Sequence[nn.Parameter], seconds: float) -> float:
    """Replace the gradients, and ``seconds`` (returned), by their means over all processes, in place.

    Every process must call this with the same parameters; missing gradients count as 0.
    """
    if processes() == 1:
        return seconds
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    clock = torch.tensor([seconds], device=parameters[0].device)
    flat = torch.cat([*(g.flatten().float() for g in gradients), clock])
    distributed.all_reduce(flat)
    flat /= processes()
    for parameter, mean in zip(parameters, _cut(flat, gradients), strict=True):
        parameter.grad = mean.to(parameter.dtype)
    return float(flat[-1])


def _cut(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    pieces = flat[:-1].split([x.numel() for x in like])
    return [piece.view_as(x) for piece, x in zip(pieces, like, strict=True)]
