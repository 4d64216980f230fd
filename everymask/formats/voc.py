"""Pascal VOC: ``SegmentationObject/`` and ``SegmentationClass/``, palette PNGs of object and class numbers.

0 is background, 255 is left out of scoring ("void"). ``labels.txt`` names the classes, line n the class n - 1
(as CVAT and datumaro write it, without colours); of more than 254 classes those that occur, as they come.
A PNG holds 254 objects, and a pixel one of them: masks must not overlap, and of more the largest are kept,
which is counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import FormatError, one_line
from ..maskset import Mask, MaskSet
from .classes import Classes
from .folder_names import FolderNames
from .losses import Loss, Losses
from .record import UNLABELLED, PhotoMasks, WriteOptions, build_mask, category_of, label_of
from .text import read_text

OBJECTS, CLASSES, LISTS, LABELS = (
    "SegmentationObject",
    "SegmentationClass",
    "ImageSets/Segmentation",
    "labels.txt",
)
BACKGROUND = "background"
VOID, MOST = 255, 254


def write(path: Path, photos: Iterable[PhotoMasks], options: WriteOptions) -> Losses:
    """The folder, one photo at a time; ``ImageSets/Segmentation/train.txt`` lists the photos."""
    names = sorted(options.categories.numbers, key=options.categories.numbers.__getitem__)
    few = names if len(names) <= MOST else []  # of more, those that occur
    numbers = {name: number for number, name in enumerate(few, 1)}
    files, stems, losses = FolderNames(), [], []
    for folder in (OBJECTS, CLASSES, LISTS):
        (path / folder).mkdir(parents=True)
    for photo in photos:
        file = files.new(photo.photo, ".png")
        stems.append(file.removesuffix(".png"))
        kept = _largest(photo.masks)
        losses.append(_left_out(photo.masks, kept))
        objects, classes = (np.zeros(photo.photo_hw, np.uint8) for _ in range(2))
        for number, mask in enumerate(kept, 1):
            objects[mask.extent][mask.crop()] = number
            classes[mask.extent][mask.crop()] = numbers.setdefault(category_of(mask), len(numbers) + 1)
            if len(numbers) > MOST:
                raise FormatError(
                    f"a PNG of Pascal VOC holds {MOST} classes, and there are more; leave out voc, or labels"
                )
        for folder, pixels in ((OBJECTS, objects), (CLASSES, classes)):
            _save(path / folder / file, pixels)
    (path / LABELS).write_text("\n".join([BACKGROUND, *numbers]) + "\n", "utf-8")
    (path / LISTS / "train.txt").write_text("".join(f"{stem}\n" for stem in stems), "utf-8")
    return Losses.total(losses)


def _largest(masks: MaskSet) -> list[Mask]:
    """The masks, or the 254 largest of them, in their order."""
    if len(masks) <= MOST:
        return list(masks)
    chosen = np.sort(np.argsort(-masks.areas, kind="stable")[:MOST])
    return [masks[int(number)] for number in chosen]


def _left_out(masks: MaskSet, kept: list[Mask]) -> Losses:
    lost = len(masks) - len(kept)
    pixels = int(masks.areas.sum()) - sum(mask.area for mask in kept)
    return Losses((Loss("too many", lost, pixels, f"{MOST} a photo"),)) if lost else Losses()


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels)
    picture.putpalette(palette())
    picture.save(path)


def palette() -> list[int]:
    """VOC's own 256 colours, r, g, b, r, g, b, ...: the bits of a number spread over three channels.

    >>> palette()[3:9], palette()[-3:]
    ([128, 0, 0, 0, 128, 0], [224, 224, 192])
    """
    return [
        sum((number >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8))
        for number in range(256)
        for channel in range(3)
    ]


def read(path: Path, photo_hw: tuple[int, int] | None = None) -> list[PhotoMasks]:
    """The masks of every photo, by object number; a mask's class is that of most of its pixels."""
    files = sorted((path / OBJECTS).rglob("*.png"))
    if not files:
        raise FormatError(f"{path} has no PNGs in {OBJECTS}/")
    names = _names(path)
    classes = Classes({name: number for number, name in names.items()}) if names else Classes()
    return [_photo(file, path, names, classes) for file in files]


def _names(path: Path) -> dict[int, str]:
    """The classes by number: a name a line, or ``name:r,g,b:...`` as CVAT and datumaro have it."""
    for name in (LABELS, "labelmap.txt"):
        if (path / name).is_file():
            lines = [
                line for line in read_text(path / name).splitlines() if line and not line.startswith("#")
            ]
            listed = [line.split(":")[0].strip() for line in lines]
            return {number: each for number, each in enumerate(listed) if each != BACKGROUND}
    return {}


def _photo(file: Path, folder: Path, names: dict[int, str], classes: Classes) -> PhotoMasks:
    relative = file.relative_to(folder / OBJECTS)
    objects = _numbers(file)
    beside = folder / CLASSES / relative
    of_class = _numbers(beside) if beside.is_file() else None
    if of_class is not None and of_class.shape != objects.shape:
        raise FormatError(f"{beside} is of another size than {file}")
    masks = []
    for number in np.unique(objects).tolist():
        if number in (0, VOID):
            continue
        pixels = objects == number
        label = UNLABELLED
        if of_class is not None:
            counted = np.bincount(of_class[pixels])
            label = names.get(int(counted.argmax()), str(int(counted.argmax())))
        masks.append(build_mask(pixels, {}, label_of(label)))
    photo = relative.with_suffix(".jpg").as_posix()
    return PhotoMasks(photo, MaskSet(masks, photo_hw=objects.shape), classes=classes)


def _numbers(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FormatError(f"{path} is not a readable PNG: {one_line(error)}") from error
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise FormatError(
            f"{path} must be a palette PNG of one channel, got shape {pixels.shape} of {pixels.dtype}"
        )
    return pixels
