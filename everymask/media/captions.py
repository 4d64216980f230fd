"""Text in pictures: numbers and labels on masks, and lines above pictures."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..maskset import Mask

SMALLEST = 11
"""Height of text in pixels, at the least."""
WIDE_FONTS = ("NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "DejaVuSans.ttf", "arial.ttf", "Arial.ttf")
"""Fonts of Linux, macOS and Windows with more letters than ASCII has, the widest first."""
SHARE = 1 / 50
"""Height of text as a share of the photo's longer side."""


def with_captions(picture: np.ndarray, masks: Sequence[Mask], texts: Sequence[str]) -> np.ndarray:
    """Each mask's text, white with a dark rim, at the innermost point of what is seen of it.

    ``picture`` is RGB uint8 [H, W, 3] and not changed. A mask that smaller ones cover gets no text.
    """
    on_top = np.full(picture.shape[:2], -1, dtype=np.int32)
    order = sorted((i for i in range(len(masks)) if masks[i].area), key=lambda i: -masks[i].area)
    for index in order:
        on_top[masks[index].extent][masks[index].crop()] = index
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    size = max(SMALLEST, round(max(picture.shape[:2]) * SHARE))
    font, texts = _font(texts, size)
    for index in order:
        rows, columns = masks[index].extent
        seen = on_top[rows, columns] == index
        if not seen.any() or not texts[index]:
            continue
        row, column = innermost(seen)
        place = _within(
            pen.textbbox((columns.start + column, rows.start + row), texts[index], font, "mm"), image
        )
        pen.text(
            place, texts[index], "white", font, "mm", stroke_width=max(1, size // 9), stroke_fill="black"
        )
    return np.array(image)


def _font(texts: Sequence[str], size: int) -> tuple[Any, list[str]]:
    """A font, and the texts as it can write them.

    Pillow's own font has the letters of ASCII only. For others a font of the system is looked for; where
    there is none, accents are dropped.
    """
    if all(text.isascii() for text in texts):
        return ImageFont.load_default(size), list(texts)
    for name in WIDE_FONTS:
        try:
            return ImageFont.truetype(name, size), list(texts)
        except OSError:
            continue
    plain = [unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode() for text in texts]
    return ImageFont.load_default(size), [new or (old and "?") for new, old in zip(plain, texts, strict=True)]


def _within(box: tuple[float, float, float, float], image: Image.Image) -> tuple[float, float]:
    """The middle of a text's box, moved so that the text lies inside the picture."""
    middle = []
    for low, high, side in ((box[0], box[2], image.width), (box[1], box[3], image.height)):
        shift = max(2 - low, 0) or min(side - 2 - high, 0)
        middle.append((low + high) / 2 + shift)
    return middle[0], middle[1]


def innermost(pixels: np.ndarray) -> tuple[int, int]:
    """The pixel of a mask [H, W] farthest from its edge, (row, column)."""
    depth = cv2.distanceTransform(np.pad(pixels.astype(np.uint8), 1), cv2.DIST_L2, 3)
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return int(row) - 1, int(column) - 1


def side_by_side(pictures: Sequence[np.ndarray], captions: Sequence[str], longest: int = 1000) -> np.ndarray:
    """Pictures of one size beside each other, each under its caption, RGB uint8.

    Each is at most ``longest`` pixels wide and high; portrait or landscape, all keep their shape.
    """
    height, width = pictures[0].shape[:2]
    scale = min(1.0, longest / max(height, width))
    hw = max(1, round(height * scale)), max(1, round(width * scale))
    text = max(SMALLEST + 3, round(max(hw) / 36))
    gap = max(4, text // 2)
    sheet = Image.new("RGB", ((hw[1] + gap) * len(pictures) + gap, hw[0] + 2 * gap + 2 * text), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(text)
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left = gap + number * (hw[1] + gap)
        small = picture if scale == 1 else cv2.resize(picture, hw[::-1], interpolation=cv2.INTER_AREA)
        pen.text((left, gap + text / 2), caption, "black", font, "lm")
        sheet.paste(Image.fromarray(small), (left, gap + 2 * text))
    return np.array(sheet)


CAPTION_WIDTH = 240
"""Pixels that a caption has in any case, however small its picture."""


def contact_sheet(
    rows: Sequence[Sequence[tuple[np.ndarray, str]]], longest: int = 420, text: int = 13
) -> np.ndarray:
    """Rows of pictures, each over its caption, RGB uint8; captions wrap, and may have lines of their own.

    Pictures may differ in size and shape; each is at most ``longest`` pixels wide and high.
    """
    font = ImageFont.load_default(text)
    gap, line = text, round(text * 1.35)
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    made = []
    for row in rows:
        pictures = [_fitted(picture, longest) for picture, _ in row]
        width = max(CAPTION_WIDTH, *(picture.shape[1] for picture in pictures))
        captions = [_wrapped(caption, width, font, pen) for _, caption in row]
        made.append((pictures, captions, width, max(p.shape[0] for p in pictures), max(map(len, captions))))
    sheet_width = max(gap + len(pictures) * (width + gap) for pictures, _, width, _, _ in made)
    sheet_height = gap + sum(height + lines * line + 2 * gap for _, _, _, height, lines in made)
    sheet = Image.new("RGB", (sheet_width, sheet_height), "white")
    pen, top = ImageDraw.Draw(sheet), gap
    for pictures, captions, width, height, lines in made:
        for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
            left = gap + number * (width + gap)
            sheet.paste(Image.fromarray(picture), (left, top))
            for place, words in enumerate(caption):
                pen.text((left, top + height + gap / 2 + place * line), words, "black", font)
        top += height + lines * line + 2 * gap
    return np.array(sheet)


def _fitted(picture: np.ndarray, longest: int) -> np.ndarray:
    """A picture [H, W, 3] made smaller until it is at most ``longest`` pixels wide and high."""
    height, width = picture.shape[:2]
    scale = min(1.0, longest / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return picture if scale == 1 else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _wrapped(text: str, width: int, font: Any, pen: Any) -> list[str]:
    """The lines of a text, none wider than ``width`` pixels unless a single word is."""
    found = []
    for line in text.split("\n"):
        words = ""
        for word in line.split():
            longer = f"{words} {word}".strip()
            if words and pen.textlength(longer, font) > width:
                found.append(words)
                longer = word
            words = longer
        found.append(words)
    return found
