"""The one-liner: every object of a photo, from nothing but the photo."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast, overload

from PIL.Image import Image

from ..errors import OptionError, PictureError
from ..maskset import MaskSet
from ..media.photos import PhotoLike, read_pixels
from ..media.rasters import Pixels
from ..media.scenes import PhotoScene, Scene, is_large, open_scene
from ..models.base import PromptableModel
from ..models.load import load
from .bar import counting
from .generate import AutomaticMaskGenerator
from .open_ends import asking
from .scene import scene_masks
from .tiles import Tiling


@overload
def segment(
    photo: PhotoLike,
    model: str | Path | PromptableModel = "nano",
    *,
    device: str | None = None,
    progress: bool = False,
    tile: int | None = None,
    tile_overlap: int | None = None,
    **options: Any,
) -> MaskSet: ...
@overload
def segment(
    photo: Sequence[PhotoLike],
    model: str | Path | PromptableModel = "nano",
    *,
    device: str | None = None,
    progress: bool = False,
    tile: int | None = None,
    tile_overlap: int | None = None,
    **options: Any,
) -> list[MaskSet]: ...
def segment(
    photo: PhotoLike | Sequence[PhotoLike],
    model: str | Path | PromptableModel = "nano",
    *,
    device: str | None = None,
    progress: bool = False,
    tile: int | None = None,
    tile_overlap: int | None = None,
    **options: Any,
) -> MaskSet | list[MaskSet]:
    """Every object of ``photo`` as a :class:`MaskSet`, best masks first as the generator orders them.

    ``photo`` is a path, an RGB array [H, W, 3] or a PIL picture (all that ``read_photo`` takes), or a list
    of them, which gives a list; each is read
    once before the first is segmented, so that a broken one costs no work done.
    ``model`` is what :func:`everymask.load` takes, or a loaded model; the last one loaded by name is
    kept, so that calling this in a loop loads it once. ``progress`` shows a bar. ``options`` are those of
    :class:`AutomaticMaskGenerator`.

    ``tile`` segments each photo in overlapping tiles of so many pixels a side, and joins what crosses from
    one to the next; rasters of more than 100 megapixels are read in tiles of 1,024 by themselves (extra
    ``geo``). ``tile_overlap`` is an eighth of the side unless given. Masks come in the order of the tiles.

    Nothing is asked about pixels without data (a raster's nodata), and no mask keeps them.
    The masks remember a photo given by path, or weakly the array, for ``masks.draw()`` and notebooks.

    Raises ``PictureError`` for a photo that cannot be used, ``CheckpointError`` or ``DownloadError``
    for the model, ``OptionError`` for an option.
    """
    if tile is None and tile_overlap is not None:
        raise OptionError("tile_overlap is what tiles share; say how large they are too: tile=1024")
    tiling = None if tile is None else Tiling(tile, tile_overlap)
    if not isinstance(photo, list | tuple):
        one = cast("PhotoLike", photo)
        read = _opened(one, tiling)  # before the model, which may have to be fetched
        return _segmented(one, read, _generator(model, device, options), progress, tiling)
    for number, each in enumerate(photo, 1):
        try:
            _close(_opened(each, tiling))
        except PictureError as error:
            raise PictureError(f"photo {number} of the list: {error}") from error
    generator = _generator(model, device, options)
    return [_segmented(each, _opened(each, tiling), generator, progress, tiling) for each in photo]


def _generator(
    model: str | Path | PromptableModel, device: str | None, options: dict[str, Any]
) -> AutomaticMaskGenerator:
    ready = model if isinstance(model, PromptableModel) else loaded(str(model), device)
    return AutomaticMaskGenerator(ready, **options)


def _opened(photo: PhotoLike, tiling: Tiling | None) -> Pixels | Scene:
    """A photo's pixels, or a scene to be read in tiles and closed by the caller."""
    if isinstance(photo, str | os.PathLike) and (tiling is not None or is_large(Path(photo))):
        return open_scene(photo)
    pixels = read_pixels(photo)
    return pixels if tiling is None else PhotoScene(pixels)


def _close(read: Pixels | Scene) -> None:
    if not isinstance(read, Pixels):
        read.close()


def _segmented(
    photo: PhotoLike,
    read: Pixels | Scene,
    generator: AutomaticMaskGenerator,
    progress: bool,
    tiling: Tiling | None,
) -> MaskSet:
    if isinstance(read, Pixels):
        valid = {} if read.valid is None else {"valid": read.valid}
        masks = generator.generate(read.values, progress=progress, **valid)
    else:
        masks = _in_tiles(read, generator, progress, tiling or Tiling())
    return masks if isinstance(photo, Image) else masks.with_photo(photo)


def _in_tiles(scene: Scene, generator: AutomaticMaskGenerator, progress: bool, tiling: Tiling) -> MaskSet:
    with counting(progress) as report:
        return scene_masks(
            scene,
            lambda pixels, valid: generator.generate(pixels, valid=valid),
            tiling,
            report and (lambda state: report(state.done, state.total, state.doing)),
            asking(generator.model),
        )


@lru_cache(maxsize=1)
def loaded(name: str, device: str | None) -> PromptableModel:
    """The model called ``name``; the last one is kept."""
    return load(name, device=device)
