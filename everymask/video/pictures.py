"""The pictures that masks of a clip can be written as, by name; ``render.py`` draws them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from everymask.video.render import ClipPictures


@dataclass(frozen=True)
class PictureOutput:
    """Pictures of the tracked frames."""

    maker: str  # in render.py
    suffix: str  # behind the clip's name
    in_order: bool  # frames have to come in the order of the clip
    for_what: str
    is_drawn: bool = False  # takes names of objects, and options of draw_overlay

    def load(self) -> Callable[..., ClipPictures]:
        """What makes it, called with a path and the frames a second."""
        return getattr(importlib.import_module("everymask.video.render"), self.maker)


CLIP_PICTURES = {
    "overlay": PictureOutput(
        "OverlayVideo", "_overlay.mp4", in_order=True, for_what="the clip with its masks (MP4)", is_drawn=True
    ),
    "alpha": PictureOutput(
        "CutoutPictures", "_alpha", in_order=False, for_what="each object cut out, PNGs of every frame"
    ),
    "alpha-mov": PictureOutput(
        "AlphaMov", "_alpha.mov", in_order=True, for_what="ProRes 4444, for editing programs"
    ),
    "alpha-webm": PictureOutput(
        "AlphaWebm", "_alpha.webm", in_order=True, for_what="VP9, for browsers and OBS"
    ),
}
