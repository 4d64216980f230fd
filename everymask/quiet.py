"""Quiet for one thread: warnings and log lines of other libraries that say nothing new.

``warnings.catch_warnings`` and ``logger.disabled`` are the whole process's. Where two threads use them at
once, one brings back what the other has changed: a line that nobody wants is printed,
or from then on none is.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


class _Here(threading.local):
    """How many blocks this thread is in."""

    depth = 0


class _Silence:
    """What matches every warning of a thread that is within a block of its own, and no other's.

    It stands as the message of a filter, where ``warnings`` asks for ``match``.
    """

    def __init__(self, category: type[Warning]) -> None:
        self.filter: Any = ("ignore", self, category, None, 0)
        self._here = _Here()

    def match(self, text: str) -> bool:
        return self._here.depth > 0

    @contextmanager
    def block(self) -> Iterator[None]:
        if not self._comes_first():
            self._put_first()
        self._here.depth += 1
        try:
            yield
        finally:
            self._here.depth -= 1

    def _comes_first(self) -> bool:
        """Whether no filter but such as this stands before it."""
        for each in warnings.filters:
            if each is self.filter:
                return True
            if not isinstance(each[1], _Silence):
                return False
        return False

    def _put_first(self) -> None:
        filters: Any = warnings.filters
        with _CHANGING:
            further = [number for number, each in enumerate(filters, 1) if each is self.filter]
            filters.insert(0, self.filter)
            for number in reversed(further):
                del filters[number]


_CHANGING = threading.Lock()
_SILENCES: dict[type[Warning], _Silence] = {}


@contextmanager
def ignoring(category: type[Warning] = Warning) -> Iterator[None]:
    """Warnings of a category that this thread gives within the block are not shown; those of others are."""
    if getattr(sys.flags, "context_aware_warnings", False):  # Python that keeps filters for each thread
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category)
            yield
        return
    with _SILENCES.setdefault(category, _Silence(category)).block():
        yield


class _Unlogged(logging.Filter):
    """Drops what threads within a block log."""

    def __init__(self) -> None:
        super().__init__()
        self.here = _Here()

    def filter(self, record: logging.LogRecord) -> bool:
        return not self.here.depth


@cache
def _unlogged(name: str) -> _Unlogged:
    dropping = _Unlogged()
    logging.getLogger(name).addFilter(dropping)
    return dropping


@contextmanager
def unlogged(name: str) -> Iterator[None]:
    """What this thread logs to the logger ``name`` within the block is dropped."""
    here = _unlogged(name).here
    here.depth += 1
    try:
        yield
    finally:
        here.depth -= 1


class Held:
    """A setting of the whole process that threads hold together: the first one changes it, the last one
    brings back what was there.

    ``change`` makes the change and returns what undoes it.
    """

    def __init__(self, change: Callable[[], Callable[[], object]]) -> None:
        self._change = change
        self._lock = threading.Lock()
        self._holders = 0
        self._undo: Callable[[], object] = lambda: None

    @contextmanager
    def block(self) -> Iterator[None]:
        """While any thread is in a block the setting is changed."""
        with self._lock:
            if not self._holders:
                self._undo = self._change()
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders:
                    self._undo()
