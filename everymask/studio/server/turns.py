"""One thread for the model: what a person waits for goes first, what is no longer wanted is left out."""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum
from typing import Any, TypeVar

Result = TypeVar("Result")


class Urgency(IntEnum):
    """In which order waiting calls are run."""

    CLICK = 0
    HOVER = 1
    OPEN = 2
    AHEAD = 3


class Turns:
    """Runs calls one after the other on a thread of its own."""

    def __init__(self) -> None:
        self._waiting: queue.PriorityQueue[Any] = queue.PriorityQueue()
        self._number = itertools.count()
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def submit(self, urgency: Urgency, call: Callable[[], Result]) -> Future[Result]:
        """The result to come; ``cancel()`` it while it waits."""
        future: Future[Result] = Future()
        self._waiting.put((int(urgency), next(self._number), call, future))
        return future

    async def run(self, urgency: Urgency, call: Callable[[], Result]) -> Result:
        """The result, awaited."""
        return await asyncio.wrap_future(self.submit(urgency, call))

    def close(self) -> None:
        """Let the thread end when what waits is done."""
        self._waiting.put((99, next(self._number), None, None))

    def _run(self) -> None:
        while True:
            _, _, call, future = self._waiting.get()
            if call is None:
                return
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
