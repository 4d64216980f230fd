"""The result type of every path: masks of one photo, held as run lengths until somebody asks for pixels.

A thousand masks of a 24-megapixel photo are some megabytes as run lengths and 24 gigabytes as arrays, so
:attr:`Mask.segmentation` unpacks one mask at a time and keeps nothing.

Frames: pixels of the photo, x right, y down. Boxes are XYWH as both official generators report them: the
width is that between the first and the last column, one less than the number of columns.
:attr:`Mask.extent` is the box for slicing.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from everymask.errors import InputError, OptionError
from everymask.masks import coverage as coverage_of
from everymask.masks import merging
from everymask.masks import rle as runs_of
from everymask.masks.hierarchy import LEVELS, MaskTree, parents
from everymask.masks.overlap import owners
from everymask.masks.rle import Rle

if TYPE_CHECKING:
    from pathlib import Path

    import fiftyone
    import pandas
    import supervision
    from matplotlib.axes import Axes
    from shapely import MultiPolygon

OUTPUT_MODES = ("binary_mask", "uncompressed_rle", "coco_rle")
SORT_KEYS = ("area", "predicted_iou", "stability_score")


class Mask:
    """One object of a photo: its pixels and what the model said about them. Immutable."""

    __slots__ = (
        "_area",
        "_bbox",
        "attributes",
        "crop_box",
        "label",
        "point_coords",
        "predicted_iou",
        "runs",
        "stability_score",
    )

    _area: int
    _bbox: tuple[float, float, float, float] | None
    runs: Rle
    """The pixels as run lengths."""
    predicted_iou: float | None
    """The model's own estimate of the mask's IoU with the true object."""
    stability_score: float | None
    """IoU of the mask thresholded a little higher and a little lower."""
    point_coords: tuple[tuple[float, float], ...] | None
    """(x, y) of the points that asked for it, in photo pixels."""
    crop_box: tuple[float, float, float, float] | None
    """XYWH of the crop that the model looked at."""
    label: str | None
    """A category name, where somebody gave one."""
    attributes: Mapping[str, Any]
    """What else is known of the object, as JSON values by name: a crowd flag, the number it had in a file,
    who drew it. Carried through filters and into the formats that have a place for it. Read-only."""

    def __init__(
        self,
        rle: Rle | Mapping[str, Any],
        *,
        predicted_iou: float | None = None,
        stability_score: float | None = None,
        point_coords: Iterable[Sequence[float]] | None = None,
        crop_box: Sequence[float] | None = None,
        label: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        bbox: Sequence[float] | None = None,
    ) -> None:
        """``rle`` is an :class:`Rle` or a COCO dict, its counts a string, bytes, or a list of run lengths."""
        runs = rle if isinstance(rle, Rle) else runs_of.from_coco(rle)
        self._set("runs", runs)
        self._set("predicted_iou", _score("predicted_iou", predicted_iou))
        self._set("stability_score", _score("stability_score", stability_score))
        self._set("point_coords", _points(point_coords))
        self._set("crop_box", None if crop_box is None else tuple(crop_box))
        self._set("label", label)
        self._set("attributes", MappingProxyType(dict(attributes or {})))
        self._set("_area", runs.area)
        self._set("_bbox", None if bbox is None else tuple(bbox))

    @classmethod
    def from_segmentation(cls, segmentation: np.ndarray, **known: Any) -> Mask:
        """A mask from its pixels [H, W], bool or zero / non-zero; ``known`` as in the constructor.

        Floats must be 0 and one other value: raises :class:`InputError` for logits and probabilities, which
        are no mask before they are compared with a threshold.
        """
        return cls(runs_of.encode(_nonzero(segmentation)), **known)

    @classmethod
    def from_rle(cls, rle: Rle | Mapping[str, Any], **known: Any) -> Mask:
        """A mask from run lengths; ``known`` as in the constructor."""
        return cls(rle, **known)

    def replace(self, **changes: Any) -> Mask:
        """A copy with other values: ``mask.replace(label="cat")``."""
        values = {
            "rle": self.runs,
            "predicted_iou": self.predicted_iou,
            "stability_score": self.stability_score,
            "point_coords": self.point_coords,
            "crop_box": self.crop_box,
            "label": self.label,
            "attributes": self.attributes,
            "bbox": None if "rle" in changes else self._bbox,
        }
        return Mask(**{**values, **changes})

    @property
    def segmentation(self) -> np.ndarray:
        """The pixels, bool [H, W]; unpacked anew at every call."""
        return runs_of.decode(self.runs)

    @property
    def rle(self) -> dict[str, Any]:
        """The pixels as COCO writes them: ``{"size": [H, W], "counts": str}``."""
        return runs_of.to_coco(self.runs)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the photo."""
        return self.runs.size

    @property
    def area(self) -> int:
        """How many pixels the mask has."""
        return self._area

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """XYWH; (0, 0, 0, 0) for an empty mask. See the head of this file for what W and H count."""
        if self._bbox is not None:
            return self._bbox
        x0, y0, x1, y1 = runs_of.box_xyxy(self.runs)
        self._set("_bbox", (x0, y0, x1 - x0, y1 - y0))
        return self.bbox

    @property
    def extent(self) -> tuple[slice, slice]:
        """(rows, columns) of the smallest window that holds every pixel of the mask; empty for no pixel."""
        if self._area == 0:
            return slice(0, 0), slice(0, 0)
        x0, y0, x1, y1 = runs_of.box_xyxy(self.runs)
        return slice(y0, y1 + 1), slice(x0, x1 + 1)

    def crop(self) -> np.ndarray:
        """The pixels inside :attr:`extent` only, bool: cheap for a small object in a large photo."""
        rows, columns = self.extent
        return runs_of.decode_box(self.runs, (columns.start, rows.start, columns.stop, rows.stop))

    def polygon(self, tolerance: float = 0.0) -> np.ndarray:
        """The outline of the largest piece, float64 [N, 2] of (x, y) pixel corners, clockwise, not closed.

        Holes and smaller pieces are left out: :meth:`MaskSet.to_shapely` has them all. ``tolerance``
        (pixels) drops corners that lie closer than this to the simplified outline. [0, 2] for no pixel.
        """
        from everymask.formats import outlines  # reaches up on purpose, see tests/test_layers.py

        return outlines.largest_outline(self.segmentation, tolerance)

    def cutout(self, photo: Any, **options: Any) -> np.ndarray:
        """The object on a transparent ground, RGBA uint8 [h, w, 4], as large as the object.

        ``photo`` is RGB uint8 [H, W, 3] or what ``read_photo`` takes; ``options`` are those of
        ``everymask.media.draw.cut_out``.
        """
        from everymask.media import draw, photos  # reaches up on purpose, see tests/test_layers.py

        return draw.cut_out(photos.read_photo(photo), self, **options)

    def to_dict(self, output_mode: str = "binary_mask") -> dict[str, Any]:
        """The official dict of a generator: segmentation, area, bbox, predicted_iou, point_coords,
        stability_score, crop_box."""
        return {
            "segmentation": _segmentation_as(self.runs, output_mode),
            "area": self.area,
            "bbox": list(self.bbox),
            "predicted_iou": self.predicted_iou,
            "point_coords": [list(p) for p in self.point_coords or ()],
            "stability_score": self.stability_score,
            "crop_box": list(self.crop_box or (0, 0, self.size[1], self.size[0])),
        }

    def __repr__(self) -> str:
        name = "" if self.label is None else f"{self.label!r}, "
        score = "" if self.predicted_iou is None else f", predicted_iou={self.predicted_iou:.3f}"
        return f"Mask({name}area={self.area}, bbox={list(self.bbox)}{score})"

    def _repr_html_(self) -> str:
        """A picture of the mask, for a notebook."""
        from everymask.media import html  # reaches up on purpose, see tests/test_layers.py

        return html.of_mask(self)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Mask does not change; make another one: mask.replace({name}=...)")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.runs, self.replace_arguments())

    def replace_arguments(self) -> dict[str, Any]:
        """What the constructor takes besides the pixels."""
        names = ("predicted_iou", "stability_score", "point_coords", "crop_box", "label")
        known = {name: getattr(self, name) for name in names}
        return known | {"attributes": dict(self.attributes), "bbox": self._bbox}

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


class MaskSet(Sequence[Mask]):
    """The masks of one photo, in the order in which their maker gave them. Immutable."""

    __slots__ = ("_masks", "_photo", "photo_hw", "valid")

    photo_hw: tuple[int, int]
    """(H, W) of the photo in pixels."""
    valid: Rle | None
    """The pixels that have data; None: all. The others (a raster's nodata) count neither for
    :attr:`coverage` nor as :meth:`gaps`."""

    def __init__(
        self,
        masks: Iterable[Mask] = (),
        photo_hw: tuple[int, int] | None = None,
        *,
        photo: str | os.PathLike[str] | np.ndarray | None = None,
        valid: np.ndarray | Rle | None = None,
    ) -> None:
        """``photo_hw`` may be left out where there is a mask to tell it.

        ``photo`` is what :meth:`draw` and notebooks show the masks on: a path, or an array, to which a weak
        reference is kept, never a copy. ``valid``, bool [H, W], is where the photo has data. Raises
        :class:`InputError` where masks are of another size than the photo.
        """
        self._masks: Sequence[Mask] = tuple(masks)
        if strange := [each for each in self._masks if not isinstance(each, Mask)]:
            raise InputError(
                f"a MaskSet holds objects of class Mask, got {type(strange[0]).__name__}; "
                "of pixels [H, W] take Mask.from_segmentation(pixels)"
            )
        self._photo = weakref.ref(photo) if isinstance(photo, np.ndarray) else photo
        if photo_hw is None:
            if not self._masks:
                raise InputError("a MaskSet without masks needs photo_hw=(height, width)")
            photo_hw = self._masks[0].size
        self.photo_hw = (int(photo_hw[0]), int(photo_hw[1]))
        if min(self.photo_hw) < 0:
            raise InputError(f"photo_hw must be (height, width) in pixels, got {tuple(photo_hw)}")
        self.valid = runs_of.encode(valid) if isinstance(valid, np.ndarray) else valid
        if self.valid is not None and self.valid.size != self.photo_hw:
            raise InputError(f"valid is of {self.valid.size} (height, width), the photo of {self.photo_hw}")
        for number, mask in enumerate(self._masks, 1):
            if mask.size != self.photo_hw:
                raise InputError(
                    f"masks of one photo have its size, {self.photo_hw} (height, width); "
                    f"mask {number} has {mask.size}"
                )

    @classmethod
    def read_when_asked(
        cls, masks: Sequence[Mask], photo_hw: tuple[int, int], valid: np.ndarray | Rle | None = None
    ) -> MaskSet:
        """The masks of a sequence that reads them anew at every call, for more masks than memory holds.

        Iterating and saving hold one mask at a time; what makes a new set of them holds all it keeps.
        """
        result = cls((), photo_hw, valid=valid)
        result._masks = masks
        return result

    @overload
    def __getitem__(self, index: int) -> Mask: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | np.ndarray) -> MaskSet: ...
    def __getitem__(self, index: Any) -> Any:
        """One mask by number; a :class:`MaskSet` by slice, list of numbers or boolean array."""
        if isinstance(index, slice):
            return self._like(self._masks[index])
        if isinstance(index, int | np.integer):
            return self._masks[int(index)]
        which = np.asarray(index)
        if which.dtype == bool:
            if which.shape != (len(self),):
                raise InputError(
                    f"a boolean index must have one value a mask, ({len(self)},); got {which.shape}"
                )
            which = np.flatnonzero(which)
        return self._like(self._masks[i] for i in which.tolist())

    def __len__(self) -> int:
        return len(self._masks)

    def __iter__(self) -> Iterator[Mask]:
        return iter(self._masks)

    def __add__(self, other: MaskSet) -> MaskSet:
        """These masks, then those of ``other``; both of photos of one size, or :class:`InputError`."""
        if not isinstance(other, MaskSet):
            return NotImplemented
        if other.photo_hw != self.photo_hw:
            raise InputError(
                f"masks are joined on one photo: these are of {self.photo_hw} (height, width), "
                f"the others of {other.photo_hw}"
            )
        return MaskSet(
            (*self, *other),
            self.photo_hw,
            photo=self.photo if other.photo is None else other.photo,
            valid=self.valid if other.valid is None else other.valid,
        )

    def _like(self, masks: Iterable[Mask]) -> MaskSet:
        """Other masks of the same photo."""
        return MaskSet(masks, self.photo_hw, photo=self.photo, valid=self.valid)

    @property
    def photo(self) -> str | os.PathLike[str] | np.ndarray | None:
        """The photo that the masks remember: a path, an array that somebody still holds, or None."""
        return self._photo() if isinstance(self._photo, weakref.ref) else self._photo

    def with_photo(self, photo: str | os.PathLike[str] | np.ndarray | None) -> MaskSet:
        """The same masks, remembering another photo (see the constructor)."""
        return MaskSet(self._masks, self.photo_hw, photo=photo, valid=self.valid)

    def __reduce__(self) -> tuple[Any, ...]:
        path = None if isinstance(self._photo, weakref.ref) else self._photo
        return _rebuild_set, (tuple(self._masks), self.photo_hw, path, self.valid)

    def _repr_html_(self) -> str:
        """The masks over their photo, for a notebook; over grey where the photo is not known any more."""
        from everymask.media import html  # reaches up on purpose, see tests/test_layers.py

        return html.of_masks(self)

    def __repr__(self) -> str:
        count = len(self)
        height, width = self.photo_hw
        return f"MaskSet({count} mask{'' if count == 1 else 's'} of a {width} x {height} photo)"

    @property
    def areas(self) -> np.ndarray:
        """Pixels of each mask, int64 [K]."""
        return np.array([m.area for m in self._masks], np.int64)

    def segmentations(self) -> np.ndarray:
        """All pixels at once, bool [K, H, W]. K * H * W bytes: iterate for many masks of a large photo."""
        if not self._masks:
            return np.zeros((0, *self.photo_hw), dtype=bool)
        return np.stack([m.segmentation for m in self._masks])

    def to_dicts(self, output_mode: str = "binary_mask") -> list[dict[str, Any]]:
        """The official list of dicts; ``output_mode`` one of binary_mask, uncompressed_rle, coco_rle."""
        return [m.to_dict(output_mode) for m in self._masks]

    def sorted_by(self, key: str | Callable[[Mask], Any] = "area", *, descending: bool = True) -> MaskSet:
        """The masks in another order: by ``area``, ``predicted_iou``, ``stability_score``, or a function.

        Equals keep their order. A mask without the score raises :class:`OptionError`.
        """
        order = key if callable(key) else _score_of(key)
        return self._like(sorted(self._masks, key=order, reverse=descending))

    def filter(
        self,
        condition: Callable[[Mask], bool] | None = None,
        *,
        min_area: float | None = None,
        max_area: float | None = None,
        min_predicted_iou: float | None = None,
        min_stability_score: float | None = None,
        inside_box: Sequence[float] | None = None,
        label: str | None = None,
    ) -> MaskSet:
        """The masks that meet every condition given; bounds are inclusive.

        ``inside_box`` (x0, y0, x1, y1) keeps masks whose own box lies within it.
        """
        tests: list[Callable[[Mask], bool]] = [condition] if condition else []
        if min_area is not None:
            tests.append(lambda m: m.area >= min_area)
        if max_area is not None:
            tests.append(lambda m: m.area <= max_area)
        if min_predicted_iou is not None:
            iou = _score_of("predicted_iou")
            tests.append(lambda m: iou(m) >= min_predicted_iou)
        if min_stability_score is not None:
            stability = _score_of("stability_score")
            tests.append(lambda m: stability(m) >= min_stability_score)
        if inside_box is not None:
            tests.append(lambda m: _lies_inside(m.bbox, inside_box))
        if label is not None:
            tests.append(lambda m: m.label == label)
        return self._like(m for m in self._masks if all(test(m) for test in tests)) if tests else self

    @property
    def coverage(self) -> float:
        """The share of the photo (of its pixels with data) that lies under at least one mask, 0 to 1."""
        return coverage_of.share((mask.runs for mask in self), self.photo_hw, self.valid)

    def gaps(self, min_area: float | None = None) -> MaskSet:
        """The regions under no mask, largest first, of ``min_area`` pixels (default: 1/2000 of the photo)."""
        least = coverage_of.least_gap(self.photo_hw) if min_area is None else min_area
        runs = (mask.runs for mask in self)
        return self._like(map(Mask, coverage_of.gaps(runs, self.photo_hw, least, self.valid)))

    def tree(self, least_share: float = 0.9) -> MaskTree:
        """Which mask is a part of which: of the smallest larger one that holds ``least_share`` of it."""
        return MaskTree(parents([mask.runs for mask in self], least_share))

    def level(self, level: str) -> MaskSet:
        """The masks of a level of the :meth:`tree`: "whole", "part" (of a whole) or "subpart" (of a part)."""
        return self[self.tree().at(_checked_level(level))]

    def label_map(self, level: str | None = None) -> np.ndarray:
        """For each pixel the number, from 1, of the smallest mask that holds it; 0: none. int32 [H, W].

        Each pixel belongs to one mask. With ``level`` only the masks of that level count; numbers are
        those of the masks in this set all the same.
        """
        which = np.arange(len(self)) if level is None else self.tree().at(_checked_level(level))
        owner = owners([self[n].runs for n in which.tolist()], self.photo_hw)
        return np.append(which + 1, 0).astype(np.int32)[owner]

    def merged(
        self,
        photo: Any = None,
        *,
        candidates: MaskSet | None = None,
        cover: float = 0.9,
        contrast: float = 3.0,
    ) -> MaskSet:
        """Masks that are pieces of one object become one.

        A mask takes the place of two or more others that make up ``cover`` of it, where its predicted
        IoU is higher than theirs; it may also come from ``candidates``. Then masks side by side become their
        union where their common border is no edge in the photo: colours on both sides differ by less than
        ``contrast`` (Delta E). ``photo`` is an array, a path or a PIL picture, by default the one that the
        masks remember; without any, borders are not looked at. A merged mask has the numbers of its
        pieces, from 1, in ``attributes["merged"]``, and the reason in ``attributes["because"]``.
        """
        pool = self if candidates is None else self + candidates
        scores = [-1.0 if mask.predicted_iou is None else mask.predicted_iou for mask in pool]
        found = merging.covered_together([mask.runs for mask in pool], scores, cover, len(self))
        result = self._replaced(pool, found)
        ground = self.photo if photo is None else photo
        if ground is None:
            return result
        from everymask.media import photos  # reaches up on purpose, see tests/test_layers.py

        pixels = photos.read_photo(ground)
        if pixels.shape[:2] != self.photo_hw:
            raise InputError(
                f"the photo is of {pixels.shape[:2]} (height, width), the masks of {self.photo_hw}"
            )
        borders = merging.without_edge_between([mask.runs for mask in result], pixels, contrast)
        return result._replaced(result, borders)

    def _replaced(self, pool: MaskSet, merges: Sequence[merging.Merge]) -> MaskSet:
        """These masks with those that merge replaced; they are the first ones of ``pool``."""
        gone = {number for merge in merges for number in merge.numbers}
        stays = {merge.by: merge for merge in merges if merge.by is not None}
        at = {min(merge.numbers): merge for merge in merges if merge.by is None or merge.by >= len(self)}
        found = []
        for number, mask in enumerate(self):
            if number in at:
                found.append(_merged(pool, at[number]))
            elif number in stays:
                found.append(_merged(pool, stays[number]))
            elif number not in gone:
                found.append(mask)
        return self._like(found)

    def save(self, path: str | Path, format: str | None = None, **options: Any) -> Any:
        """Write the masks to a file; ``format`` a name of :mod:`everymask.formats`, or told by the ending."""
        from everymask import formats  # reaches up on purpose, see tests/test_layers.py

        return formats.save(self, path, format=format, **options)

    def draw(self, photo: Any = None, **options: Any) -> np.ndarray:
        """The photo with the masks drawn over it, RGB uint8 [H, W, 3].

        ``photo`` is an array, a path or a PIL picture; by default the one that the masks remember.
        ``options`` are those of :func:`everymask.draw_overlay`.
        """
        from everymask.media import draw  # reaches up on purpose, see tests/test_layers.py

        ground = self.photo if photo is None else photo
        if ground is None:
            raise InputError("these masks do not remember their photo: pass it, masks.draw(photo)")
        return draw.draw_overlay(ground, self, **options)

    def plot(self, photo: Any = None, ax: Axes | None = None, **options: Any) -> Axes:
        """The masks on matplotlib axes, which are handed back; needs matplotlib.

        ``photo`` as for :meth:`draw`; without one, grey. ``options`` are those of
        :func:`everymask.draw_overlay`.
        """
        from everymask.interop import matplotlib  # reaches up on purpose, see tests/test_layers.py

        return matplotlib.plot(self, self.photo if photo is None else photo, ax, **options)

    def to_pandas(self) -> pandas.DataFrame:
        """A table with a row a mask, numbered from 1: label, area, box, scores, COCO RLE; needs pandas."""
        from everymask.interop import tables

        return tables.to_pandas(self)

    @classmethod
    def from_pandas(cls, table: pandas.DataFrame, photo_hw: tuple[int, int] | None = None) -> MaskSet:
        """The masks of a table that has COCO RLE in its column ``segmentation``."""
        from everymask.interop import tables

        return tables.from_pandas(table, photo_hw)

    def to_supervision(self) -> supervision.Detections:
        """``supervision.Detections`` with masks, boxes, names and confidences; needs supervision."""
        from everymask.interop import supervision

        return supervision.to_supervision(self)

    @classmethod
    def from_supervision(cls, detections: supervision.Detections) -> MaskSet:
        """The masks of ``supervision.Detections``."""
        from everymask.interop import supervision

        return supervision.from_supervision(detections)

    def to_fiftyone(self) -> fiftyone.Detections:
        """FiftyOne ``Detections``, to be set on a sample; needs fiftyone."""
        from everymask.interop import fiftyone

        return fiftyone.to_fiftyone(self)

    @classmethod
    def from_fiftyone(cls, detections: fiftyone.Detections, photo_hw: tuple[int, int]) -> MaskSet:
        """The masks of FiftyOne ``Detections`` on a photo of ``photo_hw`` (height, width) in pixels."""
        from everymask.interop import fiftyone

        return fiftyone.from_fiftyone(detections, photo_hw)

    def to_shapely(self) -> list[MultiPolygon]:
        """A shapely MultiPolygon a mask, along its pixels' edges, holes included; needs shapely."""
        from everymask.interop import shapely

        return shapely.to_shapely(self)

    @classmethod
    def from_shapely(
        cls,
        geometries: Iterable[Any],
        photo_hw: tuple[int, int],
        labels: Sequence[str | None] | None = None,
    ) -> MaskSet:
        """The masks of shapely Polygons and MultiPolygons in pixels, filled where pixels' centres are."""
        from everymask.interop import shapely

        return shapely.from_shapely(geometries, photo_hw, labels)

    def to_coco(
        self, image_id: int = 1, categories: Mapping[str, int] | None = None, first_id: int = 1
    ) -> list[dict[str, Any]]:
        """COCO annotations of this photo, RLE; :meth:`save` writes whole COCO files.

        ``categories`` gives each label's number; by default the sorted labels from 1.
        """
        from everymask.interop import coco_annotations

        return coco_annotations.to_coco(self, image_id, categories, first_id)

    @classmethod
    def from_coco(
        cls,
        annotations: Iterable[Mapping[str, Any]],
        photo_hw: tuple[int, int],
        categories: Mapping[int, str] | None = None,
    ) -> MaskSet:
        """The masks of one photo's COCO annotations, RLE or polygons; ``categories`` names their numbers."""
        from everymask.interop import coco_annotations

        return coco_annotations.from_coco(annotations, photo_hw, categories)


def _rebuild_set(
    masks: tuple[Mask, ...], photo_hw: tuple[int, int], photo: Any, valid: Rle | None = None
) -> MaskSet:
    return MaskSet(masks, photo_hw, photo=photo, valid=valid)


def _merged(pool: MaskSet, merge: merging.Merge) -> Mask:
    """The mask that takes the place of some: one of the pool, or a new one that knows what they knew."""
    attributes = {"merged": [number + 1 for number in merge.numbers], "because": merge.because}
    if merge.by is not None:
        one = pool[merge.by]
        return one.replace(attributes={**one.attributes, **attributes})
    pieces = [pool[number] for number in merge.numbers]
    ious = [piece.predicted_iou for piece in pieces if piece.predicted_iou is not None]
    stable = [piece.stability_score for piece in pieces if piece.stability_score is not None]
    points = [point for piece in pieces for point in piece.point_coords or ()]
    return Mask(
        merge.mask,
        predicted_iou=min(ious) if len(ious) == len(pieces) else None,
        stability_score=min(stable) if len(stable) == len(pieces) else None,
        point_coords=points or None,
        crop_box=pieces[0].crop_box,
        label=pieces[0].label,
        attributes={**pieces[0].attributes, **attributes},
    )


def _checked_level(level: str) -> str:
    if level not in LEVELS:
        raise OptionError(f"a level is one of {', '.join(LEVELS)}, got {level!r}")
    return level


def _nonzero(segmentation: Any) -> np.ndarray:
    """Where pixels are not zero; refuses floats that are more than that."""
    try:
        pixels = np.asarray(segmentation)
    except ValueError as error:
        raise InputError("a mask must have shape (H, W), got rows of unequal length") from error
    marked = pixels != 0
    if pixels.dtype.kind == "f" and marked.any() and not (pixels[marked] == pixels.max()).all():
        raise InputError(
            f"a float mask must be 0 and one other value, got {pixels.min():g} to {pixels.max():g}; "
            "of logits pass logits > 0, of probabilities pass probabilities > 0.5"
        )
    return np.asarray(marked)


def _score(name: str, value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a number, got {value!r}") from error


def _points(point_coords: Any) -> tuple[tuple[float, float], ...] | None:
    if point_coords is None:
        return None
    try:
        return tuple((float(x), float(y)) for x, y in point_coords)
    except (TypeError, ValueError) as error:
        raise InputError(f"point_coords must be (x, y) pairs, got {point_coords!r}") from error


def _rebuild(runs: Rle, known: dict[str, Any]) -> Mask:
    return Mask(runs, **known)


def _segmentation_as(runs: Rle, output_mode: str) -> Any:
    if output_mode == "binary_mask":
        return runs_of.decode(runs)
    if output_mode == "coco_rle":
        return runs_of.to_coco(runs)
    if output_mode == "uncompressed_rle":
        return runs_of.to_uncompressed(runs)
    raise OptionError(f"output_mode must be one of {', '.join(OUTPUT_MODES)}, got {output_mode!r}")


def _score_of(key: str) -> Callable[[Mask], float]:
    if key not in SORT_KEYS:
        raise OptionError(f"a sort key must be one of {', '.join(SORT_KEYS)} or a function, got {key!r}")

    def score(mask: Mask) -> float:
        value = getattr(mask, key)
        if value is None:
            raise OptionError(f"these masks have no {key}: they do not come from a generator")
        return value

    return score


def _lies_inside(bbox_xywh: Sequence[float], box_xyxy: Sequence[float]) -> bool:
    x, y, width, height = bbox_xywh
    return x >= box_xyxy[0] and y >= box_xyxy[1] and x + width <= box_xyxy[2] and y + height <= box_xyxy[3]
