"""Masks drawn over their photo, and objects cut out of it.

Smaller masks lie on top of larger ones, with colour and lines, and nothing is blended twice, so that nested
objects stay clear. An outline is a bright line inside the mask with a dark one around it: one of the two
shows on any photo. Which colour a mask gets is told in ``colours.py``.

Frames: pixels; photos are RGB uint8 [H, W, 3].
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from ..errors import InputError, OptionError
from ..maskset import Mask, MaskSet
from .captions import with_captions
from .colours import Colour, colour_of, colour_of_identity, colours_of, read_colour
from .photos import PhotoLike, read_photo

__all__ = [
    "BACKGROUNDS",
    "STYLES",
    "colour_map",
    "colour_of",
    "colour_of_identity",
    "cut_out",
    "draw_overlay",
]

STYLES = ("both", "fill", "outline")
BACKGROUNDS = ("keep", "dim", "blur", "gray")
"""What may become of the photo outside of all masks; any colour as well."""

LINE_SHARE = 1 / 640
"""Width of an outline as a share of the photo's longer side; never under one pixel."""
DIMMED = 0.35
"""Brightness that is left of a dimmed background."""
BLUR_SHARE = 1 / 120
"""Sigma of a blurred background as a share of the photo's longer side."""
HALO = 0.45
"""Brightness that is left of the photo under the dark line around a mask."""


def draw_overlay(
    photo: PhotoLike,
    masks: MaskSet | np.ndarray | Iterable[np.ndarray],
    *,
    style: str = "both",
    opacity: float = 0.5,
    line: int | None = None,
    background: str = "keep",
    palette: str = "vivid",
    ids: bool = False,
    labels: bool = False,
    identities: Sequence[int | str] | None = None,
    colors: Sequence[Colour] | None = None,
) -> np.ndarray:
    """The photo with its masks in colour, RGB uint8 [H, W, 3]; the photo itself is not changed.

    ``photo`` is RGB uint8 [H, W, 3], a path or a PIL picture. ``masks`` are a :class:`MaskSet` or boolean
    arrays [K, H, W]. ``style`` is ``"fill"``, ``"outline"`` or
    ``"both"``; ``opacity`` that of the fill, ``line`` the outline's width in pixels (0: none; by default it
    goes with the photo's size). ``background``, what is outside of all masks: ``"keep"``, ``"dim"``,
    ``"blur"``, ``"gray"``, or a colour (``"white"``, ``"#rrggbb"``). ``ids`` writes each mask's number, from
    1, where it is seen, ``labels`` its label. Colours come from each mask's position and differ where masks
    touch; or from ``identities`` (one a mask: an object keeps its colour while it moves); or they are given
    as ``colors`` (RGB, one a mask). ``palette="safe"`` has seven colours that are told apart with every kind
    of colour vision.

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
    if style not in STYLES:
        raise OptionError(f"style must be one of {', '.join(STYLES)}, got {style!r}")
    chosen = _palette(items, identities, colors, palette)
    order = sorted((i for i in range(len(items)) if items[i].area), key=lambda i: -items[i].area)
    drawn, drawn_colours = [items[i] for i in order], [chosen[i] for i in order]
    picture = with_background(photo, items, background)
    if style != "outline":
        picture = _filled(picture, drawn, drawn_colours, opacity)
    thickness = max(1, round(max(height, width) * LINE_SHARE)) if line is None else line
    if style != "fill" and thickness > 0:
        picture = _outlined(picture, drawn, drawn_colours, thickness)
    return with_captions(picture, items, _texts(items, identities, ids, labels)) if ids or labels else picture


def _texts(
    items: Sequence[Mask], identities: Sequence[int | str] | None, ids: bool, labels: bool
) -> list[str]:
    """What is written on each mask: its identity or its number from 1, its label, or both."""
    texts = []
    for number, mask in zip(identities or range(1, len(items) + 1), items, strict=True):
        parts = [str(number)] * ids + [mask.label or ""] * labels
        texts.append(" ".join(part for part in parts if part))
    return texts


def with_background(photo: np.ndarray, masks: Sequence[Mask], background: str) -> np.ndarray:
    """The photo with what is outside of all masks dimmed, blurred, gray, or in one colour."""
    if background == "keep":
        return photo
    other: np.ndarray
    if background == "dim":
        other = (photo * DIMMED).astype(np.uint8)
    elif background == "blur":
        other = cv2.GaussianBlur(photo, None, max(photo.shape[:2]) * BLUR_SHARE)  # type: ignore[call-overload]
    elif background == "gray":
        other = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    else:
        other = np.full_like(photo, read_background(background))
    covered = np.zeros(photo.shape[:2], dtype=bool)
    for mask in masks:
        covered[mask.extent] |= mask.crop()
    return np.where(covered[..., None], photo, other)


def read_background(text: str) -> Colour:
    """A background's colour. Raises :class:`OptionError` where it is none."""
    try:
        return read_colour(text)
    except OptionError:
        raise OptionError(
            f"background must be {', '.join(BACKGROUNDS)}, or a colour such as white or #rrggbb; got {text!r}"
        ) from None


def colour_map(masks: MaskSet, palette: str = "vivid") -> np.ndarray:
    """Each mask flat in its colour on black, RGB uint8 [H, W, 3]: a label map to look at.

    Smaller masks lie on top; masks that touch differ in colour.
    """
    picture = np.zeros((*masks.photo_hw, 3), np.uint8)
    items = list(masks)
    pairs = sorted(zip(items, colours_of(items, palette), strict=True), key=lambda pair: -pair[0].area)
    for mask, colour in pairs:
        picture[mask.extent][mask.crop()] = colour
    return picture


def cut_out(
    photo: np.ndarray, mask: Mask, *, feather: float = 0.0, background: Colour | None = None
) -> np.ndarray:
    """One object on a transparent ground, RGBA uint8 [h, w, 4], as large as the object.

    ``feather`` makes the object's edge transparent over so many pixels, inwards: nothing of what surrounds it
    shows. With a ``background`` (RGB) the result is RGB [h, w, 3] on that colour. Raises
    :class:`OptionError` for a feather below 0.

    >>> cut_out(np.full((2, 2, 3), 9, np.uint8), Mask.from_segmentation(np.array([[0, 1], [0, 0]]))).tolist()
    [[[9, 9, 9, 255]]]
    """
    if feather < 0:
        raise OptionError(f"feather must be 0 pixels or more, got {feather:g}")
    alpha = feathered(mask, feather)
    inside = photo[mask.extent]
    if background is not None:
        share = alpha[..., None] / 255.0
        return (inside * share + np.array(background) * (1 - share)).round().astype(np.uint8)
    # Hidden pixels are black, not the photo's: smaller files, and nothing that was cut away travels along.
    return np.dstack([inside * (alpha > 0)[..., None], alpha])


def feathered(mask: Mask, feather: float) -> np.ndarray:
    """How opaque each pixel of the mask's extent is, uint8 [h, w]: rising inwards from its edge.

    The border of the photo is no edge.
    """
    if feather == 0 or not mask.area:
        return mask.crop().astype(np.uint8) * 255
    margin = int(np.ceil(feather)) + 1
    window, touching = _window(mask, margin)
    pixels = _window_pixels(mask, window)
    top, bottom, left, right = (margin if touches else 0 for touches in touching)
    grown = cv2.copyMakeBorder(pixels, top, bottom, left, right, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(grown, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    alpha = (np.clip((depth - 0.5) / feather, 0, 1) * 255).round().astype(np.uint8)
    rows, columns = mask.extent
    y, x = rows.start - window[0].start + top, columns.start - window[1].start + left
    return alpha[y : y + rows.stop - rows.start, x : x + columns.stop - columns.start]


def _as_masks(masks: MaskSet | np.ndarray | Iterable[np.ndarray], photo_hw: tuple[int, int]) -> list[Mask]:
    items = [each if isinstance(each, Mask) else Mask.from_segmentation(np.asarray(each)) for each in masks]
    for number, mask in enumerate(items, 1):
        if mask.size != photo_hw:
            raise InputError(
                f"mask {number} is of {mask.size} pixels (height, width), the photo of {photo_hw}; "
                "was the photo resized or turned?"
            )
    return items


def _palette(
    items: list[Mask],
    identities: Sequence[int | str] | None,
    colors: Sequence[Colour] | None,
    palette: str,
) -> list[Colour]:
    for name, given in (("identities", identities), ("colors", colors)):
        if given is not None and len(given) != len(items):
            raise OptionError(f"{name} must have one entry a mask, {len(items)}; got {len(given)}")
    if colors is not None:
        return list(colors)
    if identities is not None:
        return [colour_of_identity(identity, palette) for identity in identities]
    return colours_of(items, palette)


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
