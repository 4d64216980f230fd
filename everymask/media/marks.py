"""What was asked, drawn over a picture: clicks and boxes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw

ON, OFF = (0, 170, 60), (215, 30, 30)
"""A click on the object, and one on what is not the object."""
SHARE = 1 / 90
"""Radius of a click as a share of the photo's longer side."""


def with_marks(
    picture: np.ndarray,
    clicks: Iterable[tuple[float, float, int | bool]] = (),
    boxes: Iterable[Sequence[float]] = (),
) -> np.ndarray:
    """The picture, RGB uint8 [H, W, 3], with clicks (x, y, label) and boxes XYXY in pixels drawn over it.

    A click on the object is a green disc with a plus, one off it a red disc with a minus. Drawn at four times
    the size and scaled down where they are, so that small marks stay round.
    """
    image = Image.fromarray(picture)
    radius = max(5.0, max(picture.shape[:2]) * SHARE)
    line = max(1, round(radius / 4))
    pen = ImageDraw.Draw(image)
    for x0, y0, x1, y1 in boxes:
        for colour, width in (("black", 3 * line), ("white", line)):
            grown = width // 2
            pen.rectangle((x0 - grown, y0 - grown, x1 + grown, y1 + grown), outline=colour, width=width)
    for x, y, label in clicks:
        mark = _disc(radius, bool(label))
        image.paste(mark, (round(x - mark.width / 2), round(y - mark.height / 2)), mark)
    return np.array(image)


def _disc(radius: float, on: bool) -> Image.Image:
    """A click, RGBA."""
    fine = 4
    side = round(2 * radius) * fine
    disc = Image.new("RGBA", (side, side))
    pen = ImageDraw.Draw(disc)
    pen.ellipse((0, 0, side - 1, side - 1), fill="black")
    rim = side // 16
    pen.ellipse((rim, rim, side - 1 - rim, side - 1 - rim), fill="white")
    rim = side // 6
    pen.ellipse((rim, rim, side - 1 - rim, side - 1 - rim), fill=ON if on else OFF)
    half, arm, thick = side / 2, side / 5, side / 14
    pen.rectangle((half - arm, half - thick, half + arm, half + thick), fill="white")
    if on:
        pen.rectangle((half - thick, half - arm, half + thick, half + arm), fill="white")
    return disc.resize((side // fine, side // fine), Image.Resampling.LANCZOS)
