"""Pillow without the voices that print to stderr what they find in damaged files: libtiff's and its own."""

from __future__ import annotations

import ctypes
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

HANDLERS = ("TIFFSetErrorHandler", "TIFFSetWarningHandler")
LOG = logging.getLogger("PIL.TiffImagePlugin")


@cache
def _setters() -> tuple[Any, ...]:
    """libtiff's functions that say who prints, in the copies that Pillow's wheels bring; none elsewhere."""
    home = Path(PIL.__file__).parent
    found = []
    for path in (*home.parent.glob("pillow.libs/libtiff-*.so*"), *home.glob(".dylibs/libtiff*.dylib")):
        try:
            library = ctypes.CDLL(str(path))
            for name in HANDLERS:
                setter = getattr(library, name)
                setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
                found.append(setter)
        except (OSError, AttributeError):  # another build: its lines stay
            continue
    return tuple(found)


@contextmanager
def silent() -> Iterator[None]:
    """Nothing is printed within the block; what is raised says it."""
    before = [(setter, setter(None)) for setter in _setters()]
    was_off, LOG.disabled = LOG.disabled, True
    try:
        yield
    finally:
        LOG.disabled = was_off
        for setter, handler in before:
            setter(handler)


@contextmanager
def opened(source: Path | bytes) -> Iterator[Image.Image]:
    """A picture file, or the bytes of one, while it is read; no warnings of rare tags or many pixels.

    Raises what Pillow raises: :data:`BROKEN`.
    """
    with silent(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
            yield picture


def grey_pixels(source: Path | bytes) -> np.ndarray:
    """The same in grey: uint8 [H, W]."""
    with opened(source) as picture:
        return np.asarray(picture.convert("L"))


BROKEN = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
"""What Pillow raises for files that are no pictures, or damaged ones."""
