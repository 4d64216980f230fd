"""Photos with the masks that people drew, from any format that is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from everymask.errors import InputError
from everymask.evaluate.metrics import borders
from everymask.explore.references import Example, find_examples
from everymask.maskset import MaskSet

LEAST_SHARE = 0.01
"""Regions smaller than this share of their photo are not asked for."""


@dataclass(frozen=True)
class Annotated:
    """A photo, RGB uint8 [H, W, 3], and the masks of each of its annotators."""

    name: str
    photo: np.ndarray
    annotators: tuple[MaskSet, ...]

    def regions(self, least_share: float = LEAST_SHARE) -> list[np.ndarray]:
        """The masks of all annotators that have at least this share of the photo's pixels, bool [H, W]."""
        height, width = self.photo.shape[:2]
        least = least_share * height * width
        return [
            mask.segmentation for masks in self.annotators for mask in masks if mask.area >= max(least, 1)
        ]

    def borders(self) -> list[np.ndarray]:
        """Where each annotator drew a border, bool [H, W]."""
        drawn = []
        for masks in self.annotators:
            edges = np.zeros(self.photo.shape[:2], bool)
            for mask in masks:
                edges |= borders(mask.segmentation)
            drawn.append(edges)
        return drawn


def annotated_photos(
    folder: Path | str,
    limit: int | None = None,
    annotators: int | None = None,
    masks: Path | str | None = None,
) -> Iterator[Annotated]:
    """The photos of a folder that have masks, by name; ``limit`` spreads its choice over the folder.

    ``masks`` is one file for all photos (COCO, ...), or a folder with a file a photo, by default the photos'
    own: ``NAME_0.png``, ``NAME_1.png`` are label maps of two annotators of ``NAME.jpg``, 0 stands for
    nothing. ``annotators``: so many of each photo. Raises :class:`InputError` if there are none, and for a
    photo whose masks cannot be used.
    """
    examples = annotated_examples(folder, masks)
    if limit:
        examples = examples[:: max(1, len(examples) // limit)][:limit]
    for example in examples:
        yield Annotated(example.path.stem, example.read().values, example.references[:annotators])


def annotated_examples(folder: Path | str, masks: Path | str | None = None) -> list[Example]:
    """The photos that :func:`annotated_photos` reads, before they are read."""
    examples, problems = find_examples(folder, folder if masks is None else masks)
    if problems:  # a number that leaves out photos in silence would be another number
        raise InputError(f"masks of {len(problems)} photos cannot be used: {'; '.join(problems[:3])}")
    return examples
