"""DAVIS: a folder with one indexed PNG a frame, 00000.png, ...; the pixel's index is the object's id."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import FormatError
from ..masks.rle import encode
from .losses import Loss, Losses
from .video_record import ClipMasks, ObjectMask


def write(path: Path, clip: ClipMasks) -> Losses:
    """All tracked frames. Ids over 255 have no index: refused with a FormatError."""
    if clip.object_ids and (clip.object_ids[-1] > 255 or clip.object_ids[0] < 1):
        raise FormatError(
            f"DAVIS holds object ids 1 to 255, got {clip.object_ids[0]} to {clip.object_ids[-1]}; "
            "number the objects from 1"
        )
    path.mkdir(parents=True, exist_ok=True)
    palette = voc_palette().reshape(-1).tolist()
    masks, pixels = 0, 0
    for frame in sorted(clip.frames):
        labels, lost = clip.label_map(frame)
        masks, pixels = masks + len(lost), pixels + sum(lost.values())
        picture = Image.fromarray(labels.astype(np.uint8)).convert("P")
        picture.putpalette(palette)
        picture.save(path / f"{frame:05d}.png")
    return Losses((Loss("overlap", masks, pixels),)) if masks else Losses()


def read(path: Path) -> ClipMasks:
    """The masks of a folder of indexed PNGs; the files' numbers are the frames'."""
    files = sorted(path.glob("*.png"))
    if not files:
        raise FormatError(f"{path} holds no PNG files; a DAVIS folder has 00000.png, 00001.png, ...")
    frames: dict[int, dict[int, ObjectMask]] = {}
    for file in files:
        if not file.stem.isdecimal():
            raise FormatError(f"{file} must be named by its frame's number, like 00000.png")
        with Image.open(file) as picture:
            if picture.mode not in ("P", "L"):
                raise FormatError(f"{file} must hold indices (mode P), got mode {picture.mode}")
            labels = np.asarray(picture)
        frames[int(file.stem)] = {
            int(value): ObjectMask(encode(labels == value)) for value in np.unique(labels) if value
        }
    height, width = labels.shape
    return ClipMasks(path.name, (height, width), max(frames) + 1, frames=frames)


def voc_palette() -> np.ndarray:
    """The 256 colours that DAVIS and PASCAL VOC use, uint8 [256, 3].

    >>> voc_palette()[:3].tolist()
    [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    """
    numbers = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):  # bits 0, 1, 2 of the number, then 3, 4, 5, ... go to red, green, blue from the top
        for channel in range(3):
            colours[:, channel] |= (((numbers >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return colours
