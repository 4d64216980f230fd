"""A few large pieces of work on all cores of a CPU: one thread a core, each with pieces of its own.

PyTorch would split every product over the cores and wait for all parts; products that fit a core's cache are
faster whole.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

import torch

Result = TypeVar("Result")

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


class OneCore:
    """A thread that keeps to one core, whatever PyTorch may use elsewhere.

    For small products: the mask for a point takes nano as long on one core as on two, which wait for each
    other and take twice the processor time; what else runs on the machine has use for the other one.
    """

    def __init__(self) -> None:
        allowed = torch.get_num_threads()
        only_one = partial(torch.set_num_threads, 1)  # holds for the thread
        self._thread = ThreadPoolExecutor(1, "everymask-one-core", only_one)
        self._thread.submit(torch.get_num_threads).result()
        torch.set_num_threads(allowed)  # what holds for threads to come, and for the library underneath

    def run(self, call: Callable[[], Result]) -> Result:
        """What ``call`` returns or raises."""
        return self._thread.submit(call).result()

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False)
