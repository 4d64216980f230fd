"""Stacks of microscopes: ImageJ hyperstacks and OME-TIFF, whose pages are frames times channels (tifffile).

A frame is a time and a depth, in the file's order; its channels are what ``bands`` chooses, from 1. A picture
library sees pages only, and would take the second channel for the second frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from everymask.errors import OptionError, PictureError, one_line, require
from everymask.media.rasters import check_bands
from everymask.quiet import unlogged
from everymask.tiff_tags import read_description

PICTURE_AXES = "YXS"
"""Rows, columns, and samples of a colour pixel; the others count frames, but for C, channels."""
_COUNTS = re.compile(r"(?:^channels=|SizeC=\"|^slices=|^frames=|SizeZ=\"|SizeT=\")(\d+)", re.MULTILINE)


def is_stack(path: Path) -> bool:
    """Whether a file says of itself that it is a hyperstack of more than one channel, depth or time."""
    try:
        with path.open("rb") as file:
            text = read_description(file)
    except OSError:
        return False
    named = text.startswith("ImageJ=") or ("<OME" in text and "openmicroscopy.org" in text)
    return named and any(int(count) > 1 for count in _COUNTS.findall(text))


@dataclass(frozen=True)
class Stack:
    """An opened stack."""

    series: Any
    name: str

    @property
    def axes(self) -> dict[str, int]:
        """The length of each axis, in the file's order, all but that of a colour pixel's samples."""
        return {
            axis: length
            for axis, length in zip(self.series.axes, self.series.shape, strict=True)
            if axis not in PICTURE_AXES
        }

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width."""
        shape = dict(zip(self.series.axes, self.series.shape, strict=True))
        return shape["Y"], shape["X"]

    @property
    def channels(self) -> int:
        return self.axes.get("C", 1)

    @property
    def frames(self) -> int:
        """Times and depths."""
        return int(np.prod([length for axis, length in self.axes.items() if axis != "C"], dtype=int))

    def read(self, frame: int, bands: Sequence[int] | None) -> np.ndarray:
        """A frame (from 0), [H, W] or [H, W, 3 | 4]. Raises PictureError where channels leave a choice."""
        channels = self._chosen(bands)
        lengths = [length for axis, length in self.axes.items() if axis != "C"]
        where = dict(
            zip((axis for axis in self.axes if axis != "C"), np.unravel_index(frame, lengths), strict=True)
        )
        planes = [self._plane({**where, "C": channel}) for channel in channels]
        return planes[0] if len(planes) == 1 else np.stack(planes, axis=-1)

    def _plane(self, where: dict[str, Any]) -> np.ndarray:
        """One page: [H, W], or [H, W, samples]."""
        at = [int(where[axis]) for axis in self.axes]
        number = int(np.ravel_multi_index(at, tuple(self.axes.values()))) if at else 0
        if self.series.dataoffset is not None:  # one block of numbers: read this plane of it alone
            height, width = self.hw
            samples = [self.series.shape[-1]] if self.series.axes.endswith("S") else []
            size = int(np.prod([height, width, *samples]))
            parent = self.series.parent
            kind = np.dtype(f"{parent.byteorder}{self.series.dtype.char}")
            handle = parent.filehandle
            handle.seek(self.series.dataoffset + number * size * kind.itemsize)
            values = np.frombuffer(handle.read(size * kind.itemsize), kind)
            return values.reshape(height, width, *samples).astype(kind.newbyteorder("="))
        values = self.series.pages[number].asarray()
        return np.moveaxis(values, 0, -1) if values.ndim == 3 and values.shape[1:] == self.hw else values

    def _chosen(self, bands: Sequence[int] | None) -> list[int]:
        if bands is not None:
            numbers = check_bands(bands)
            if max(numbers) > self.channels:
                raise OptionError(f"{self.name!r} has {self.channels} channels, there is no {max(numbers)}")
            return [number - 1 for number in numbers]
        if self.channels in (1, 3):
            return list(range(self.channels))
        raise PictureError(
            f"{self.name!r} has {self.channels} channels; say which one or three make the picture: "
            "bands=(1,), or --bands 1 in the shell"
        )


@contextmanager
def opened_stack(path: Path) -> Iterator[Stack]:
    """A file as a stack. Raises MissingExtraError, PictureError."""
    tifffile = require("tifffile", "stacks", f"reading the hyperstack {path.name}")
    try:
        with unlogged("tifffile"), tifffile.TiffFile(path) as file:
            series = file.series[0]
            if not {"Y", "X"} <= set(series.axes):
                raise PictureError(f"{str(path)!r} has axes {series.axes}, none of a picture")
            yield Stack(series, str(path))
    except tifffile.TiffFileError as error:
        raise PictureError(f"{str(path)!r} cannot be decoded: {one_line(error)}") from error
