"""Which format a file is in, by its ending and, for JSON, by what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import FormatError
from .table import FORMATS, Format, format_of_suffix
from .text import read_json


def recognise(path: Path) -> Format:
    """The format of a file or folder of masks. Raises :class:`FormatError` when it is none we know."""
    if not path.exists():
        raise FormatError(f"there is no file {path}")
    if path.is_dir():
        if not (path / "metadata.csv").is_file():
            raise FormatError(f"{path} is a folder without the metadata.csv of an amg folder")
        return FORMATS["amg"]
    if path.suffix.lower() == ".json":
        return FORMATS[_json_format(read_json(path), path)]
    return format_of_suffix(path.suffix)


def _is_task(first: dict[str, Any]) -> bool:
    """Whether the first of a list is a task of Label Studio, or one of its JSON-MIN export."""
    return "data" in first or "annotation_id" in first or "annotator" in first


def _json_format(content: Any, path: Path) -> str:
    if isinstance(content, list):
        first = content[0] if content and isinstance(content[0], dict) else {}
        own = first.get("segmentation")
        return "amg-rle" if own is not None or not first or not _is_task(first) else "label-studio"
    keys = set(content) if isinstance(content, dict) else set()
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
