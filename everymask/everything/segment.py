"""The one-liner: every object of a photo, from nothing but the photo."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
from PIL.Image import Image

from ..errors import PictureError
from ..maskset import MaskSet
from ..media.photos import PhotoLike, read_photo
from ..models.base import PromptableModel
from ..models.load import load
from .generate import AutomaticMaskGenerator


@overload
def segment(
    photo: PhotoLike,
    model: str | Path | PromptableModel = "nano",
    *,
    device: str | None = None,
    progress: bool = False,
    **options: Any,
) -> MaskSet: ...
@overload
def segment(
    photo: Sequence[PhotoLike],
    model: str | Path | PromptableModel = "nano",
    *,
    device: str | None = None,
    progress: bool = False,
    **options: Any,
) -> list[MaskSet]: ...
def segment(
    photo: PhotoLike | Sequence[PhotoLike],
    model: str | Path | PromptableModel = "nano",
    *,
    device: str | None = None,
    progress: bool = False,
    **options: Any,
) -> MaskSet | list[MaskSet]:
    """Every object of ``photo`` as a :class:`MaskSet`, best masks first as the generator orders them.

    ``photo`` is a path, an RGB array [H, W, 3] or a PIL picture (all that ``read_photo`` takes), or a list
    of them, which gives a list; each is read
    once before the first is segmented, so that a broken one costs no work done.
    ``model`` is what :func:`everymask.load` takes, or a loaded model; the last one loaded by name is
    kept, so that calling this in a loop loads it once. ``progress`` shows a bar. ``options`` are those of
    :class:`AutomaticMaskGenerator`.

    The masks remember a photo given by path, or weakly the array, for ``masks.draw()`` and notebooks.

    Raises ``PictureError`` for a photo that cannot be used, ``CheckpointError`` or ``DownloadError``
    for the model, ``OptionError`` for an option.
    """
    if not isinstance(photo, list | tuple):
        one = cast("PhotoLike", photo)
        picture = read_photo(one)  # before the model, which may have to be fetched
        return _segmented(one, picture, _generator(model, device, options), progress)
    for number, each in enumerate(photo, 1):
        _check_readable(each, number)
    generator = _generator(model, device, options)
    return [_segmented(each, read_photo(each), generator, progress) for each in photo]


def _generator(
    model: str | Path | PromptableModel, device: str | None, options: dict[str, Any]
) -> AutomaticMaskGenerator:
    ready = model if isinstance(model, PromptableModel) else _loaded(str(model), device)
    return AutomaticMaskGenerator(ready, **options)


def _segmented(
    photo: PhotoLike, picture: np.ndarray, generator: AutomaticMaskGenerator, progress: bool
) -> MaskSet:
    masks = generator.generate(picture, progress=progress)
    return masks if isinstance(photo, Image) else masks.with_photo(photo)


def _check_readable(photo: PhotoLike, number: int) -> None:
    try:
        read_photo(photo)
    except PictureError as error:
        raise PictureError(f"photo {number} of the list: {error}") from error


@lru_cache(maxsize=1)
def _loaded(name: str, device: str | None) -> PromptableModel:
    return load(name, device=device)
