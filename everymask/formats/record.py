"""What passes between the format files and the rest: the masks of one photo, with the photo's name.

Frames: pixels, origin at the outer corner of the top left pixel, x right, y down; boxes are XYWH.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError, InputError, first_few
from ..masks import rle as runs_of
from ..masks.rle import Rle
from ..maskset import Mask, MaskSet
from .classes import Classes, joined
from .georeference import Georeference
from .losses import Loss, Losses
from .raster import checked_ring, checked_size

UNLABELLED = "object"
"""The category written for a mask without a label; read back as no label."""

SCORES = ("predicted_iou", "stability_score", "point_coords", "crop_box")
"""What a mask may know besides its pixels and label, by the official names."""


SIZE_HINT = "photo_hw=(height, width), or --photos FOLDER in the shell"
"""How to say how large a photo is, for the messages of formats that do not say it themselves."""


SizeOf = Callable[[str], tuple[int, int] | None]
"""From the name of a photo in a file to its height and width, where somebody knows them."""


def size_said(known: tuple[int, int] | SizeOf | None, name: str, where: str) -> tuple[int, int]:
    """The size of the photo ``name`` by the caller. Raises :class:`FormatError` where he does not say it."""
    size = known(name) if callable(known) else known
    if size is None:
        raise FormatError(f"{where} does not say how large the photo is; give {SIZE_HINT}")
    return size


@dataclass(frozen=True)
class PhotoMasks:
    """The masks of one photo as a file holds them."""

    photo: str
    """The photo's file name as written into the file; a relative path with forward slashes."""
    masks: MaskSet
    georeference: Georeference | None = None
    model_hash: str = ""
    """SHA-256 of the weights that made the masks, where known."""
    params_hash: str = ""
    """A short hash of the options that made the masks, where known."""
    source: Path | None = None
    """Where the photo's file lies, where known; for formats whose tools look for it from their own file."""
    classes: Classes = field(default_factory=Classes)
    """The classes of the file that the masks come from, with their numbers there."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What else the file says of the photo, such as its number (``id``), its licence."""
    unread: Losses = field(default_factory=Losses)
    """What the file holds of the photo that has no mask to become: points, lines, image-level tags."""

    @property
    def photo_hw(self) -> tuple[int, int]:
        """Height and width of the photo in pixels."""
        return self.masks.photo_hw


@dataclass(frozen=True)
class WriteOptions:
    """Choices of a writer that more than one photo must share."""

    categories: Classes = field(default_factory=lambda: Classes({UNLABELLED: 1}))
    """Every class of the run with its number, also those that no mask has."""
    rings: str = "bridge"
    """Formats that hold one outline a mask: "bridge" joins all parts and holes by a seam of width zero,
    "largest" keeps the largest part and fills its holes."""
    folder: Path | None = None
    """Where the file will lie when it is whole (writers see a temporary path)."""


def category_of(mask: Mask) -> str:
    """The label of a mask, or the name given to those without one."""
    return UNLABELLED if mask.label is None else mask.label


def categories_of(photos: Iterable[PhotoMasks]) -> Classes:
    """All classes of the photos: with the numbers of the files they come from, then further labels by name.

    ``object`` alone where there is none.
    """
    labels: set[str] = set()
    numbered: list[Classes] = []
    for photo in photos:  # which may be a million: nothing is kept of them but classes
        labels.update(category_of(mask) for mask in photo.masks)
        if photo.classes and not any(photo.classes is each for each in numbered[-1:]):
            numbered.append(photo.classes)
    return joined(numbered, labels if labels or numbered else {UNLABELLED})


def label_of(category: str | None) -> str | None:
    """The inverse of :func:`category_of`."""
    return None if category == UNLABELLED else category


def pixel_box_xywh(mask: Mask) -> list[int]:
    """The box whose width and height count pixels, as COCO means it (``Mask.bbox`` counts one less).

    >>> pixel_box_xywh(Mask.from_segmentation(np.array([[0, 1, 1]])))
    [1, 0, 2, 1]
    """
    rows, columns = mask.extent
    return [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]


def pasted(crop: np.ndarray, left: int, top: int, photo_hw: tuple[int, int], where: str) -> Rle:
    """The runs of a photo-sized mask that is ``crop``, bool [h, w], with its first pixel at (left, top)."""
    check_within(crop.shape, left, top, photo_hw, where)
    return runs_of.encode_at(np.ascontiguousarray(crop.T), (left, top), photo_hw)


def check_within(
    crop_hw: tuple[int, ...], left: int, top: int, photo_hw: tuple[int, int], where: str
) -> None:
    """Raise :class:`FormatError` where a crop with its first pixel at (left, top) leaves the photo."""
    height, width = crop_hw
    if left < 0 or top < 0 or left + width > photo_hw[1] or top + height > photo_hw[0]:
        raise FormatError(
            f"{where} reaches beyond the photo of {photo_hw[0]} x {photo_hw[1]} (height x width)"
        )


def rle_of(segmentation: Any, where: str, photo_hw: tuple[int, int] | None = None) -> Rle:
    """What COCO-like files call a segmentation, as runs: an RLE, compressed or not, or a list of polygons.

    Polygons (which need ``photo_hw``) become pixels as pycocotools makes them. Raises
    :class:`FormatError` when it is none of them; ``where`` names the place for the message.
    """
    if isinstance(segmentation, Mapping):
        runs = _checked_rle(segmentation, where)
    elif photo_hw and _are_polygons(segmentation):
        runs = rle_of_polygons([checked_ring(ring, photo_hw, where) for ring in segmentation], photo_hw)
    else:
        raise FormatError(
            f"{where} must have an RLE (size and counts) or a list of polygons [x, y, x, y, x, y, ...], "
            f"got {str(segmentation)[:60]!r}"
        )
    if photo_hw is not None and runs.size != tuple(photo_hw):
        raise FormatError(
            f"{where} is of {runs.size[0]} x {runs.size[1]} pixels (height x width) in a photo of "
            f"{photo_hw[0]} x {photo_hw[1]}; the file contradicts itself"
        )
    return runs


def _checked_rle(segmentation: Mapping[str, Any], where: str) -> Rle:
    size = segmentation.get("size")
    if isinstance(size, Sequence) and len(size) == 2:
        checked_size(size[0], size[1], where)
    try:
        return runs_of.from_coco(segmentation)
    except InputError as error:
        raise FormatError(f"{where}: {error}") from error


def _are_polygons(value: Any) -> bool:
    return isinstance(value, Sequence) and all(
        isinstance(ring, Sequence) and len(ring) >= 6 and len(ring) % 2 == 0 for ring in value
    )


def rle_of_polygons(polygons: Sequence[np.ndarray], photo_hw: tuple[int, int]) -> Rle:
    """The runs that pycocotools fills, of rings [N, 2] of (x, y)."""
    from pycocotools import mask as coco

    height, width = photo_hw
    if not polygons:
        return runs_of.encode(np.zeros(photo_hw, dtype=bool))
    rings = [ring.ravel().tolist() for ring in polygons]
    return runs_of.from_coco(coco.merge(coco.frPyObjects(rings, height, width)))


def scores_of(mask: Mask) -> dict[str, Any]:
    """The values a mask has besides its pixels and label, as JSON values; absent ones left out."""
    values: dict[str, Any] = {
        "predicted_iou": mask.predicted_iou,
        "stability_score": mask.stability_score,
        "point_coords": None if mask.point_coords is None else [list(point) for point in mask.point_coords],
        "crop_box": None if mask.crop_box is None else [float(side) for side in mask.crop_box],
    }
    return {name: value for name, value in values.items() if value is not None}


def build_mask(
    pixels: np.ndarray | Rle,
    values: Mapping[str, Any],
    label: str | None = None,
    where: str = "a mask",
    attributes: Mapping[str, Any] | None = None,
) -> Mask:
    """A mask from its pixels and whatever ``values`` holds under the official names (``bbox`` too)."""
    runs = pixels if isinstance(pixels, Rle) else runs_of.encode(pixels != 0)
    known = {name: values[name] for name in (*SCORES, "bbox") if values.get(name) is not None}
    try:
        for name, value in known.items():
            if not np.isfinite(np.asarray(value, dtype=np.float64)).all():
                raise ValueError(f"{name} is {value}")
        return Mask(runs, label=label, attributes=attributes, **known)
    except (TypeError, ValueError) as error:
        raise FormatError(f"{where} has a value of the wrong kind: {error}") from error


def plain_attributes(mask: Mask) -> dict[str, Any]:
    """The attributes of a mask as JSON values, NumPy's among them made plain."""
    return {name: plain_value(value) for name, value in mask.attributes.items()}


def plain_value(value: Any) -> Any:
    """A value as JSON knows it, what lists and mappings hold too: NumPy's made Python's, others text."""
    if isinstance(value, np.generic | np.ndarray):
        return plain_value(value.tolist())
    if isinstance(value, Mapping):
        return {str(name): plain_value(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(each) for each in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def attributes_of(value: Any, where: str) -> dict[str, Any]:
    """Attributes read from a file: a mapping, or none."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise FormatError(f"the attributes of {where} must be a mapping, got {type(value).__name__}")
    return {str(name): each for name, each in value.items()}


def changed_classes(photo: PhotoMasks, numbers: Mapping[str, int], why: str = "") -> Losses:
    """The masks of a photo whose class has another number in ``numbers`` than in the file it comes from."""
    before = photo.classes.numbers
    names = [category_of(mask) for mask in photo.masks]
    changed = [name for name in names if before.get(name, numbers[name]) != numbers[name]]
    if not changed:
        return Losses()
    pairs = [f"{name} {before[name]} -> {numbers[name]}" for name in dict.fromkeys(changed)]
    return Losses((Loss("classes", len(changed), detail=why or first_few(pairs, 3)),))
