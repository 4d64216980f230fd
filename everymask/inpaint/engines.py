"""The engines that fill holes, behind one protocol: a table of them, and the one that is taken by default.

==========  =========================================================================================
opencv      Telea's method from OpenCV: smooth, at once; for scratches and thin things
patches     patches of the same picture: texture goes on; nothing to download
migan       MI-GAN, a small network (28 MB; extra ``inpaint``)
lama        LaMa, a larger one (208 MB; extra ``inpaint``)
(painting what a text says: ``inpaint/diffusion.py``)
==========  =========================================================================================
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from everymask.errors import OptionError


class Engine(Protocol):
    """Fills a hole in a picture."""

    def fill(self, picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
        """The picture, float32 [H, W, C] of values 0 to 255, C = 1, 3 or 4 (alpha last), with the pixels of
        ``hole``, bool [H, W], made anew. What it gives elsewhere is not looked at."""


@dataclass(frozen=True)
class EngineEntry:
    """One engine: where its code is, and what it needs."""

    name: str
    home: str
    """``module:class``; made without arguments, or with the name of its weights."""
    licence: str
    weights: str = ""
    """A name of the catalog of weights."""


ENGINES: dict[str, EngineEntry] = {
    entry.name: entry
    for entry in (
        EngineEntry("opencv", "everymask.inpaint.classic:Telea", "Apache-2.0"),
        EngineEntry("patches", "everymask.inpaint.classic:Patches", "Apache-2.0"),
        EngineEntry("migan", "everymask.inpaint.networks:MiGan", "MIT", "migan"),
        EngineEntry("lama", "everymask.inpaint.networks:Lama", "Apache-2.0", "lama"),
    )
}
PREFERRED = ("lama", "migan")
"""Taken by default where its weights are here; else ``patches``."""


def default_engine() -> str:
    """The best engine that needs neither a download nor a package that is not here."""
    from everymask.models.hub import is_cached

    for name in PREFERRED:
        if is_cached(ENGINES[name].weights) and importlib.util.find_spec("onnxruntime"):
            return name
    return "patches"


def open_engine(name: str | None = None) -> Engine:
    """The engine called ``name``, its weights fetched if they are not here; the default one for None.

    Raises :class:`OptionError` for a name that is none, ``MissingExtraError`` for a package that is not
    installed, ``DownloadError`` for weights that cannot be had.
    """
    name = name or default_engine()
    if name not in ENGINES:
        raise OptionError(f"engine must be one of {', '.join(ENGINES)}, got {name!r}")
    entry = ENGINES[name]
    module, _, attribute = entry.home.partition(":")
    made = getattr(importlib.import_module(module), attribute)
    engine: Engine = made(entry.weights) if entry.weights else made()
    return engine
