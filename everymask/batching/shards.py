"""Many photos in one file: WebDataset's tar shards, and Parquet with pictures or their addresses.

A photo in a shard is found again by its place alone (a byte range, a row), so that any worker can fetch it.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError, require
from ..media.picture_files import PICTURE_SUFFIXES
from ..side_files import is_side_file, side_files
from .storage import Place, told

SHARD_SUFFIXES = (".tar", ".parquet")
ADDRESSES = ("path", "url", "uri", "file", "filename", "file_name", "image_path", "image_url")
"""Columns of text that hold addresses of pictures, by the names that data sets give them."""
READ_AHEAD = 1 << 20


@dataclass(frozen=True)
class Member:
    """A file of a tar file."""

    name: str
    start: int
    """Its first byte."""
    size: int
    beside: tuple[Member, ...] = ()
    """Those that say more of it."""


def photos_in_tar(place: Place, suffixes: Collection[str] = PICTURE_SUFFIXES) -> Iterator[Member]:
    """The pictures of a tar file, with the files beside them.

    Raises :class:`InputError` for a file that is none, or is compressed: its photos then have no
    place of their own.
    """
    try:
        with place.open(READ_AHEAD) as file, tarfile.open(fileobj=file, mode="r:") as shard:
            photos, sides = [], {}
            for member in shard:
                base = member.name.rsplit("/", 1)[-1]
                suffix = os.path.splitext(base)[1].lower()
                if not member.isreg() or base.startswith("."):
                    continue
                if suffix in suffixes:
                    photos.append((member.name, member.offset_data, member.size))
                elif is_side_file(base):
                    sides[member.name] = Member(member.name, member.offset_data, member.size)
    except tarfile.TarError as error:
        raise InputError(
            f"{place} is not a plain tar file ({told(error)}); a compressed one has to be unpacked first"
        ) from error
    for name, start, size in photos:
        folder, slash, base = name.rpartition("/")
        beside = (sides.get(f"{folder}{slash}{each}") for each in side_files(base))
        yield Member(name, start, size, tuple(each for each in beside if each is not None))


@dataclass(frozen=True)
class Row:
    """A photo in a Parquet file."""

    number: int
    at: str = ""
    size: int = -1
    address: str = ""
    """Where the picture is, if the row holds its address only."""


def photos_in_parquet(place: Place, column: str | None) -> Iterator[Row]:
    """The photos of a Parquet file, from its ``column`` or the only one that can be meant."""
    parquet = require("pyarrow.parquet", "batch", "reading Parquet")
    pyarrow = require("pyarrow", "batch", "reading Parquet")
    try:
        with place.open(READ_AHEAD) as raw, parquet.ParquetFile(raw) as file:
            name, holds_bytes = _column(file.schema_arrow, column, place)
            number = 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if holds_bytes:
                    size = _bytes_of(file.metadata.row_group(group), name) // max(rows, 1)
                    for row in range(rows):
                        yield Row(number + row, f"row {group} {row} {name}", size)
                else:
                    values = file.read_row_group(group, columns=[name]).column(0).to_pylist()
                    yield from (Row(number + row, address=value) for row, value in enumerate(values) if value)
                number += rows
    except pyarrow.ArrowException as error:
        raise InputError(f"{place} is not a Parquet file: {told(error)}") from error


def _bytes_of(group: Any, name: str) -> int:
    """Of the columns below ``name``, uncompressed."""
    columns = [group.column(index) for index in range(group.num_columns)]
    return sum(each.total_uncompressed_size for each in columns if each.path_in_schema.split(".")[0] == name)


def _column(schema: Any, asked: str | None, place: Place) -> tuple[str, bool]:
    """The column with pictures, and whether it holds them or their addresses."""
    kinds = {field.name: _kind(field.type) for field in schema}
    if asked is not None:
        if kinds.get(asked) is None:
            raise InputError(
                f"{place} has no column {asked!r} of pictures or addresses; its columns: {', '.join(kinds)}"
            )
        return asked, kinds[asked] == "bytes"
    pictures = [name for name, kind in kinds.items() if kind == "bytes"]
    addresses = [name for name in kinds if name.lower() in ADDRESSES and kinds[name] == "text"]
    chosen = pictures or addresses
    if len(chosen) != 1:
        found = f"{len(chosen)} columns that may hold pictures" if chosen else "no column of pictures"
        raise InputError(f"{place} has {found}; name one of {', '.join(kinds)} with --column")
    return chosen[0], bool(pictures)


def _kind(type_: Any) -> str | None:
    import pyarrow.types as types

    if types.is_struct(type_):  # as the datasets library keeps pictures: {bytes, path}
        names = [type_.field(index).name for index in range(type_.num_fields)]
        return "bytes" if "bytes" in names else None
    if types.is_binary(type_) or types.is_large_binary(type_):
        return "bytes"
    return "text" if types.is_string(type_) or types.is_large_string(type_) else None


def read_rows(place: Place, group: int, rows: Sequence[int], column: str) -> list[bytes | None]:
    """The pictures of some rows of a row group; None where a row has none."""
    parquet = require("pyarrow.parquet", "batch", "reading Parquet")
    with place.open(READ_AHEAD) as raw, parquet.ParquetFile(raw) as file:
        values = file.read_row_group(group, columns=[column]).column(0).take(list(rows)).to_pylist()
    return [value.get("bytes") if isinstance(value, dict) else value for value in values]
