"""One run at a time in an output folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import InputError


@contextmanager
def alone_in(home: Path) -> Iterator[None]:
    """Hold the output folder whose record lies in ``home``; raises InputError when another run has it."""
    from filelock import FileLock, Timeout

    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"another everymask run is writing to {home.parent}; wait for it or choose another -o"
        ) from error
    try:
        yield
    finally:
        lock.release()
