"""What a table says of many clips: a row a click or box, CSV or Parquet.

clip,frame,object,x,y,label,x0,y0,x1,y1,name
a.mp4,1,1,210,350,1,,,,,ball
b.mp4,3,1,,,,40,60,200,180,
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import PromptError, require
from ..video.prompting import Said
from .storage import Place, told

COLUMNS = ("clip", "frame", "object", "x", "y", "label", "x0", "y0", "x1", "y1", "name")


@dataclass
class _Object:
    points: list[tuple[float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    box: tuple[float, ...] | None = None
    name: str | None = None


def read_prompt_table(table: str | os.PathLike[str]) -> dict[str, tuple[tuple[Said, str | None], ...]]:
    """By clip (its name in the rows) what is said of its objects, and what they are called.

    Frames count from 1, coordinates are pixels of the frame; ``object`` is 1 and ``label`` 1 where they are
    left out. Raises :class:`PromptError` that names the row.
    """
    place = Place.of(table)
    said: dict[str, dict[tuple[int, int], _Object]] = {}
    for number, row in enumerate(_rows(place), 1):
        where = f"row {number} of {place.name}"
        unknown = sorted(set(row) - set(COLUMNS))
        if unknown or not {"clip", "frame"} <= set(row):
            raise PromptError(f"{place.name} must have columns of {', '.join(COLUMNS)}; got {', '.join(row)}")
        clip = str(row["clip"] or "").strip()
        if not clip:
            raise PromptError(f"{where} names no clip")
        frame, number_ = _whole(row, "frame", where, None, 1), _whole(row, "object", where, 1, 0)
        of_object = said.setdefault(clip, {}).setdefault((frame - 1, number_), _Object())
        _add(of_object, row, where)
    if not said:
        raise PromptError(f"{place.name} holds no rows; write one a click or box")
    return {
        clip: tuple(
            (Said(frame, number, tuple(each.points), tuple(each.labels), each.box), each.name)
            for (frame, number), each in sorted(objects.items())
        )
        for clip, objects in said.items()
    }


def _add(to: _Object, row: Mapping[str, Any], where: str) -> None:
    point = _numbers(row, ("x", "y"), where)
    box = _numbers(row, ("x0", "y0", "x1", "y1"), where)
    if (point is None) == (box is None):
        raise PromptError(f"{where} must have a click (x, y) or a box (x0, y0, x1, y1), and not both")
    if point is not None:
        label = _whole(row, "label", where, 1, 0)
        if label not in (0, 1):
            raise PromptError(f"label of {where} is 1 (on the object) or 0 (off it), got {label}")
        to.points.append((point[0], point[1]))
        to.labels.append(label)
    elif to.box is not None:
        raise PromptError(f"{where} is a second box of its object on that frame; give it one")
    else:
        to.box = box
    to.name = str(row.get("name") or "").strip() or to.name


def _rows(place: Place) -> Iterator[Mapping[str, Any]]:
    try:
        content = place.read()
        if place.name.lower().endswith(".parquet"):
            parquet = require("pyarrow.parquet", "batch", "reading Parquet")
            yield from parquet.read_table(io.BytesIO(content)).to_pylist()
        else:
            yield from csv.DictReader(io.StringIO(content.decode("utf-8-sig")), strict=True)
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's own are ValueErrors as well
        raise PromptError(f"{place} cannot be read as a table (CSV or Parquet): {told(error)}") from error


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _numbers(row: Mapping[str, Any], names: tuple[str, ...], where: str) -> tuple[float, ...] | None:
    given = [row.get(name) for name in names]
    if all(_is_empty(each) for each in given):
        return None
    try:
        values = tuple(float(each) for each in given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        values = (math.nan,)
    if not all(math.isfinite(each) for each in values):
        raise PromptError(f"{', '.join(names)} of {where} must be numbers in pixels, got {given}")
    return values


def _whole(row: Mapping[str, Any], name: str, where: str, usual: int | None, least: int) -> int:
    value = row.get(name)
    if _is_empty(value) and usual is not None:
        return usual
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if number != number or number != int(number) or number < least:
        raise PromptError(f"{name} of {where} must be a whole number from {least}, got {value!r}")
    return int(number)
