"""Parquet with one row a clip: what ``everymask batch --work track`` writes, by parts (extra ``parquet``).

The masks of all frames are a list in the clip's row, so that a clip is there whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import FormatError, one_line, require
from ..masks.rle import to_coco
from .photo_rows import PhotoRow, about, row_columns
from .raster import checked_size
from .record import rle_of
from .video_record import ClipMasks, ObjectMask


def schema() -> Any:
    """The columns and their types."""
    pyarrow = require("pyarrow", "parquet", "Parquet")
    an_object = pyarrow.struct({"object": pyarrow.int32(), "name": pyarrow.string()})
    mask = pyarrow.struct(
        {
            "frame": pyarrow.int32(),
            "object": pyarrow.int32(),
            "rle_counts": pyarrow.string(),
            "bbox": pyarrow.list_(pyarrow.int32(), 4),
            "area": pyarrow.int64(),
            "score": pyarrow.float64(),
            "visibility": pyarrow.float64(),
        }
    )
    found = {
        "frames": pyarrow.int32(),
        "frames_per_second": pyarrow.float64(),
        "tracked": pyarrow.list_(pyarrow.int32()),
        "objects": pyarrow.list_(an_object),
        "masks": pyarrow.list_(mask),
    }
    return pyarrow.schema(row_columns(pyarrow, "clip", found))


def to_table(rows: Sequence[PhotoRow]) -> Any:
    """The rows as a ``pyarrow.Table``; frames count from 1 in it, as people count them."""
    pyarrow = require("pyarrow", "parquet", "writing Parquet")
    return pyarrow.Table.from_pylist([_plain(row) for row in rows], schema())


def _plain(row: PhotoRow) -> dict[str, Any]:
    values = about(row, "clip")
    clip: ClipMasks | None = row.masks
    if clip is None:
        return values
    return {
        **values,
        "width": clip.frame_hw[1],
        "height": clip.frame_hw[0],
        "frames": clip.length,
        "frames_per_second": clip.frames_per_second,
        "tracked": [frame + 1 for frame in sorted(clip.frames)],
        "objects": [{"object": number, "name": clip.names.get(number)} for number in clip.object_ids],
        "masks": [
            {
                "frame": frame + 1,
                "object": number,
                "rle_counts": to_coco(mask.rle)["counts"],
                "bbox": list(mask.bbox_xywh),
                "area": mask.rle.area,
                "score": mask.score,
                "visibility": mask.visibility,
            }
            for frame in sorted(clip.frames)
            for number, mask in sorted(clip.frames[frame].items())
        ],
    }


def is_by_clip(columns: Iterable[str]) -> bool:
    """Whether a Parquet file with these columns has a row a clip."""
    return {"clip", "masks", "error", "frames"} <= set(columns)


def holds_clips(path: Path) -> bool:
    """Whether a file is Parquet with a row a clip."""
    pyarrow = require("pyarrow", "parquet", "reading Parquet")
    parquet = require("pyarrow.parquet", "parquet", "reading Parquet")
    try:
        return is_by_clip(parquet.read_schema(path).names)
    except (OSError, pyarrow.ArrowException):
        return False


def clips_of(path: Path) -> Iterator[ClipMasks]:
    """The clips of a file, one in memory at a time; those that could not be done are left out.

    Raises :class:`FormatError` for another file, and for a row that contradicts itself.
    """
    pyarrow = require("pyarrow", "parquet", "reading Parquet")
    parquet = require("pyarrow.parquet", "parquet", "reading Parquet")
    try:
        with parquet.ParquetFile(path) as file:
            if not is_by_clip(file.schema_arrow.names):
                raise FormatError(
                    f"{path} has no row a clip; its columns: {', '.join(file.schema_arrow.names)}"
                )
            for batch in file.iter_batches(batch_size=1):
                yield from (_clip_of(row, str(path)) for row in batch.to_pylist() if row["masks"] is not None)
    except (OSError, pyarrow.ArrowException) as error:
        raise FormatError(f"{path} is not a Parquet file: {one_line(error)}") from error


def _clip_of(row: Mapping[str, Any], where: str) -> ClipMasks:
    name = row["clip"]
    if not isinstance(name, str):
        raise FormatError(f"a row of {where} has no name of a clip")
    size = checked_size(row["height"], row["width"], f"{name} in {where}")
    frames: dict[int, dict[int, ObjectMask]] = {frame - 1: {} for frame in row["tracked"]}
    for each in row["masks"]:
        told = f"object {each['object']} on frame {each['frame']} of {name} in {where}"
        runs = rle_of({"size": size, "counts": each["rle_counts"]}, told, size)
        if each["frame"] - 1 not in frames:
            raise FormatError(f"{told}: that frame was not tracked")
        frames[each["frame"] - 1][each["object"]] = ObjectMask(runs, each["score"], each["visibility"])
    names = {each["object"]: each["name"] for each in row["objects"] if each["name"]}
    return ClipMasks(name, size, row["frames"], row["frames_per_second"], frames, names)
