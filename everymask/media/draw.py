"""Masks drawn over their photo, and objects cut out of it.

Smaller masks lie on top of larger ones, with colour and lines, and nothing is blended twice, so that nested
objects stay clear. An outline is a bright line inside the mask with a dark one around it: one of the two
shows on any photo. A mask's colour comes from where it is, not from its place in the list: the same object
has the same colour after sorting, filtering, and in another run.

Frames: pixels; photos are RGB uint8 [H, W, 3].
"""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from ..errors import InputError, OptionError
from ..maskset import Mask, MaskSet
from .photos import PhotoLike, read_photo

Colour = tuple[int, int, int]

HUES = 18
"""Hues that one can still tell from their neighbours."""
LINE_SHARE = 1 / 640
"""Width of an outline as a share of the photo's longer side; never under one pixel."""
HALO = 0.45
"""Brightness that is left of the photo under the dark line around a mask."""


def draw_overlay(
    photo: PhotoLike,
    masks: MaskSet | np.ndarray | Iterable[np.ndarray],
    *,
    opacity: float = 0.5,
    line: int | None = None,
    ids: bool = False,
    identities: Sequence[int | str] | None = None,
    colors: Sequence[Colour] | None = None,
) -> np.ndarray:
    """The photo with its masks in colour, RGB uint8 [H, W, 3]; the photo itself is not changed.

    ``photo`` is RGB uint8 [H, W, 3], a path or a PIL picture. ``masks`` are a :class:`MaskSet` or boolean
    arrays [K, H, W]. ``opacity`` is that of the colour inside a
    mask; ``line`` the outline's width in pixels (0: none; by default it goes with the photo's size);
    ``ids`` writes each mask's number where it is seen. Colours come from each mask's position, or from
    ``identities`` (one a mask: an object keeps its colour while it moves), or are given as
    ``colors`` (RGB, one a mask).

    Raises :class:`InputError` where photo and masks do not fit, :class:`OptionError` for an option.
    """
    if not isinstance(photo, np.ndarray):
        photo = read_photo(photo)
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        raise InputError(f"a photo must be RGB uint8 of shape (H, W, 3), got {photo.dtype} {photo.shape}")
    height, width = photo.shape[:2]
    items = _as_masks(masks, (height, width))
    if not 0 <= opacity <= 1:
        raise OptionError(f"opacity must be between 0 and 1, got {opacity}")
    palette = _palette(items, identities, colors)
    thickness = max(1, round(max(height, width) * LINE_SHARE)) if line is None else line
    order = sorted((i for i in range(len(items)) if items[i].area), key=lambda i: -items[i].area)
    picture = _filled(photo, [items[i] for i in order], [palette[i] for i in order], opacity)
    if thickness > 0:
        picture = _outlined(picture, [items[i] for i in order], [palette[i] for i in order], thickness)
    return _numbered(picture, items, order) if ids else picture


def cut_out(photo: np.ndarray, mask: Mask) -> np.ndarray:
    """One object on a transparent ground, RGBA uint8 [h, w, 4], as large as the object.

    >>> cut_out(np.full((2, 2, 3), 9, np.uint8), Mask.from_segmentation(np.array([[0, 1], [0, 0]]))).tolist()
    [[[9, 9, 9, 255]]]
    """
    alpha = mask.crop().astype(np.uint8) * 255
    # Hidden pixels are black, not the photo's: smaller files, and nothing that was cut away travels along.
    return np.dstack([photo[mask.extent] * (alpha > 0)[..., None], alpha])


def colour_of(mask: Mask) -> Colour:
    """The colour that belongs to a mask: by the point that asked for it (or its box) and its size."""
    if mask.point_coords:
        x, y = mask.point_coords[0]
    else:
        left, top, width, height = mask.bbox
        x, y = left + width / 2, top + height / 2
    cells = [round(64 * x / max(mask.size[1], 1)), round(64 * y / max(mask.size[0], 1))]
    return colour_of_identity(f"{cells[0]},{cells[1]},{int(mask.area).bit_length()}")


def colour_of_identity(identity: int | str) -> Colour:
    """A vivid colour that is the same for the same number or name, everywhere.

    >>> colour_of_identity("cat") == colour_of_identity("cat")
    True
    """
    number = zlib.crc32(str(identity).encode()) * 2_654_435_761 % 2**32  # spreads neighbouring numbers
    hue, shade = (number >> 8) % HUES, (number >> 24) % 3
    lightness, saturation = ((0.46, 0.85), (0.56, 0.95), (0.66, 0.80))[shade]
    red, green, blue = colorsys.hls_to_rgb(hue / HUES, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def _as_masks(masks: MaskSet | np.ndarray | Iterable[np.ndarray], photo_hw: tuple[int, int]) -> list[Mask]:
    items = [each if isinstance(each, Mask) else Mask.from_segmentation(np.asarray(each)) for each in masks]
    for index, mask in enumerate(items):
        if mask.size != photo_hw:
            raise InputError(
                f"mask {index} is of {mask.size} pixels (height, width), the photo of {photo_hw}; "
                "was the photo resized or turned?"
            )
    return items


def _palette(
    items: list[Mask], identities: Sequence[int | str] | None, colors: Sequence[Colour] | None
) -> list[Colour]:
    for name, given in (("identities", identities), ("colors", colors)):
        if given is not None and len(given) != len(items):
            raise OptionError(f"{name} must have one entry a mask, {len(items)}; got {len(given)}")
    if colors is not None:
        return list(colors)
    if identities is not None:
        return [colour_of_identity(identity) for identity in identities]
    return [colour_of(mask) for mask in items]


def _filled(photo: np.ndarray, items: list[Mask], palette: list[Colour], opacity: float) -> np.ndarray:
    """The photo with each pixel tinted once, in the colour of the last (smallest) mask over it."""
    layer = photo.copy()
    for mask, colour in zip(items, palette, strict=True):
        layer[mask.extent][mask.crop()] = colour
    return cv2.addWeighted(layer, opacity, photo, 1 - opacity, 0)


def _outlined(picture: np.ndarray, items: list[Mask], palette: list[Colour], line: int) -> np.ndarray:
    """A bright line inside each mask's edge, a dark one outside; none along the border of the photo.

    A mask hides the lines of those under it, as it hides their colour: one sees pieces, not a web of lines.
    """
    dark = np.zeros(picture.shape[:2], dtype=bool)
    bright = np.zeros(picture.shape[:2], dtype=bool)
    layer = picture.copy()
    halo = max(1, line // 2)
    for mask, colour in zip(items, palette, strict=True):
        window, pixels, edge = _edge(mask, line + halo + 1)
        inner = _stroked(edge, pixels.shape, 2 * line - 1, line + halo + 1) & pixels
        outer = _stroked(edge, pixels.shape, 2 * halo + 1, line + halo + 1) & ~pixels
        layer[window][pixels] = picture[window][pixels]
        layer[window][inner] = _brightened(colour)
        dark[window] = (dark[window] & ~pixels) | outer
        bright[window] = (bright[window] & ~pixels) | inner
    dark &= ~bright
    layer[dark] = (picture[dark] * HALO).astype(np.uint8)
    return layer


def _edge(mask: Mask, margin: int) -> tuple[tuple[slice, slice], np.ndarray, Sequence[np.ndarray]]:
    """A window around a mask, its pixels there, and its contours in a frame ``margin`` larger on each side.

    Where the mask touches the border of the photo it is taken to go on beyond: the border is no edge of it.
    """
    window, touching = _window(mask, margin)
    pixels = _window_pixels(mask, window)
    top, bottom, left, right = touching
    grown = cv2.copyMakeBorder(pixels, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    for touches, outside in (
        (top, np.s_[:margin, :]),
        (bottom, np.s_[grown.shape[0] - margin :, :]),
        (left, np.s_[:, :margin]),
        (right, np.s_[:, grown.shape[1] - margin :]),
    ):
        if not touches:
            grown[outside] = 0
    contours, _ = cv2.findContours(grown, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return window, pixels > 0, contours


def _stroked(contours: Sequence[np.ndarray], hw: tuple[int, ...], thickness: int, margin: int) -> np.ndarray:
    """Contours drawn with a pen, bool [h, w] of the window."""
    canvas = np.zeros((hw[0] + 2 * margin, hw[1] + 2 * margin), dtype=np.uint8)
    cv2.drawContours(canvas, contours, -1, 1, thickness)
    return canvas[margin:-margin, margin:-margin] > 0


def _window(mask: Mask, margin: int) -> tuple[tuple[slice, slice], tuple[bool, bool, bool, bool]]:
    """The mask's extent with a margin, within the photo; and at which sides it touches the photo's border."""
    rows, columns = mask.extent
    height, width = mask.size
    window = (
        slice(max(0, rows.start - margin), min(height, rows.stop + margin)),
        slice(max(0, columns.start - margin), min(width, columns.stop + margin)),
    )
    return window, (rows.start == 0, rows.stop == height, columns.start == 0, columns.stop == width)


def _window_pixels(mask: Mask, window: tuple[slice, slice]) -> np.ndarray:
    """The mask's pixels in a window around it, uint8 0 or 1."""
    rows, columns = mask.extent
    pixels = np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start), dtype=np.uint8)
    top, left = rows.start - window[0].start, columns.start - window[1].start
    crop = mask.crop()
    pixels[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    return pixels


def _brightened(colour: Colour) -> Colour:
    """Half-way to white: the line stands out from the fill of the same colour."""
    red, green, blue = ((255 + channel) // 2 for channel in colour)
    return red, green, blue


def _numbered(picture: np.ndarray, items: list[Mask], order: list[int]) -> np.ndarray:
    """Each mask's number, white with a dark rim, at the innermost point of what is seen of it."""
    picture = picture.copy()
    on_top = np.full(picture.shape[:2], -1, dtype=np.int32)
    for index in order:
        on_top[items[index].extent][items[index].crop()] = index
    scale = max(0.35, max(picture.shape[:2]) / 2200)
    stroke = max(1, round(scale * 2))
    for index in order:
        rows, columns = items[index].extent
        seen = on_top[rows, columns] == index
        if not seen.any():
            continue  # smaller masks cover it; its number would stand on theirs
        row, column = _innermost(seen)
        x, y = columns.start + column, rows.start + row
        text = str(index)
        (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, stroke)
        place = (x - width // 2, y + height // 2)
        for colour, weight in (((0, 0, 0), stroke * 3), ((255, 255, 255), stroke)):
            cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, weight, cv2.LINE_AA)
    return picture


def _innermost(pixels: np.ndarray) -> tuple[int, int]:
    """The pixel of a mask [H, W] farthest from its edge, (row, column)."""
    depth = cv2.distanceTransform(np.pad(pixels.astype(np.uint8), 1), cv2.DIST_L2, 3)
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return int(row) - 1, int(column) - 1
