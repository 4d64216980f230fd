"""Which pictures are made, and how they look: flags of every command that draws."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from ...errors import OptionError
from ...maskset import Mask, MaskSet
from .flags import flag

_DEPENDS_ON: dict[str, tuple[str, ...]] = {
    "overlay": ("style", "opacity", "background", "palette", "ids", "labels"),
    "cutouts": ("feather", "cutout_background"),
    "colour_map": ("palette",),
}


@dataclass(frozen=True)
class Style:
    """How overlays look. Raises :class:`OptionError` where a value is none."""

    PANEL: ClassVar[str] = "Look"

    style: str = flag(
        "both",
        "Of masks in the overlay: fill, outline or both.",
        metavar="NAME",
        choices=("both", "fill", "outline"),
    )
    opacity: float = flag(0.5, "Of the fill, from 0 to 1.", metavar="SHARE")
    background: str = flag(
        "keep",
        "Outside of all masks: keep, dim, blur, gray, or a colour: white, #rrggbb.",
        metavar="NAME",
        choices=("keep", "dim", "blur", "gray", "white", "black"),
    )
    palette: str = flag(
        "vivid",
        "Colours: vivid, or safe (for the colour-blind).",
        metavar="NAME",
        choices=("vivid", "safe"),
    )
    ids: bool = flag(False, "Number the masks in the overlay, from 1.")
    labels: bool = flag(False, "Write the masks' labels in the overlay.")

    def __post_init__(self) -> None:
        from ...media.colours import find_palette  # drawing needs OpenCV; help does not
        from ...media.draw import BACKGROUNDS, STYLES, read_background

        if self.style not in STYLES:
            raise OptionError(f"--style must be one of {', '.join(STYLES)}, got {self.style!r}")
        if not 0 <= self.opacity <= 1:
            raise OptionError(f"--opacity must be from 0 to 1, got {self.opacity:g}")
        find_palette(self.palette)
        if self.background not in BACKGROUNDS:
            read_background(self.background)

    @property
    def overlay_options(self) -> dict[str, Any]:
        """What ``draw_overlay`` takes."""
        return {each.name: getattr(self, each.name) for each in fields(Style)}


@dataclass(frozen=True)
class Look(Style):
    """The pictures asked for, and how they look. Raises :class:`OptionError` where a value is none."""

    overlay: bool = flag(False, "The photo with its masks in colour.", panel="Output")
    cutouts: bool = flag(False, "Each object alone, as a transparent PNG.", panel="Output")
    colour_map: bool = flag(
        False, "Each mask flat in its colour on black.", flags=("--colour-map", "--color-map"), panel="Output"
    )
    feather: float = flag(0.0, "Cutouts fade out towards their edge, over so many pixels.", metavar="PX")
    cutout_background: str | None = flag(
        None, "Cutouts on a colour instead of transparent: white, #rrggbb.", metavar="COLOUR"
    )

    def __post_init__(self) -> None:
        from ...media.colours import read_colour

        super().__post_init__()
        if self.feather < 0:
            raise OptionError(f"--feather must be 0 pixels or more, got {self.feather:g}")
        if self.cutout_background is not None:
            read_colour(self.cutout_background)

    @property
    def draws(self) -> bool:
        """Whether a picture is made from the photo's own pixels."""
        return self.overlay or self.cutouts

    def overlay_of(self, photo: np.ndarray, masks: MaskSet) -> np.ndarray:
        """The overlay, RGB uint8 [H, W, 3]."""
        from ...media.draw import draw_overlay

        return draw_overlay(photo, masks, **self.overlay_options)

    def cutout_of(self, photo: np.ndarray, mask: Mask) -> np.ndarray:
        """One object alone, RGBA, or RGB on a colour."""
        from ...media.colours import read_colour
        from ...media.draw import cut_out

        ground = None if self.cutout_background is None else read_colour(self.cutout_background)
        return cut_out(photo, mask, feather=self.feather, background=ground)

    def choices(self, output: str) -> str:
        """What a picture depends on besides photo and masks."""
        return " ".join(f"{name}={getattr(self, name)}" for name in _DEPENDS_ON[output])
