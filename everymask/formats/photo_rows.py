"""Parquet with one row a photo: what ``everymask batch`` writes, part by part (extra ``parquet``).

A photo's masks are a list in its row, so that a photo is there whole or not at all; a photo that could not be
done is a row as well, with ``error`` and without masks. DuckDB, Spark and pandas read the parts as one table.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import FormatError, require
from ..maskset import MaskSet
from .georeference import Georeference
from .mask_row import columns_of_a_mask, mask_of, row_of
from .raster import checked_size
from .record import PhotoMasks


@dataclass(frozen=True)
class PhotoRow:
    """One row: a photo, and its masks or why it has none."""

    ticket: bytes
    """Sixteen bytes that stand for this photo, as it was when the run was planned."""
    photo: str
    source: str
    """Where the photo was read from."""
    key: str = ""
    """SHA-256 of the photo's bytes and the settings: the same key, the same masks."""
    masks: Any = None
    """What was made of it: :class:`PhotoMasks`, of a clip ``ClipMasks``; None where nothing could be."""
    error: str = ""
    tries: int = 1
    seconds: float = 0.0
    """What reading, decoding and the model took."""
    worker: str = ""


def row_columns(pyarrow: Any, of: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Columns and their types of rows ``of`` photos or clips, what was ``found`` in the middle."""
    return {
        "ticket": pyarrow.binary(16),
        of: pyarrow.string(),
        "source": pyarrow.string(),
        "key": pyarrow.string(),
        "width": pyarrow.int32(),
        "height": pyarrow.int32(),
        **found,
        "error": pyarrow.string(),
        "tries": pyarrow.int16(),
        "seconds": pyarrow.float64(),
        "worker": pyarrow.string(),
    }


def schema() -> Any:
    """The columns and their types."""
    pyarrow = require("pyarrow", "parquet", "Parquet")
    mask = pyarrow.struct(columns_of_a_mask(pyarrow))
    found = {"masks": pyarrow.list_(mask), "georeference": pyarrow.string()}
    made_by = {"model_hash": pyarrow.string(), "params_hash": pyarrow.string()}
    return pyarrow.schema({**row_columns(pyarrow, "photo", found), **made_by})


def to_table(rows: Sequence[PhotoRow]) -> Any:
    """The rows as a ``pyarrow.Table``."""
    pyarrow = require("pyarrow", "parquet", "writing Parquet")
    return pyarrow.Table.from_pylist([_plain(row) for row in rows], schema())


def table_bytes(table: Any) -> bytes:
    """A table of these columns as one Parquet file."""
    parquet = require("pyarrow.parquet", "parquet", "writing Parquet")
    file = io.BytesIO()
    parquet.write_table(table, file, compression="zstd")
    return file.getvalue()


def about(row: PhotoRow, of: str) -> dict[str, Any]:
    """The columns that a row has whatever was found."""
    return {
        "ticket": row.ticket,
        of: row.photo,
        "source": row.source,
        "key": row.key,
        "error": row.error or None,
        "tries": row.tries,
        "seconds": row.seconds,
        "worker": row.worker,
    }


def _plain(row: PhotoRow) -> dict[str, Any]:
    values = about(row, "photo")
    if row.masks is None:
        return values
    height, width = row.masks.photo_hw
    place = row.masks.georeference
    return {
        **values,
        "width": width,
        "height": height,
        "masks": [row_of(mask) for mask in row.masks.masks],
        "georeference": None if place is None else json.dumps(asdict(place)),
        "model_hash": row.masks.model_hash,
        "params_hash": row.masks.params_hash,
    }


def is_by_photo(columns: Iterable[str]) -> bool:
    """Whether a Parquet file with these columns has a row a photo."""
    return {"photo", "masks", "error"} <= set(columns)


def photos_of(file: Any, where: str) -> Iterator[PhotoMasks]:
    """The photos with masks of an open ``pyarrow.parquet.ParquetFile``, a few rows in memory at a time.

    Photos that could not be done are left out.
    """
    for batch in file.iter_batches(batch_size=64):
        for row in batch.to_pylist():
            if row["masks"] is not None:
                yield photo_of(row, where)


def photo_of(row: Mapping[str, Any], where: str) -> PhotoMasks:
    """The photo of one row. Raises :class:`FormatError` where the row contradicts itself."""
    name = row["photo"]
    if not isinstance(name, str):
        raise FormatError(f"a row of {where} has no name of a photo")
    size = checked_size(row["height"], row["width"], f"{name} in {where}")
    masks = [mask_of(each, size, f"a mask of {name} in {where}") for each in row["masks"]]
    place = json.loads(row["georeference"]) if row.get("georeference") else None
    return PhotoMasks(
        name,
        MaskSet(masks, photo_hw=size),
        place and Georeference(tuple(place["affine"]), place["crs_wkt"]),
        row.get("model_hash") or "",
        row.get("params_hash") or "",
    )
