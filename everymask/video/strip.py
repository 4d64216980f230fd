"""A clip at a glance: frames of it with their masks, and when each object was seen, and how surely."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from everymask.formats.video_record import ClipMasks
from everymask.maskset import Mask, MaskSet
from everymask.media.colours import colour_of_identity
from everymask.media.draw import draw_overlay

FRAMES = 8
WIDTH = 1600
BAR, TEXT = 16, 14
LOST = (225, 225, 225)


def chosen_frames(tracked: Sequence[int], count: int = FRAMES) -> list[int]:
    """So many frames, spread evenly, the first and the last among them.

    >>> chosen_frames(range(10, 20), 4)
    [10, 13, 16, 19]
    """
    if len(tracked) <= count:
        return list(tracked)
    return [tracked[round(place)] for place in np.linspace(0, len(tracked) - 1, count)]


def strip_picture(clip: ClipMasks, read_frame: Callable[[int], np.ndarray], columns: int = 4) -> np.ndarray:
    """Frames with their masks in rows of ``columns``, a bar for each object below, RGB uint8.

    A bar runs over the tracked frames: in the object's colour where it is seen, paler where the model is
    unsure, gray where it is not there.
    """
    tracked = sorted(clip.frames)
    shown = chosen_frames(tracked)
    columns = min(columns, len(shown))
    height, width = clip.frame_hw
    tile_w = WIDTH // columns
    tile_h = max(1, round(tile_w * height / width))
    rows = -(-len(shown) // columns)
    below = (BAR + TEXT + 8) * len(clip.object_ids) + 8
    sheet = Image.new("RGB", (WIDTH, rows * (tile_h + TEXT + 8) + below), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT)
    for place, frame in enumerate(shown):
        row, column = divmod(place, columns)
        x, y = column * tile_w, row * (tile_h + TEXT + 8)
        pen.text((x + 4, y + 2), f"frame {frame + 1}", "black", font)
        drawn = Image.fromarray(_drawn(clip, frame, read_frame(frame)))
        sheet.paste(drawn.resize((tile_w - 4, tile_h), Image.Resampling.LANCZOS), (x, y + TEXT + 6))
    top = rows * (tile_h + TEXT + 8)
    for object_id in clip.object_ids:
        pen.text((4, top), clip.names.get(object_id, f"object {object_id}"), "black", font)
        sheet.paste(Image.fromarray(_bar(clip, object_id, tracked)), (0, top + TEXT + 4))
        top += BAR + TEXT + 8
    return np.array(sheet)


def _drawn(clip: ClipMasks, frame: int, photo: np.ndarray) -> np.ndarray:
    seen = {object_id: mask for object_id, mask in clip.frames[frame].items() if mask.rle.area}
    masks = MaskSet([Mask(mask.rle) for mask in seen.values()], clip.frame_hw)
    return draw_overlay(photo, masks, identities=list(seen))


def _bar(clip: ClipMasks, object_id: int, tracked: Sequence[int]) -> np.ndarray:
    """When an object was seen, RGB [BAR, WIDTH, 3]."""
    line = np.empty((len(tracked), 3))
    for place, frame in enumerate(tracked):
        mask = clip.frames[frame].get(object_id)
        if mask is None or not mask.rle.area:
            line[place] = LOST
        else:
            sure = min(max(mask.score, 0.0), 1.0)
            line[place] = sure * np.array(colour_of_identity(object_id)) + (1 - sure) * 255
    across = line[np.arange(WIDTH) * len(tracked) // WIDTH]
    return np.broadcast_to(across.round().astype(np.uint8), (BAR, WIDTH, 3)).copy()
