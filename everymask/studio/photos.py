"""The photos of a session: which files may be read, their pixels as tiles, their features, within limits.

A tile is a JPEG of at most 512 x 512 pixels of a level of the photo's pyramid: level 0 is the photo itself,
each further level half as large.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import cv2
import numpy as np
from PIL import UnidentifiedImageError

from everymask import ImagePredictor, InputError, PromptableModel, read_photo
from everymask.media.photos import Range, read_pixels
from everymask.media.picture_files import decoding, opened, read_file
from everymask.models.feature_cache import FeatureCache, default_cache
from everymask.opencv import encoded
from everymask.pillow import upright

from .prompting import Prompting

TILE = 512
THUMBNAIL = 192
JPEG_QUALITY = 90
PIXELS_LIMIT_BYTES = 1_500_000_000
FEATURES_LIMIT_BYTES = 512_000_000
SLOW_PARAMETERS = 20_000_000
"""Models with more are slower to encode a photo than to find its features on disk."""


@dataclass(frozen=True)
class View:
    """How a file becomes 8-bit pixels: which page, which range of values."""

    page: int | None = None
    range: Range = "percentile"


@dataclass(frozen=True)
class Source:
    """A photo of the session."""

    id: int
    path: Path
    name: str


@dataclass(eq=False)
class Picture:
    """The pixels of a photo under one view, and its pyramid, made level by level as it is asked for."""

    pixels: np.ndarray  # RGB uint8 [H, W, 3]
    valid: np.ndarray | None = None  # bool [H, W], where the file has data; None: everywhere
    _levels: list[np.ndarray] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.pixels.shape[:2]
        return height, width

    @property
    def nbytes(self) -> int:
        """Memory with the whole pyramid."""
        return self.pixels.nbytes * 4 // 3 + (0 if self.valid is None else self.valid.nbytes)

    @property
    def levels(self) -> int:
        """How many levels there are until one tile holds all."""
        return levels_of(self.hw)

    def level(self, number: int) -> np.ndarray:
        """The photo at a level, RGB uint8."""
        with self._lock:
            if not self._levels:
                self._levels.append(self.pixels)
            while len(self._levels) <= number:
                finer = self._levels[-1]
                size = ((finer.shape[1] + 1) // 2, (finer.shape[0] + 1) // 2)
                self._levels.append(cv2.resize(finer, size, interpolation=cv2.INTER_AREA))
            return self._levels[number]

    def tile(self, level: int, column: int, row: int) -> bytes:
        """A tile as JPEG. Raises InputError where there is none."""
        if not 0 <= level < self.levels:
            raise InputError(f"this photo has levels 0 to {self.levels - 1}, got {level}")
        pixels = self.level(level)
        part = pixels[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
        if row < 0 or column < 0 or part.size == 0:
            raise InputError(f"level {level} of this photo has no tile {column}, {row}")
        if self.valid is not None:
            step = 2**level
            rows = slice(row * TILE * step, (row + 1) * TILE * step, step)
            columns = slice(column * TILE * step, (column + 1) * TILE * step, step)
            part = hatched(part, self.valid[rows, columns])
        return jpeg(part)


HATCH = np.array([[44, 48, 56], [30, 33, 39]], np.uint8)
"""Colours of the stripes that stand where a raster has no data."""


def hatched(pixels: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """RGB uint8 [H, W, 3] with diagonal stripes where ``valid``, bool [H, W], is False."""
    if valid.all():
        return pixels
    down, across = np.nonzero(~valid)
    striped = pixels.copy()
    striped[down, across] = HATCH[(down + across) // 8 % 2]
    return striped


def levels_of(photo_hw: tuple[int, int]) -> int:
    """Levels of a pyramid whose last one fits into a tile.

    >>> levels_of((400, 512)), levels_of((400, 513))
    (1, 2)
    """
    levels, side = 1, max(photo_hw)
    while side > TILE:
        levels, side = levels + 1, (side + 1) // 2
    return levels


def jpeg(pixels: np.ndarray) -> bytes:
    """RGB uint8 [H, W, 3] as a JPEG file."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return encoded(bgr, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Values by key, the least recently used of them dropped when they are too large together."""

    def __init__(self, limit_bytes: int, size_of: Callable[[Value], int]) -> None:
        self.limit_bytes, self.size_of = limit_bytes, size_of
        self._values: OrderedDict[object, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: object) -> Value | None:
        """The value, which then counts as just used."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: object, value: Value) -> Value:
        """Keep a value; the last one stays however large it is."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > 1 and sum(map(self.size_of, self._values.values())) > self.limit_bytes:
                self._values.popitem(last=False)
            return value

    def __contains__(self, key: object) -> bool:
        return key in self._values


class Photos:
    """The photos that were opened on the command line or by hand, and nothing else."""

    def __init__(self, model: PromptableModel, limit_pixels: int = PIXELS_LIMIT_BYTES) -> None:
        self.model = model
        self._cache = default_cache() if _parameters(model) > SLOW_PARAMETERS else None
        self._sources: dict[int, Source] = {}
        self._views: dict[int, View] = {}
        self._pictures: Kept[Picture] = Kept(limit_pixels, lambda picture: picture.nbytes)
        self._prompting: Kept[Prompting] = Kept(FEATURES_LIMIT_BYTES, _features_bytes)
        self._thumbnails: Kept[bytes] = Kept(64_000_000, len)
        self._reading: dict[object, threading.Lock] = {}
        self._guard = threading.Lock()

    def add(self, source: Source) -> None:
        """Make a photo one of the session's."""
        self._sources[source.id] = source

    def __iter__(self) -> Iterator[Source]:
        return iter(list(self._sources.values()))

    def source(self, photo: int) -> Source:
        """The photo of this number. Raises KeyError where there is none."""
        return self._sources[photo]

    def view(self, photo: int) -> View:
        """How the photo is looked at."""
        return self._views.get(photo, View())

    def set_view(self, photo: int, view: View) -> Picture:
        """Look at the photo otherwise; raises PictureError, and the earlier view then stays."""
        picture = self._read(photo, view)
        self._views[photo] = view
        return picture

    def look_at(self, photo: int, view: View) -> None:
        """Look at the photo otherwise from the next time on that it is read."""
        self._views[photo] = view

    def picture(self, photo: int) -> Picture:
        """The pixels, read when they are not in memory. Raises PictureError."""
        return self._read(photo, self.view(photo))

    def is_encoded(self, photo: int) -> bool:
        """Whether prompts on the photo can be answered at once."""
        return (photo, self.view(photo)) in self._prompting

    def encoded(self) -> list[int]:
        """The photos on which prompts can be answered at once."""
        return [source.id for source in self if self.is_encoded(source.id)]

    def prompting(self, photo: int) -> Prompting:
        """What answers prompts on the photo, which is encoded when it was not yet."""
        key = photo, self.view(photo)
        return self.prompting_on(key, lambda: self.picture(photo), self._cache)

    def prompting_on(
        self, key: object, read: Callable[[], Picture], cache: FeatureCache | None = None
    ) -> Prompting:
        """What answers prompts on a picture known by ``key``; it is read and encoded when it was not yet."""
        known = self._prompting.get(key)
        if known is not None:
            return known
        predictor = ImagePredictor(self.model, cache=cache)
        picture = read()
        predictor.set_image(picture.pixels)
        return self._prompting.put(key, Prompting(predictor, picture.valid))

    def thumbnail(self, photo: int) -> bytes:
        """A small JPEG. Raises PictureError."""
        known = self._thumbnails.get(photo)
        return known or self._thumbnails.put(photo, _thumbnail(self.source(photo).path, self.view(photo)))

    def _read(self, photo: int, view: View) -> Picture:
        key = photo, view
        known = self._pictures.get(key)
        if known is not None:
            return known
        with self._guard:
            lock = self._reading.setdefault(key, threading.Lock())
        with lock:  # tiles come many at a time; the file is read once
            known = self._pictures.get(key)
            if known is not None:
                return known
            read = read_pixels(self.source(photo).path, range=view.range, page=view.page)
            return self._pictures.put(key, Picture(read.values, read.valid))


def within(path: Path, folder: Path) -> bool:
    """Whether a file lies in a folder once every link is followed."""
    return path.resolve().is_relative_to(folder.resolve())


def pages_of(path: Path) -> int:
    """How many pages or frames a file has."""
    with decoding(path.name):
        try:
            with opened(path) as file:
                return 1 if file.format == "MPO" else getattr(file, "n_frames", 1)
        except UnidentifiedImageError:
            return 1  # rasterio or OpenCV reads it


def depth_of(path: Path, page: int | None) -> dict[str, object]:
    """What a file holds that 8 bits do not: its pages, and the range of its values with a histogram."""
    pages = pages_of(path)
    pixels = read_file(path, page if pages > 1 else None)
    values = pixels.values if pixels.valid is None else pixels.values[pixels.valid]
    facts: dict[str, object] = {"pages": pages, "dtype": str(values.dtype)}
    if pixels.valid is not None:
        facts["nodata"] = round(1 - float(pixels.valid.mean()), 4)
    if values.dtype not in (np.uint8, np.bool_):
        finite = values[np.isfinite(values)]
        if finite.size:
            counts, _ = np.histogram(finite, 64)
            low, high = float(finite.min()), float(finite.max())
            facts |= {"low": low, "high": high, "histogram": counts.tolist()}
    return facts


def _thumbnail(path: Path, view: View) -> bytes:
    try:
        with decoding(path.name), opened(path) as file:
            if view == View() and file.mode in ("RGB", "L", "P") and getattr(file, "n_frames", 1) == 1:
                file.draft(
                    "RGB", (2 * THUMBNAIL, 2 * THUMBNAIL)
                )  # a JPEG is decoded at an eighth of its size
                small = upright(file).convert("RGB")
                small.thumbnail((THUMBNAIL, THUMBNAIL))
                target = io.BytesIO()
                small.save(target, "JPEG", quality=85)
                return target.getvalue()
    except InputError:
        pass  # read_photo below knows more formats, and says what is wrong
    pixels = read_photo(path, range=view.range, page=view.page or 0)
    scale = min(1.0, THUMBNAIL / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return jpeg(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def _parameters(model: PromptableModel) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _features_bytes(prompting: Prompting) -> int:
    (photo,) = prompting.predictor.photos
    features = photo.features
    tensors = [features.embedding, *features.high_res, *features.early]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
