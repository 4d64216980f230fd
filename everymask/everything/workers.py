"""Decoding on all cores of a CPU: one thread a core, each with a part of the work.

PyTorch would split every small product over the cores and wait for both halves; with one thread a core each
works from its own cache, and nobody waits. PyTorch lets other threads run while it computes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch

Job = TypeVar("Job")
Tool = TypeVar("Tool")
Result = TypeVar("Result")


class Workers(Generic[Tool]):
    """Runs jobs in as many threads as there are tools; a tool belongs to one thread at a time.

    ``with Workers(tools) as workers: for result in workers.map(function, jobs)``. With a single tool
    everything happens in the calling thread. Leaving the block early (an error, Ctrl-C) lets running jobs
    end and drops the others.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = list(tools)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Workers[Tool]:
        if len(self._tools) > 1:
            self._pool = ThreadPoolExecutor(len(self._tools), "everymask", initializer=_one_core)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, function: Callable[[Tool, Job], Result], jobs: Sequence[Job]) -> Iterator[Result]:
        """``function(tool, job)`` for each job; results in the jobs' order, as they are ready."""
        if self._pool is None:
            for job in jobs:
                yield function(self._tools[0], job)
            return
        futures = [self._pool.submit(self._run, function, job) for job in jobs]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()

    def _run(self, function: Callable[[Tool, Job], Result], job: Job) -> Result:
        with self._lock:
            tool = self._tools.pop()
        try:
            with torch.inference_mode():
                return function(tool, job)
        finally:
            with self._lock:
                self._tools.append(tool)


@contextmanager
def cores_kept() -> Iterator[int]:
    """How many cores PyTorch may use here; puts its setting back, which :class:`Workers` changes."""
    cores = torch.get_num_threads()
    try:
        yield cores
    finally:
        # A thread that sets its own number also sets what threads made later begin with.
        torch.set_num_threads(cores)


def _one_core() -> None:
    torch.set_num_threads(1)
