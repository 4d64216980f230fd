"""OpenCV without its own voice: it prints to stderr what it cannot do, and returns False or None."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np

from .quiet import Held


def _log_off() -> Callable[[], object]:
    library: Any = cv2
    log = library if hasattr(library, "setLogLevel") else library.utils.logging  # OpenCV 4, and 5
    before = log.getLogLevel()
    log.setLogLevel(0)
    return lambda: log.setLogLevel(before)


_LOG_OFF = Held(_log_off)


@contextmanager
def silent() -> Iterator[None]:
    """OpenCV's log is off within the block: what went wrong is said by an error of ours, in one line."""
    with _LOG_OFF.block():
        yield


def encoded(pixels: np.ndarray, suffix: str = ".png", options: Sequence[int] = ()) -> bytes:
    """The bytes of a picture file, of BGR, BGRA or one channel. Raises OSError where there can be none.

    For Python to write: OpenCV's own writer says nothing of a full disk.
    """
    with silent():
        good, data = cv2.imencode(suffix, pixels, list(options))
    if not good:
        raise OSError(f"a picture of shape {pixels.shape} cannot be encoded as {suffix}")
    return data.tobytes()
