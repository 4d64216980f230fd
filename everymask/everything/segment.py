"""The one-liner: every object of a photo, from nothing but the photo."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from ..maskset import MaskSet
from ..media.photos import PhotoLike, read_photo
from ..models.base import PromptableModel
from ..models.load import load
from .generate import AutomaticMaskGenerator


def segment(
    photo: PhotoLike,
    model: str | Path | PromptableModel = "nano",
    *,
    device: str | None = None,
    **options: Any,
) -> MaskSet:
    """Every object of ``photo`` as a :class:`MaskSet`, best masks first as the generator orders them.

    ``photo`` is a path, an RGB array [H, W, 3] or a PIL picture (all that ``read_photo`` takes).
    ``model`` is what :func:`everymask.load` takes, or a loaded model; the last one loaded by name is
    kept, so that calling this in a loop loads it once. ``options`` are those of
    :class:`AutomaticMaskGenerator`.

    Raises ``PictureError`` for a photo that cannot be used, ``CheckpointError`` or ``DownloadError``
    for the model, ``OptionError`` for an option.
    """
    picture = read_photo(photo)  # before the model, which may have to be fetched
    ready = model if isinstance(model, PromptableModel) else _loaded(str(model), device)
    return AutomaticMaskGenerator(ready, **options).generate(picture)


@lru_cache(maxsize=1)
def _loaded(name: str, device: str | None) -> PromptableModel:
    return load(name, device=device)
