"""Pillow without the voices that print to stderr what they find in damaged files: libtiff's and its own."""

from __future__ import annotations

import ctypes
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image, ImageOps

from .errors import OptionError
from .quiet import Held, ignoring, unlogged

HANDLERS = ("TIFFSetErrorHandler", "TIFFSetWarningHandler")
LIMIT_VARIABLE = "EVERYMASK_MAX_PIXELS"
"""The environment's word for how many pixels may be decoded from one file."""


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


def _without_handlers() -> Callable[[], object]:
    before = [(setter, setter(None)) for setter in _setters()]
    return lambda: [setter(handler) for setter, handler in before]


def _with_the_limit_asked_for() -> Callable[[], object]:
    before, asked = Image.MAX_IMAGE_PIXELS, os.environ.get(LIMIT_VARIABLE, "").strip()
    if not asked:
        return lambda: None
    if not asked.isdecimal() or not int(asked):
        raise OptionError(
            f"{LIMIT_VARIABLE} must be a whole number of pixels, got {asked!r}; unset it, or fix it"
        )
    Image.MAX_IMAGE_PIXELS = int(asked) / 2  # type: ignore[assignment]  # Pillow refuses from twice as many

    def undo() -> None:
        Image.MAX_IMAGE_PIXELS = before

    return undo


_HANDLERS_OFF = Held(_without_handlers)
_LIMIT = Held(_with_the_limit_asked_for)


@contextmanager
def silent() -> Iterator[None]:
    """Nothing is printed within the block; what is raised says it."""
    with _HANDLERS_OFF.block(), unlogged("PIL.TiffImagePlugin"):
        yield


@contextmanager
def within_limit() -> Iterator[None]:
    """Pillow refuses pictures of more pixels than the environment allows, or than it does by itself, and
    warns of none."""
    # It warns from half its limit on, at times only when pixels are read; one line is enough.
    with _LIMIT.block(), ignoring(Image.DecompressionBombWarning):
        yield


@contextmanager
def opened(source: Path | bytes) -> Iterator[Image.Image]:
    """A picture file, or the bytes of one, while it is read; no warnings of rare tags or many pixels.

    Raises what Pillow raises: :data:`BROKEN`.
    """
    with (
        silent(),
        ignoring(),
        Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture,
    ):
        yield picture


def upright(picture: Image.Image) -> Image.Image:
    """The picture as one sees it, turned as EXIF or TIFF says; itself where it is stored upright."""
    if getattr(picture, "tile", None) and picture.getexif().get(ORIENTATION_TAG) in (5, 6, 7, 8):
        picture.filename = ""  # type: ignore[attr-defined]  # else 16-bit TIFFs are mapped with swapped sides
    picture.load()  # a PNG may say behind its pixels how they are turned; a TIFF is turned now
    is_turned = picture.getexif().get(ORIENTATION_TAG, 1) not in range(2, 9)
    return picture if is_turned else ImageOps.exif_transpose(picture)  # which copies in any case


def grey_pixels(source: Path | bytes) -> np.ndarray:
    """The same in grey: uint8 [H, W]."""
    with opened(source) as picture:
        return np.asarray(upright(picture).convert("L"))


ORIENTATION_TAG = 0x0112
BROKEN = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
"""What Pillow raises for files that are no pictures, or damaged ones."""
