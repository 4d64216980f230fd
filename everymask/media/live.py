"""Keeping up with a source that does not wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from threading import Condition, Thread
from typing import Any


class LatestOnly:
    """Iterates over (frame, skipped): the newest frame of a source and how many came and went before it."""

    def __init__(self, frames: Iterable[Any]) -> None:
        self._changed = Condition()
        self._frame: Any = None
        self._waiting = 0  # frames that came since the last one was taken
        self._error: Exception | None = None
        self._ended = False
        Thread(target=self._read, args=(frames,), daemon=True, name="everymask-live").start()

    def _read(self, frames: Iterable[Any]) -> None:
        try:
            for frame in frames:
                with self._changed:
                    self._frame = frame
                    self._waiting += 1
                    self._changed.notify()
        except Exception as error:  # handed on to the thread that asks for frames
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify()

    def __iter__(self) -> Iterator[tuple[Any, int]]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    break
                frame, skipped = self._frame, self._waiting - 1
                self._waiting = 0
            yield frame, skipped
        if self._error is not None:
            raise self._error
