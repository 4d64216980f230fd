"""Parquet: one file for the run, one row a mask, for work at scale (extra ``parquet``).

The schema's metadata lists every photo, so that photos without masks are not lost.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import FormatError, one_line, require
from ..maskset import Mask, MaskSet
from .losses import Losses
from .mask_row import columns_of_a_mask, mask_of, row_of
from .photo_rows import is_by_photo, photos_of
from .raster import checked_size
from .record import PhotoMasks, WriteOptions

PHOTOS = b"everymask_photos"
ROWS_AT_ONCE = 10_000
"""Rows held before they are written as one row group."""


def schema(pyarrow: Any) -> Any:
    """The columns and their types."""
    return pyarrow.schema(
        {
            "image_id": pyarrow.int64(),
            "path": pyarrow.string(),
            "width": pyarrow.int32(),
            "height": pyarrow.int32(),
            **columns_of_a_mask(pyarrow),
            "model_hash": pyarrow.string(),
            "params_hash": pyarrow.string(),
        }
    )


def write(path: Path, photos: Iterable[PhotoMasks], options: WriteOptions) -> Losses:
    """All photos in one file, in row groups of 10,000: a run of any length fits in memory."""
    pyarrow = require("pyarrow", "parquet", "writing Parquet")
    parquet = require("pyarrow.parquet", "parquet", "writing Parquet")
    listed: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    with parquet.ParquetWriter(path, schema(pyarrow), compression="zstd") as file:
        for image_id, photo in enumerate(photos, 1):
            height, width = photo.photo_hw
            listed.append({"image_id": image_id, "path": photo.photo, "width": width, "height": height})
            for mask in photo.masks:
                rows.append(_row(mask, photo, listed[-1]))
                if len(rows) >= ROWS_AT_ONCE:
                    file.write_table(pyarrow.Table.from_pylist(rows, schema(pyarrow)))
                    rows = []
        file.write_table(pyarrow.Table.from_pylist(rows, schema(pyarrow)))
        file.add_key_value_metadata({PHOTOS: json.dumps(listed).encode()})
    return Losses()


def _row(mask: Mask, photo: PhotoMasks, image: dict[str, Any]) -> dict[str, Any]:
    return {
        **image,
        **row_of(mask),
        "model_hash": photo.model_hash,
        "params_hash": photo.params_hash,
    }


def stream(path: Path) -> Iterator[PhotoMasks]:
    """The photos of a file with a row a photo (:func:`holds_photos`), a few in memory at a time."""
    parquet = require("pyarrow.parquet", "parquet", "reading Parquet")
    with parquet.ParquetFile(path) as file:
        yield from photos_of(file, str(path))


def holds_photos(path: Path) -> tuple[int, int] | None:
    """Of a Parquet file with a row a photo: how many have masks, and how many an error instead. None for a
    file of another kind, or none."""
    pyarrow = require("pyarrow", "parquet", "reading Parquet")
    parquet = require("pyarrow.parquet", "parquet", "reading Parquet")
    try:
        with parquet.ParquetFile(path) as file:
            if not is_by_photo(file.schema_arrow.names):
                return None
            errors = file.read(columns=["error"]).column("error")
    except (OSError, pyarrow.ArrowException):
        return None
    return errors.null_count, len(errors) - errors.null_count


def read(path: Path, photo_hw: tuple[int, int] | None = None) -> list[PhotoMasks]:
    """The masks of every photo in the file."""
    pyarrow = require("pyarrow", "parquet", "reading Parquet")
    parquet = require("pyarrow.parquet", "parquet", "reading Parquet")
    try:
        with parquet.ParquetFile(path) as file:
            if is_by_photo(file.schema_arrow.names):
                return list(photos_of(file, str(path)))
            table, metadata = file.read(), file.metadata.metadata or {}
    except (OSError, pyarrow.ArrowException) as error:
        raise FormatError(f"{path} is not a Parquet file: {one_line(error)}") from error
    if missing := {"image_id", "path", "width", "height", "rle_counts"} - set(table.column_names):
        raise FormatError(
            f"{path} has no column {sorted(missing)[0]!r}; it holds {', '.join(table.column_names)}"
        )
    rows_of_image = defaultdict(list)
    for row in table.to_pylist():
        rows_of_image[row["image_id"]].append(row)
    images = (
        json.loads(metadata[PHOTOS]) if PHOTOS in metadata else [rows[0] for rows in rows_of_image.values()]
    )
    return [_photo(image, rows_of_image[image["image_id"]], path) for image in images]


def _photo(image: dict[str, Any], rows: list[dict[str, Any]], path: Path) -> PhotoMasks:
    size = checked_size(image["height"], image["width"], f"{image['path']} in {path}")
    masks = [mask_of(row, size, f"a mask of {image['path']} in {path}") for row in rows]
    first = rows[0] if rows else {}
    hashes = (first.get("model_hash") or "", first.get("params_hash") or "")
    return PhotoMasks(image["path"], MaskSet(masks, photo_hw=size), None, *hashes)
