"""Work done beside the caller's own, in one other thread."""

from __future__ import annotations

from collections.abc import Callable
from queue import Queue
from threading import Thread
from types import TracebackType


class Beside:
    """Does the pieces of work it is given one after the other while the caller goes on.

    At most ``room`` pieces wait; :meth:`do` then waits for one to be done, so that memory stays bounded.
    What goes wrong is raised by the next call, and nothing is done any more. Leaving the ``with`` block
    waits for the piece in work; when the block raises, those that wait are dropped.

    >>> done = []
    >>> with Beside() as beside:
    ...     for number in range(3):
    ...         beside.do(lambda number=number: done.append(number))
    ...     beside.wait()
    >>> done
    [0, 1, 2]
    """

    def __init__(self, room: int = 4) -> None:
        self._waiting: Queue[Callable[[], None] | None] = Queue(room)
        self._thread = Thread(target=self._work, name="everymask-beside", daemon=True)
        self._dropping = False
        self.error: BaseException | None = None
        """What went wrong, if anything did."""

    def do(self, work: Callable[[], None]) -> None:
        """Have ``work`` done after what was given before; raises what went wrong with earlier work."""
        self._raise()
        self._waiting.put(work)

    def wait(self) -> None:
        """Until all work is done; raises what went wrong with it."""
        self._waiting.join()
        self._raise()

    def _raise(self) -> None:
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        while (work := self._waiting.get()) is not None:
            try:
                if self.error is None and not self._dropping:
                    work()
            except BaseException as error:  # handed on to the caller's thread
                self.error = error
            finally:
                self._waiting.task_done()

    def __enter__(self) -> Beside:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dropping = kind is not None
        self._waiting.put(None)
        self._thread.join()
        if kind is None:
            self._raise()
