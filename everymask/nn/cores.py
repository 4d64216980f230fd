"""A few large pieces of work on all cores of a CPU: one thread a core, each with pieces of its own.

PyTorch would split every product over the cores and wait for all parts; products that fit a core's cache are
faster whole.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

import torch

_pools: dict[int, ThreadPoolExecutor] = {}
_busy = threading.Lock()


def on_all_cores(pieces: Sequence[Callable[[], None]]) -> None:
    """Run all ``pieces``, on as many threads as PyTorch may use; each keeps to one core.

    In a thread that may use only one core, or while another thread is here, they run one after the other.
    """
    cores = min(torch.get_num_threads(), len(pieces))
    if cores < 2 or not _busy.acquire(blocking=False):
        for piece in pieces:
            piece()
        return
    allowed = torch.get_num_threads()
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def run(piece: Callable[[], None]) -> None:
        torch.set_num_threads(1)
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            piece()

    try:
        if cores not in _pools:
            _pools[cores] = ThreadPoolExecutor(cores, "everymask-core")
        running = [_pools[cores].submit(run, piece) for piece in pieces]
        wait(running)
        for one in running:
            one.result()
    finally:
        torch.set_num_threads(allowed)  # one library underneath has one number for all threads
        _busy.release()
