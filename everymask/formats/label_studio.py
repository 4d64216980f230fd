"""Label Studio json: tasks with predictions of brush labels, for its import as pre-annotations.

Its RLE is its own: a bit stream of runs over [H, W, 4] bytes (RGBA, all four the same), values 0 and 255.
The labelling configuration to go with the file::

    <View><Image name="image" value="$image"/>
      <BrushLabels name="tag" toName="image"><Label value="object"/></BrushLabels></View>
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ..maskset import Mask, MaskSet
from .losses import Losses
from .record import SIZE_HINT, PhotoMasks, WriteOptions, build_mask, category_of, label_of, scores_of
from .text import entry, read_json, want

CHANNELS = 4
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
    return {
        "id": f"mask{number}",
        "from_name": "tag",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "type": "brushlabels",
        **({"score": fields["predicted_iou"]} if "predicted_iou" in fields else {}),
        "meta": fields,
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
    bits = _Bits(stream)
    total, word = bits.take(32), bits.take(5) + 1
    sizes = [bits.take(4) + 1 for _ in LENGTH_BITS]
    height, width = photo_hw
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

    def __init__(self, stream: list[int]) -> None:
        self._text = "".join(f"{byte:08b}" for byte in stream)
        self._at = 0

    @property
    def exhausted(self) -> bool:
        return self._at > len(self._text)

    def take(self, count: int) -> int:
        text = self._text[self._at : self._at + count]
        self._at += count
        return int(text or "0", 2)


def read(path: Path, photo_hw: tuple[int, int] | None = None) -> list[PhotoMasks]:
    """The masks of every task: of its first annotation, or else its first prediction."""
    tasks = want(read_json(path), list, str(path))
    return [_photo(task, photo_hw, f"task {index} of {path}") for index, task in enumerate(tasks)]


def _photo(task: Any, photo_hw: tuple[int, int] | None, where: str) -> PhotoMasks:
    results = list(_brushes(task))
    masks = [_mask(result, f"result {index} of {where}") for index, result in enumerate(results)]
    name = str(entry(task, "data", dict, where).get("image", ""))
    return PhotoMasks(name, MaskSet(masks, photo_hw=_size(task, results, photo_hw, where)))


def _brushes(task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    answers = task.get("annotations") or task.get("predictions") or [{"result": []}]
    for result in answers[0].get("result", []):
        if result.get("type") == "brushlabels":
            yield result


def _size(
    task: dict[str, Any], results: list[dict[str, Any]], photo_hw: tuple[int, int] | None, where: str
) -> tuple[int, int]:
    known = next(iter(results), None) or task.get("meta") or {}
    if "original_height" in known and "original_width" in known:
        return int(known["original_height"]), int(known["original_width"])
    if photo_hw is None:
        raise FormatError(f"{where} has no masks and so does not say the photo's size; give {SIZE_HINT}")
    return photo_hw


def _mask(result: dict[str, Any], where: str) -> Mask:
    size = (entry(result, "original_height", int, where), entry(result, "original_width", int, where))
    value = entry(result, "value", dict, where)
    pixels = decode(entry(value, "rle", list, where), size, where)
    labels = value.get("brushlabels") or [None]
    fields = {"predicted_iou": result.get("score"), **(result.get("meta") or {})}
    return build_mask(pixels, fields, label_of(labels[0]), where)
