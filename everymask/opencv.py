"""OpenCV without its own voice: it prints to stderr what it cannot do, and returns False or None."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np


@contextmanager
def silent() -> Iterator[None]:
    """OpenCV's log is off within the block: what went wrong is said by an error of ours, in one line."""
    library: Any = cv2
    log = library if hasattr(library, "setLogLevel") else library.utils.logging  # OpenCV 4, and 5
    before = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(before)


def encoded(pixels: np.ndarray, suffix: str = ".png") -> bytes:
    """The bytes of a picture file, of BGR, BGRA or one channel. Raises OSError where there can be none.

    For Python to write: OpenCV's own writer says nothing of a full disk.
    """
    with silent():
        good, data = cv2.imencode(suffix, pixels)
    if not good:
        raise OSError(f"a picture of shape {pixels.shape} cannot be encoded as {suffix}")
    return data.tobytes()
