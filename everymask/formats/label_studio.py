"""Label Studio json: tasks with predictions of brush labels, for its import as pre-annotations.

Its RLE is its own: a bit stream of runs over [H, W, 4] bytes (RGBA, all four the same), values 0 and 255.
The labelling configuration to go with the file::

    <View><Image name="image" value="$image"/>
      <BrushLabels name="tag" toName="image"><Label value="object"/></BrushLabels></View>
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ..masks import rle as runs_of
from ..masks.rle import Rle
from ..maskset import Mask, MaskSet
from .losses import Loss, Losses
from .raster import box_ring, checked_pairs, checked_ring, checked_size, ellipse_ring, rle_of_rings, turned
from .record import (
    PhotoMasks,
    SizeOf,
    WriteOptions,
    attributes_of,
    build_mask,
    category_of,
    label_of,
    plain_attributes,
    scores_of,
    size_said,
)
from .text import entry, read_json, want

CHANNELS = 4
BRUSH_LIMIT = 2**28
"""Pixels of the largest photo whose brushes are read: each takes four bytes a pixel."""
PICTURE = re.compile(r"\.(jpe?g|png|webp|tiff?|bmp|gif|heic|avif|jp2)$")
WITHOUT_A_SHAPE = {"choices", "textarea", "rating", "taxonomy", "labels"}
"""Results about a region or a photo, not areas of their own."""
LENGTH_BITS = (3, 4, 8, 16)
"""The four sizes in which the stream may give a run's length, chosen by two bits."""


def write(path: Path, photos: Iterable[PhotoMasks], options: WriteOptions) -> Losses:
    """One task a photo, each with one prediction that holds all its masks."""
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        separator = "\n"
        for photo in photos:
            text = json.dumps(_task(photo), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            file.write(separator + text)
            separator = ",\n"
        file.write("\n]\n")
    return Losses()


def _task(photo: PhotoMasks) -> dict[str, Any]:
    results = [_result(mask, number, photo.photo_hw) for number, mask in enumerate(photo.masks, 1)]
    return {
        "data": {"image": photo.photo},
        "predictions": [{"model_version": "everymask", "result": results}],
        "meta": {"original_height": photo.photo_hw[0], "original_width": photo.photo_hw[1]},
    }


def _result(mask: Mask, number: int, photo_hw: tuple[int, int]) -> dict[str, Any]:
    height, width = photo_hw
    fields = scores_of(mask)
    attributes = plain_attributes(mask)
    return {
        "id": f"mask{number}",
        "from_name": "tag",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "type": "brushlabels",
        **({"score": fields["predicted_iou"]} if "predicted_iou" in fields else {}),
        "meta": {**fields, **({"attributes": attributes} if attributes else {})},
        "value": {"format": "rle", "rle": encode(mask.segmentation), "brushlabels": [category_of(mask)]},
    }


def encode(pixels: np.ndarray) -> list[int]:
    """The bytes of Label Studio's bit stream for a mask, bool [H, W].

    >>> encode(np.array([[True, False]]))
    [0, 0, 0, 8, 57, 27, 252, 127, 241, 128, 0]
    """
    flat = (np.asarray(pixels).ravel() != 0).astype(np.int8)
    ends = np.append(np.flatnonzero(np.diff(flat)) + 1, flat.size)
    lengths = np.diff(ends, prepend=0) * CHANNELS
    values = flat[ends - 1].astype(np.int64) * 255
    header = [f"{flat.size * CHANNELS:032b}", f"{8 - 1:05b}", *(f"{bits - 1:04b}" for bits in LENGTH_BITS)]
    runs = [_run(int(length), int(value)) for length, value in zip(lengths, values, strict=True)]
    bits = "".join(header + runs)
    whole = bits + "0" * (
        8 - len(bits) % 8
    )  # always padded, by a whole byte if need be, as Label Studio does
    return list(int(whole, 2).to_bytes(len(whole) // 8, "big"))


def _run(length: int, value: int) -> str:
    """The bits of one run: for each piece of at most 65,536 a 1, the size's number, length - 1, the value."""
    pieces = []
    while length > 0:
        piece = min(length, 1 << LENGTH_BITS[-1])
        size = next(number for number, bits in enumerate(LENGTH_BITS) if piece <= 1 << bits)
        pieces.append(f"1{size:02b}{piece - 1:0{LENGTH_BITS[size]}b}{value:08b}")
        length -= piece
    return "".join(pieces)


def decode(stream: list[int], photo_hw: tuple[int, int], where: str) -> np.ndarray:
    """The pixels, bool [H, W], of a bit stream; its alpha channel above 0 is the mask."""
    try:
        bits = _Bits(bytes(stream))
    except (TypeError, ValueError) as error:
        raise FormatError(f"{where} must be a list of bytes, 0 to 255: {error}") from error
    total, word = bits.take(32), bits.take(5) + 1
    sizes = [bits.take(4) + 1 for _ in LENGTH_BITS]
    height, width = photo_hw
    if height * width > BRUSH_LIMIT:
        raise FormatError(
            f"{where} is a brush on a photo of {width} x {height}; at most {BRUSH_LIMIT:,} pixels"
        )
    if total != height * width * CHANNELS:
        raise FormatError(
            f"{where} has {total} values, a photo of {height} x {width} needs {height * width * CHANNELS}"
        )
    out = np.zeros(total, dtype=np.uint8)
    start = 0
    while start < total:
        is_run = bits.take(1)
        end = start + bits.take(sizes[bits.take(2)]) + 1
        out[start:end] = bits.take(word) if is_run else [bits.take(word) for _ in range(end - start)]
        if end > total or bits.exhausted:
            raise FormatError(f"{where} ends in the middle of a run; the file is cut short or damaged")
        start = end
    return out.reshape(height, width, CHANNELS)[..., 3] > 0


class _Bits:
    """A reader of big-endian bit fields."""

    def __init__(self, stream: bytes) -> None:
        self._text = f"{int.from_bytes(stream):b}".zfill(8 * len(stream))
        self._at = 0

    @property
    def exhausted(self) -> bool:
        return self._at > len(self._text)

    def take(self, count: int) -> int:
        text = self._text[self._at : self._at + count]
        self._at += count
        return int(text or "0", 2)


def read(path: Path, photo_hw: tuple[int, int] | SizeOf | None = None) -> list[PhotoMasks]:
    """The masks of every task, of the JSON and the JSON-MIN export.

    All annotations that were not cancelled are read, or the predictions where there is none; brushes,
    polygons, rectangles and ellipses become masks. Where several annotators drew, each mask says whose it
    is (attributes ``annotation`` and ``completed_by``).
    """
    tasks = want(read_json(path), list, str(path))
    return [_photo(task, photo_hw, f"task {index} of {path}") for index, task in enumerate(tasks, 1)]


def _photo(task: Any, known: tuple[int, int] | SizeOf | None, where: str) -> PhotoMasks:
    data, answers, set_aside = _answers(want(task, dict, where), where)
    name = _photo_name(data, where)
    found = [
        (result, attributes)
        for results, attributes in answers
        for result in results
        if _shape_of(result) is not None
    ]
    others = sum(
        _shape_of(result) is None and result.get("type") not in WITHOUT_A_SHAPE
        for results, _ in answers
        for result in results
    )
    size = _size(task, [result for result, _ in found], where) or size_said(known, name, where)
    labels = _labels_by_region([result for results, _ in answers for result in results])
    masks = [
        _mask(result, size, labels, attributes, f"result {index} of {where}")
        for index, (result, attributes) in enumerate(found, 1)
    ]
    lost = [Loss("unread", others, detail="points, lines and relations")] * bool(others)
    lost += [Loss("unread", set_aside, detail="predictions beside annotations")] * bool(set_aside)
    return PhotoMasks(name, MaskSet(masks, photo_hw=size), unread=Losses(tuple(lost)))


Answer = tuple[list[dict[str, Any]], dict[str, Any]]
"""The results of one annotation, and what to note on each of its masks."""


def _answers(task: dict[str, Any], where: str) -> tuple[dict[str, Any], list[Answer], int]:
    """The task's data, the annotations (or predictions) to read, and how many regions are set aside."""
    if "data" not in task:
        return _answers_of_json_min(task)
    data = entry(task, "data", dict, where)
    drawn = [
        each
        for each in _listed(task, "annotations", where) + _listed(task, "completions", where)
        if not each.get("was_cancelled")
    ]
    guessed = _listed(task, "predictions", where)
    if not drawn:
        return data, [(_results(each, where), {}) for each in guessed], 0
    notes = [
        {key: each[key] for key in ("id", "completed_by") if each.get(key) is not None} for each in drawn
    ]
    several = len(drawn) > 1
    answers = [
        (_results(each, where), _note(note) if several else {})
        for each, note in zip(drawn, notes, strict=True)
    ]
    taken_up = {each.get("parent_prediction") for each in drawn}
    return (
        data,
        answers,
        sum(
            len(_results(each, where))
            for each in guessed
            if each.get("id") is None or each["id"] not in taken_up
        ),
    )


def _note(known: dict[str, Any]) -> dict[str, Any]:
    return {("annotation" if key == "id" else key): value for key, value in known.items()}


def _listed(task: dict[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    return [want(each, dict, f"{key!r} of {where}") for each in want(task.get(key) or [], list, where)]


def _results(answer: dict[str, Any], where: str) -> list[dict[str, Any]]:
    results = want(answer.get("result") or [], list, f"'result' of {where}")
    return [want(result, dict, f"a result of {where}") for result in results]


def _answers_of_json_min(task: dict[str, Any]) -> tuple[dict[str, Any], list[Answer], int]:
    """JSON-MIN puts each control's regions beside the data, without ``value`` and ``type``."""
    regions: list[dict[str, Any]] = []
    data: dict[str, Any] = {}
    for key, value in task.items():
        if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            for each in value:
                kind = next((name for name in each if name.endswith("labels")), "unknown")
                regions.append({**each, "type": kind, "value": each})
        else:
            data[key] = value
    return data, [(regions, {})], 0


def _photo_name(data: dict[str, Any], where: str) -> str:
    """The photo of a task: under ``image``, or the value that looks like one, whatever it is called."""
    texts = {key: value for key, value in data.items() if isinstance(value, str) and value}
    pictures = [value for value in texts.values() if PICTURE.search(value.split("?")[0].lower())]
    for name in (texts.get("image"), *pictures, *(v for v in texts.values() if "/" in v), *texts.values()):
        if name:
            return name
    raise FormatError(f"{where} names no photo in its data (keys: {', '.join(map(str, data)) or 'none'})")


def _shape_of(result: dict[str, Any]) -> str | None:
    """The kind of area of a result, by its value; None for one without an area."""
    value = result.get("value")
    if not isinstance(value, dict):
        return None
    if "rle" in value:
        return "brush"
    if "points" in value and str(result.get("type", "polygon")).startswith("polygon"):
        return "polygon"
    if {"x", "y", "radiusX", "radiusY"} <= value.keys():
        return "ellipse"
    if {"x", "y", "width", "height"} <= value.keys() and "text" not in value:
        return "keypoint" if str(result.get("type", "")).startswith("keypoint") else "rectangle"
    return None


def _labels_by_region(results: list[dict[str, Any]]) -> dict[Any, str]:
    """Labels in results of their own, by the region's id: of ``<Labels>`` beside ``<Brush>``."""
    return {result.get("id"): label for result in results if (label := _label_in(result)) is not None}


def _label_in(result: dict[str, Any]) -> str | None:
    value = result.get("value")
    for key, names in value.items() if isinstance(value, dict) else ():
        if key.endswith("labels") and isinstance(names, list) and names:
            return str(names[0])
    return None


def _size(task: dict[str, Any], results: list[dict[str, Any]], where: str) -> tuple[int, int] | None:
    for known in (*results, task.get("meta") or {}):
        if isinstance(known, dict) and known.get("original_height") and known.get("original_width"):
            return checked_size(known["original_height"], known["original_width"], where)
    return None


def _mask(
    result: dict[str, Any],
    photo_hw: tuple[int, int],
    labels: dict[Any, str],
    attributes: dict[str, Any],
    where: str,
) -> Mask:
    if result.get("image_rotation"):
        raise FormatError(
            f"{where} was drawn on the photo turned by {result['image_rotation']} degrees, which is "
            "not read; turn it back in Label Studio and export again"
        )
    size = _size({}, [result], where) or photo_hw
    if size != photo_hw:
        raise FormatError(f"{where} is of {size[0]} x {size[1]} pixels, others of the task of {photo_hw}")
    value = entry(result, "value", dict, where)
    runs = _runs(_shape_of(result), value, size, where)
    meta = result.get("meta") if isinstance(result.get("meta"), dict) else {}
    fields = {"predicted_iou": result.get("score"), **(meta or {})}
    noted = attributes | attributes_of(fields.pop("attributes", None), where)
    label = _label_in(result) or labels.get(result.get("id"))
    return build_mask(runs, fields, label_of(label), where, noted)


def _runs(kind: str | None, value: dict[str, Any], photo_hw: tuple[int, int], where: str) -> Rle:
    """The pixels of a region; polygons, rectangles and ellipses are in percent of width and height."""
    if kind == "brush":
        return runs_of.encode(decode(entry(value, "rle", list, where), photo_hw, where))
    share = np.array(photo_hw[::-1]) / 100
    if kind == "polygon":
        ring = _percent(value["points"], where) * share
    else:
        names = ("x", "y", "width", "height") if kind == "rectangle" else ("x", "y", "radiusX", "radiusY")
        (x, y), size = _percent([[value[n] for n in names[:2]], [value[n] for n in names[2:]]], where) * share
        ring = ellipse_ring(x, y, *size) if kind == "ellipse" else box_ring(x, y, x + size[0], y + size[1])
        # Turned about the ellipse's middle, the rectangle's upper left corner.
        ring = turned(ring, float(_percent([[value.get("rotation") or 0, 0]], where)[0, 0]), (x, y))
    return rle_of_rings([checked_ring(ring, photo_hw, where)], photo_hw)


def _percent(points: Any, where: str) -> np.ndarray:
    return checked_pairs(points, where, fewest=1)
