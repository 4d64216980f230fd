"""The formats by name: what each can hold, and the file that reads and writes it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from ..errors import FormatError

FIELDS = ("predicted_iou", "stability_score", "point_coords", "crop_box", "label", "attributes")
"""What a mask may know besides its pixels."""
ALL = frozenset(FIELDS)
ALL_BUT_LABEL = ALL - {"label", "attributes"}


@dataclass(frozen=True)
class Format:
    """One way to write masks."""

    name: str
    module: str
    """The file in this folder, imported when the format is used."""
    suffix: str
    """Of the file; empty for a folder."""
    per: Literal["photo", "run"]
    """A file for each photo, or one for all of them."""
    for_what: str
    fields: frozenset[str] = ALL
    """What it has a place for, besides pixels."""
    texts: tuple[str, ...] | None = None
    """Where it holds attributes that are texts: the names of those that it holds whatever they are."""
    holds_overlaps: bool = True
    holds_holes: bool = True
    """Holes and masks of several parts."""
    holds_empty: bool = True
    """Masks without a pixel."""
    on_map: bool = False
    """Whether it carries a georeference."""
    extra: str | None = None
    """The optional dependencies it needs."""

    def load(self) -> ModuleType:
        """The module with this format's ``read`` and ``write``."""
        return importlib.import_module(f"{__package__}.{self.module}")


NOTHING: frozenset[str] = frozenset()
ONLY_LABEL = frozenset({"label"})

_TABLE = (
    Format("amg", "amg_folder", "", "photo", "PNGs and a table, as amg.py writes", ALL_BUT_LABEL),
    Format("amg-rle", "amg_rle", ".json", "photo", "the generator's list of dicts", ALL_BUT_LABEL),
    Format("sa1b", "sa1b", ".json", "photo", "the layout of the SA-1B data set", ALL_BUT_LABEL),
    Format("coco", "coco", ".json", "run", "detection and segmentation training"),
    Format("coco-polygons", "coco_polygons", ".json", "run", "COCO with polygons in the place of RLE"),
    Format(
        *("coco-panoptic", "coco_panoptic", "", "run", "panoptic COCO: a JSON and PNGs, in a folder"),
        ONLY_LABEL,
        holds_overlaps=False,
        holds_empty=False,
    ),
    Format(
        *("voc", "voc", "", "run", "Pascal VOC: PNGs of objects and classes, in a folder", ONLY_LABEL),
        holds_overlaps=False,
        holds_empty=False,
    ),
    Format(
        *("dota", "dota", ".txt", "photo", "turned boxes, as the DOTA data set has them", ONLY_LABEL),
        holds_holes=False,
        holds_empty=False,
    ),
    Format(
        "yolo",
        "yolo",
        ".txt",
        "photo",
        "Ultralytics training",
        ONLY_LABEL,
        holds_holes=False,
        holds_empty=False,
    ),
    Format("labelme", "labelme", ".json", "photo", "correcting by hand in LabelMe", holds_empty=False),
    Format(
        *("cvat", "cvat", ".xml", "run", "correcting by hand in CVAT", ONLY_LABEL),
        texts=("occluded", "group_id"),
        holds_empty=False,
    ),
    Format("label-studio", "label_studio", ".json", "run", "correcting by hand in Label Studio"),
    Format(
        *("labelmap", "label_map", ".png", "photo", "one picture of mask numbers", NOTHING),
        holds_overlaps=False,
        holds_empty=False,
    ),
    Format(
        *("labelmap-tiff", "label_map", ".tif", "photo", "the same as TIFF or GeoTIFF", NOTHING),
        holds_overlaps=False,
        holds_empty=False,
        on_map=True,
    ),
    Format(
        *("geojson", "geojson", ".geojson", "photo", "polygons for maps and QuPath"),
        holds_empty=False,
        on_map=True,
    ),
    Format(
        *("geopackage", "geopackage", ".gpkg", "photo", "polygons for GIS"),
        holds_empty=False,
        on_map=True,
        extra="geo",
    ),
    Format("parquet", "parquet", ".parquet", "run", "data work at scale", extra="parquet"),
)

FORMATS: dict[str, Format] = {format_.name: format_ for format_ in _TABLE}

_BY_SUFFIX = {
    ".json": "coco",
    ".txt": "yolo",
    ".xml": "cvat",
    ".png": "labelmap",
    ".tif": "labelmap-tiff",
    ".tiff": "labelmap-tiff",
    ".geojson": "geojson",
    ".gpkg": "geopackage",
    ".parquet": "parquet",
    "": "amg",
}


def find_format(name: str) -> Format:
    """The format of this name. Raises :class:`FormatError` with the names there are.

    >>> find_format("coco").suffix
    '.json'
    """
    if name not in FORMATS:
        raise FormatError(f"there is no format {name!r}; the formats are {', '.join(FORMATS)}")
    return FORMATS[name]


def format_of_suffix(suffix: str) -> Format:
    """What a file of this ending is written as when no format is named; ``.json`` is COCO, none a folder."""
    if suffix.lower() not in _BY_SUFFIX:
        raise FormatError(f"no format ends in {suffix!r}; say format=, one of {', '.join(FORMATS)}")
    return FORMATS[_BY_SUFFIX[suffix.lower()]]
