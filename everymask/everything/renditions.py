"""Where a run looks: every crop of the photo in every rendition asked for.

To the rest of everything mode a crop in another rendition is a crop more. Candidates of one crop in all its
renditions are suppressed together, best predicted IoU first, and only then compared with other crops.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from everymask.everything.grid import Crop, crops
from everymask.everything.options import GeneratorOptions
from everymask.media.renditions import AUTO, PLAIN, chosen, names_of, rendered


def resolved(options: GeneratorOptions, photo: np.ndarray) -> GeneratorOptions:
    """The options with the renditions that fit a photo, where that was left open (``auto``)."""
    if options.renditions != AUTO:
        return options
    return replace(options, renditions="+".join(chosen(photo)))


def looks(photo_hw: tuple[int, int], options: GeneratorOptions) -> list[Crop]:
    """The crops of a photo, each in every rendition; those of one window follow each other."""
    windows = crops(photo_hw, options.crop_n_layers, options.crop_overlap_ratio)
    return in_renditions(windows, options)


def in_renditions(windows: list[Crop], options: GeneratorOptions) -> list[Crop]:
    """Each window in every rendition of the options, which are resolved."""
    names = names_of(options.renditions)
    if names == (PLAIN,):
        return windows
    return [replace(window, rendition=name) for window in windows for name in names]


class Rendered:
    """A photo [H, W, 3] in the renditions that crops ask for, each made once."""

    def __init__(self, photo: np.ndarray) -> None:
        self._made = {PLAIN: photo}

    def crop(self, crop: Crop) -> np.ndarray:
        """The pixels of a crop in its rendition, a view."""
        name = crop.rendition or PLAIN
        if name not in self._made:
            self._made[name] = rendered(self._made[PLAIN], name)
        return crop.of(self._made[name])
