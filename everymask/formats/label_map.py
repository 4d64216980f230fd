"""Label map: one picture of the photo's size whose pixel values are mask numbers, 0 where there is none.

uint8 up to 255 masks, uint16 up to 65,535, beyond that uint32 (TIFF only). A mask's number is its place in
the list, from 1. A pixel has one number, so masks must not overlap: ``formats.write_masks`` sees to it and
says what that cost. A GeoTIFF's georeference is kept in a TIFF.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError, one_line, require
from ..maskset import Mask, MaskSet
from ..opencv import encoded
from ..pillow import BROKEN, opened, upright
from .georeference import Georeference, read_georeference
from .losses import Losses
from .record import PhotoMasks, WriteOptions, build_mask

TIFF_SUFFIXES = {".tif", ".tiff"}


def write(path: Path, photo: PhotoMasks, options: WriteOptions) -> Losses:
    """A PNG or TIFF, by the suffix of ``path``."""
    labels = label_map(photo.masks, photo.photo_hw)
    if photo.georeference is not None and path.suffix.lower() in TIFF_SUFFIXES:
        _write_geotiff(path, labels, photo.georeference)
    elif labels.dtype == np.uint32 and path.suffix.lower() not in TIFF_SUFFIXES:
        raise FormatError(
            f"a PNG label map holds 65,535 masks, got {len(photo.masks):,}; use the format labelmap-tiff"
        )
    elif labels.dtype == np.uint32:
        _write_tiff32(path, labels)
    else:
        path.write_bytes(encoded(labels, path.suffix))
    return Losses()


def label_map(masks: MaskSet | list[Mask], photo_hw: tuple[int, int]) -> np.ndarray:
    """The numbers, [H, W] of the smallest fitting unsigned type; where masks overlap the later one shows."""
    kind: Any = np.uint8 if len(masks) < 2**8 else np.uint16 if len(masks) < 2**16 else np.uint32
    labels = np.zeros(photo_hw, dtype=kind)
    for number, mask in enumerate(masks, 1):
        labels[mask.segmentation] = number
    return labels


def _write_tiff32(path: Path, labels: np.ndarray) -> None:
    from PIL import Image

    # Pillow's 32-bit pictures are signed; numbers of masks are far below 2**31.
    Image.fromarray(labels.astype(np.int32)).save(path, format="TIFF", compression="tiff_deflate")


def _write_geotiff(path: Path, labels: np.ndarray, georeference: Georeference) -> None:
    rasterio = require("rasterio", "geo", "writing a label map with its place on the map")
    height, width = labels.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": labels.dtype.name}
    place = {"crs": georeference.crs_wkt or None, "transform": rasterio.Affine(*georeference.affine)}
    with rasterio.open(path, "w", compress="deflate", nodata=0, **profile, **place) as file:
        file.write(labels, 1)


def read(path: Path, photo_hw: tuple[int, int] | None = None) -> list[PhotoMasks]:
    """The masks of the one photo, by rising number. Any picture of whole numbers in one channel will do."""
    labels = _read_numbers(path)
    masks = [build_mask(labels == number, {}) for number in np.unique(labels) if number]
    return [PhotoMasks(path.stem, MaskSet(masks, photo_hw=labels.shape), read_georeference(path))]


def _read_numbers(path: Path) -> np.ndarray:
    try:
        with opened(path) as picture:
            labels = np.asarray(upright(picture))
    except BROKEN as error:
        raise FormatError(f"{path} is not a readable PNG or TIFF: {one_line(error)}") from error
    if labels.ndim != 2 or labels.dtype.kind not in "ui":
        raise FormatError(
            f"a label map has one channel of whole numbers, {path} has shape {labels.shape} of {labels.dtype}"
        )
    return labels
