"""Which pictures are made, and how they look: flags of every command that draws."""

from __future__ import annotations

from dataclasses import dataclass
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
class Look:
    """The pictures asked for. Raises :class:`OptionError` where a value is none."""

    PANEL: ClassVar[str] = "Look"

    overlay: bool = flag(False, "The photo with its masks in colour.")
    cutouts: bool = flag(False, "Each object alone, as a transparent PNG.")
    colour_map: bool = flag(
        False, "Each mask flat in its colour on black.", flags=("--colour-map", "--color-map")
    )
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
        "vivid", "Colours: vivid, or safe (for the colour-blind).", metavar="NAME", choices=("vivid", "safe")
    )
    ids: bool = flag(False, "Number the masks in the overlay, from 1.")
    labels: bool = flag(False, "Write the masks' labels in the overlay.")
    feather: float = flag(0.0, "Cutouts fade out towards their edge, over so many pixels.", metavar="PX")
    cutout_background: str | None = flag(
        None, "Cutouts on a colour instead of transparent: white, #rrggbb.", metavar="COLOUR"
    )

    def __post_init__(self) -> None:
        from ...media.draw import STYLES  # drawing needs OpenCV; help does not

        if self.style not in STYLES:
            raise OptionError(f"--style must be one of {', '.join(STYLES)}, got {self.style!r}")
        if not 0 <= self.opacity <= 1:
            raise OptionError(f"--opacity must be from 0 to 1, got {self.opacity:g}")
        if self.feather < 0:
            raise OptionError(f"--feather must be 0 pixels or more, got {self.feather:g}")
        self._check_colours()

    def _check_colours(self) -> None:
        from ...media.colours import find_palette, read_colour
        from ...media.draw import BACKGROUNDS, read_background

        find_palette(self.palette)
        if self.background not in BACKGROUNDS:
            read_background(self.background)
        if self.cutout_background is not None:
            read_colour(self.cutout_background)

    @property
    def draws(self) -> bool:
        """Whether a picture is made from the photo's own pixels."""
        return self.overlay or self.cutouts

    def overlay_of(self, photo: np.ndarray, masks: MaskSet, **more: Any) -> np.ndarray:
        """The overlay, RGB uint8 [H, W, 3]; ``more`` as in ``draw_overlay``."""
        from ...media.draw import draw_overlay

        return draw_overlay(
            photo,
            masks,
            style=self.style,
            opacity=self.opacity,
            background=self.background,
            palette=self.palette,
            ids=self.ids,
            labels=self.labels,
            **more,
        )

    def cutout_of(self, photo: np.ndarray, mask: Mask) -> np.ndarray:
        """One object alone, RGBA, or RGB on a colour."""
        from ...media.colours import read_colour
        from ...media.draw import cut_out

        ground = None if self.cutout_background is None else read_colour(self.cutout_background)
        return cut_out(photo, mask, feather=self.feather, background=ground)

    def choices(self, output: str) -> str:
        """What a picture depends on besides photo and masks."""
        return " ".join(f"{name}={getattr(self, name)}" for name in _DEPENDS_ON[output])
