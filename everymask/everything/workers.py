"""Decoding on all cores of a CPU: one thread a core, each with a part of the work.

PyTorch would split every small product over the cores and wait for both halves; with one thread a core each
works from its own cache, and nobody waits. PyTorch lets other threads run while it computes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch

Job = TypeVar("Job")
Tool = TypeVar("Tool")
Result = TypeVar("Result")


AHEAD = 4
"""Jobs that may be done or waiting per thread before somebody takes the first result: keeps memory flat."""


class Workers(Generic[Tool]):
    """Runs jobs in as many threads as there are tools; a tool belongs to one thread at a time.

    ``with Workers(tools) as workers: for result in workers.map(function, jobs)``. With a single tool
    everything happens in the calling thread. Leaving the block early (an error, Ctrl-C) lets running jobs
    end and drops the others.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._all = tuple(tools)
        self._free = list(tools)
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Workers[Tool]:
        if len(self._all) > 1:
            self._pool = ThreadPoolExecutor(len(self._all), "everymask", initializer=_one_core)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, function: Callable[[Tool, Job], Result], jobs: Sequence[Job]) -> Iterator[Result]:
        """``function(tool, job)`` for each job; results in the jobs' order, as they are ready."""
        if self._pool is None:
            for job in jobs:
                yield function(self._all[0], job)
            return
        waiting: deque[Future[Result]] = deque()
        try:
            for job in jobs:
                waiting.append(self._pool.submit(self._run, function, job))
                if len(waiting) >= AHEAD * len(self._all):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _run(self, function: Callable[[Tool, Job], Result], job: Job) -> Result:
        with self._lock:
            tool = self._free.pop()
        try:
            with torch.inference_mode():
                return function(tool, job)
        finally:
            with self._lock:
                self._free.append(tool)


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
