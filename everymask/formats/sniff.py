"""Which format a file is in, by its ending and, for JSON, by what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import FormatError
from .dota import HEADERS
from .table import FORMATS, Format, format_of_suffix
from .text import read_json

FOLDERS = {"amg": "metadata.csv", "coco-panoptic": "panoptic.json", "voc": "SegmentationObject"}
"""What a folder of a format has in it."""


def is_mask_folder(path: Path) -> bool:
    """Whether a folder is masks of a format that is a folder."""
    return any((path / telling).exists() for telling in FOLDERS.values())


def recognise(path: Path) -> Format:
    """The format of a file or folder of masks. Raises :class:`FormatError` when it is none we know."""
    if not path.exists():
        raise FormatError(f"there is no file {path}")
    if path.is_dir():
        for name, telling in FOLDERS.items():
            if (path / telling).exists():
                return FORMATS[name]
        *names, last = FOLDERS.values()
        raise FormatError(f"{path} is a folder without {', '.join(names)} or {last}: no masks to read")
    if path.suffix.lower() == ".json":
        return FORMATS[_json_format(read_json(path), path)]
    if path.suffix.lower() == ".txt" and _has_dota_rows(path):
        return FORMATS["dota"]
    return format_of_suffix(path.suffix)


def _has_dota_rows(path: Path) -> bool:
    """Whether a text file has a class's name where YOLO has a number, or DOTA's own first lines."""
    with path.open("r", encoding="utf-8", errors="replace") as file:
        words = file.readline().split()
    return bool(words) and (
        words[0].lower().startswith(HEADERS) or (len(words) in (9, 10) and not _is_number(words[8]))
    )


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _is_task(first: dict[str, Any]) -> bool:
    """Whether the first of a list is a task of Label Studio, or one of its JSON-MIN export."""
    if "data" in first or "annotation_id" in first or "annotator" in first:
        return True
    controls = [value for value in first.values() if isinstance(value, list) and "segmentation" not in first]
    regions = [region for control in controls for region in control if isinstance(region, dict)]
    return any(str(key).endswith("labels") for region in regions for key in region)


def _json_format(content: Any, path: Path) -> str:
    if isinstance(content, list):
        first = content[0] if content and isinstance(content[0], dict) else {}
        own = first.get("segmentation")
        return "amg-rle" if own is not None or not first or not _is_task(first) else "label-studio"
    keys = set(content) if isinstance(content, dict) else set()
    rows = content.get("annotations") if isinstance(content, dict) else None
    if isinstance(rows, list) and rows and isinstance(rows[0], dict) and "segments_info" in rows[0]:
        return "coco-panoptic"
    for name, telling in (
        ("coco", {"images", "annotations"}),
        ("sa1b", {"image", "annotations"}),
        ("labelme", {"shapes"}),
        ("geojson", {"features"}),
    ):
        if telling <= keys:
            return name
    raise FormatError(
        f"{path} is none of the JSON formats of masks (its keys: {', '.join(sorted(keys)) or 'none'})"
    )
