"""A user's own photos with masks, as scenes to train on.

Masks come in any format that everymask reads (COCO, SA-1B, label maps, ...). They are laid into three
label maps so that masks that overlap lie in different maps, small ones first: nested masks keep their
order, and pixels without a mask stay unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from everymask.errors import EverymaskError, InputError
from everymask.formats import PhotoMasks
from everymask.formats.beside import photos_with_masks
from everymask.media.photos import read_photo
from everymask.train.augment import augment
from everymask.train.scenes import MAX_LABEL, Scene

SIDE = 512  # photos are kept this large (long side), enough for crops at training size


@dataclass(frozen=True)
class Example:
    """A photo of the user and how its masks could be laid out."""

    name: str
    scene: Scene
    left_out: int  # masks that fit into none of the three maps, or beyond 255


def read_examples(photos: Path | str, masks: Path | str | None = None) -> list[Example]:
    """The photos of a folder that have masks.

    ``masks`` is one file for all (COCO), or a folder with a file per photo (``NAME.json``,
    ``NAME.png``); by default the photos' own folder, where ``NAME_0.png`` also counts. Raises InputError
    if nothing fits together.
    """
    folder = Path(photos)
    where = folder if masks is None else Path(masks)
    examples = list(_found(folder, where))
    if not examples:
        raise InputError(
            f"expected photos in {str(folder)!r} with masks in {str(where)!r}, found no pair; "
            "name them alike (NAME.jpg, NAME.json or NAME_0.png) or pass one COCO file"
        )
    return examples


def _found(folder: Path, where: Path) -> Iterator[Example]:
    for path, entries in photos_with_masks(folder, where):
        if isinstance(entries, EverymaskError):
            raise entries
        if entries:
            yield _example(path, entries[0])


def _example(path: Path, entry: PhotoMasks) -> Example:
    photo = read_photo(path)
    if photo.shape[:2] != entry.photo_hw:
        raise InputError(
            f"{path.name} is {photo.shape[1]} x {photo.shape[0]} pixels, its masks are for "
            f"{entry.photo_hw[1]} x {entry.photo_hw[0]}; pass the photo they were made on"
        )
    masks = [mask.segmentation for mask in entry.masks]
    labels, left_out = lay_out(masks, entry.photo_hw)
    scale = min(1.0, SIDE / max(entry.photo_hw))
    size = max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    maps = [cv2.resize(x, size, interpolation=cv2.INTER_NEAREST) for x in labels]
    return Example(path.name, Scene(small, np.stack(maps)), left_out)


def lay_out(masks: Sequence[np.ndarray], photo_hw: tuple[int, int]) -> tuple[np.ndarray, int]:
    """Masks bool [H, W] into label maps uint8 [3, H, W], and how many found no place.

    A mask goes into the first map in which it overlaps no earlier (smaller) one by more than a tenth of
    the smaller of the two.

    >>> inner, outer = np.eye(3, dtype=bool), np.ones((3, 3), bool)
    >>> lay_out([outer, inner], (3, 3))[0][:2].tolist()
    [[[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[2, 2, 2], [2, 2, 2], [2, 2, 2]]]
    """
    labels = np.zeros((3, *photo_hw), np.uint8)
    placed = 0
    for mask in sorted((m for m in masks if m.any()), key=lambda m: int(m.sum())):
        level = _free_level(labels, mask) if placed < MAX_LABEL else None
        if level is None:
            continue
        placed += 1
        labels[level][mask & (labels[level] == 0)] = placed
    return labels, sum(bool(m.any()) for m in masks) - placed


def _free_level(labels: np.ndarray, mask: np.ndarray) -> int | None:
    for level, taken in enumerate(labels):
        beneath = taken[mask]
        areas = np.bincount(taken.ravel(), minlength=1)
        numbers, shared = np.unique(beneath[beneath > 0], return_counts=True)
        if all(n <= 0.1 * min(areas[i], beneath.size) for i, n in zip(numbers, shared, strict=True)):
            return level
    return None


class ExampleSource:
    """A stream of augmented views of the examples, at the model's side: what the loop trains on."""

    def __init__(self, examples: Sequence[Example], side: int) -> None:
        self.examples, self.side = examples, side

    def __call__(self, rng: np.random.Generator) -> Scene:
        for _ in range(20):
            example = self.examples[int(rng.integers(len(self.examples)))]
            view = augment(rng, example.scene, self.side)
            if view.labels.any():
                return view
        raise InputError(f"{example.name} and others show hardly any mask when cropped; check the masks")
