"""Which colour a mask gets: by where it is, and unlike the masks that it touches.

The same object has the same colour after sorting and in another run. Where two masks that touch would look
alike, the smaller one takes another colour.
"""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Sequence

import numpy as np

from ..errors import OptionError
from ..maskset import Mask

Colour = tuple[int, int, int]

HUES = 18
"""Hues that one can still tell from their neighbours."""
SHADES = ((0.46, 0.85), (0.56, 0.95), (0.66, 0.80))
"""Lightness and saturation."""
APART = 130.0
"""Colours nearer to each other than this are alike (:func:`distance`)."""
LOOKED_AT = 512
"""Touching masks are looked for in a picture whose longer side is about so long."""


def _vivid() -> tuple[Colour, ...]:
    table = []
    for lightness, saturation in SHADES:
        for hue in range(HUES):
            red, green, blue = colorsys.hls_to_rgb(hue / HUES, lightness, saturation)
            table.append((round(red * 255), round(green * 255), round(blue * 255)))
    return tuple(table)


PALETTES: dict[str, tuple[Colour, ...]] = {
    "vivid": _vivid(),
    # Okabe and Ito, "Color Universal Design" (2008), without black.
    "safe": (
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (204, 121, 167),
    ),
}


def find_palette(name: str) -> tuple[Colour, ...]:
    """The colours of a palette. Raises :class:`OptionError` for one that does not exist."""
    if name not in PALETTES:
        raise OptionError(f"palette must be one of {', '.join(PALETTES)}, got {name!r}")
    return PALETTES[name]


def read_colour(text: str) -> Colour:
    """A colour from its name or number. Raises :class:`OptionError`.

    >>> read_colour("white"), read_colour("#1e90ff")
    ((255, 255, 255), (30, 144, 255))
    """
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        raise OptionError(f"a colour must be a name such as white or #rrggbb, got {text!r}") from None
    return red, green, blue


def colour_of(mask: Mask, palette: str = "vivid") -> Colour:
    """The colour that belongs to a mask: by the point that asked for it (or its box) and its size."""
    if mask.point_coords:
        x, y = mask.point_coords[0]
    else:
        left, top, width, height = mask.bbox
        x, y = left + width / 2, top + height / 2
    cells = [round(64 * x / max(mask.size[1], 1)), round(64 * y / max(mask.size[0], 1))]
    return colour_of_identity(f"{cells[0]},{cells[1]},{int(mask.area).bit_length()}", palette)


def colour_of_identity(identity: int | str, palette: str = "vivid") -> Colour:
    """A colour that is the same for the same number or name, everywhere.

    >>> colour_of_identity("cat") == colour_of_identity("cat")
    True
    """
    colours = find_palette(palette)
    number = zlib.crc32(str(identity).encode()) * 2_654_435_761 % 2**32  # spreads neighbouring numbers
    if palette == "vivid":
        return colours[(number >> 24) % len(SHADES) * HUES + (number >> 8) % HUES]
    return colours[(number >> 8) % len(colours)]


def colours_of(masks: Sequence[Mask], palette: str = "vivid") -> list[Colour]:
    """A colour for each mask, unlike those of the masks that it touches, as far as the palette goes."""
    chosen = [colour_of(mask, palette) for mask in masks]
    touching = touching_masks(masks)
    table = find_palette(palette)
    order = sorted(range(len(masks)), key=lambda i: (-masks[i].area, masks[i].bbox))
    done: set[int] = set()
    for index in order:
        near = [chosen[other] for other in touching[index] if other in done]
        chosen[index] = _unlike(chosen[index], near, table)
        done.add(index)
    return chosen


def _unlike(wish: Colour, near: Sequence[Colour], table: Sequence[Colour]) -> Colour:
    """The first colour of the table, from the wished one on, that is far enough from all near ones."""
    begin = table.index(wish)
    # A step that shares no factor with the table's length reaches every colour, distant ones first.
    step = next(number for number in range(len(table) * 2 // 5 + 1, 0, -1) if np.gcd(number, len(table)) == 1)
    walk = [table[(begin + step * turn) % len(table)] for turn in range(len(table))]
    apart = [min((distance(colour, other) for other in near), default=APART) for colour in walk]
    far_enough = (colour for colour, gap in zip(walk, apart, strict=True) if gap >= APART)
    return next(far_enough, walk[int(np.argmax(apart))])


def distance(one: Colour, other: Colour) -> float:
    """How different two colours look: RGB distance, weighted by the mean red ("redmean").

    >>> distance((0, 0, 0), (255, 255, 255)) > distance((255, 0, 0), (200, 0, 0)) > 0
    True
    """
    red = (one[0] + other[0]) / 2
    weights = 2 + red / 256, 4.0, 2 + (255 - red) / 256
    return float(sum(w * (a - b) ** 2 for w, a, b in zip(weights, one, other, strict=True)) ** 0.5)


def touching_masks(masks: Sequence[Mask]) -> list[set[int]]:
    """For each mask the numbers of those whose visible pixels lie beside its own; smaller ones on top."""
    found: list[set[int]] = [set() for _ in masks]
    if len(masks) < 2:
        return found
    height, width = masks[0].size
    step = max(1, max(height, width) // LOOKED_AT)
    top = np.full((height, width), -1, np.int32)
    for index in sorted(range(len(masks)), key=lambda i: -masks[i].area):
        top[masks[index].extent][masks[index].crop()] = index
    small = top[::step, ::step]
    for reach in (1, 2):
        for one, other in ((small[:, :-reach], small[:, reach:]), (small[:-reach], small[reach:])):
            differ = (one != other) & (one >= 0) & (other >= 0)
            for a, b in np.unique(np.stack([one[differ], other[differ]], axis=1), axis=0).tolist():
                found[a].add(b)
                found[b].add(a)
    return found
