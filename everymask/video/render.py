"""The masks of a clip as pictures: an overlay video, and each object cut out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from everymask.formats.video_record import ClipMasks
from everymask.masks.rle import decode
from everymask.maskset import Mask, MaskSet
from everymask.media.draw import draw_overlay
from everymask.media.video_writer import VideoWriter
from everymask.media.videos import open_frames


def write_overlay(path: Path, clip: ClipMasks, source: Any) -> None:
    """An MP4 of the tracked frames with coloured masks; an object keeps its colour."""
    with open_frames(source) as frames, VideoWriter(path, clip.frames_per_second) as writer:
        for index in sorted(clip.frames):
            objects = {i: mask for i, mask in clip.frames[index].items() if mask.rle.area}
            picture = draw_overlay(
                frames.frame(index),
                MaskSet([Mask(mask.rle) for mask in objects.values()], clip.frame_hw),
                identities=list(objects),
            )
            writer.write(picture, frames.time_s(index))


def write_alpha(path: Path, clip: ClipMasks, source: Any) -> None:
    """A folder for each object, object_1, ..., with an RGBA PNG of the frame's size for each frame."""
    with open_frames(source) as frames:
        for object_id in clip.object_ids:
            (path / f"object_{object_id}").mkdir(parents=True)
        for index in sorted(clip.frames):
            photo = frames.frame(index)
            for object_id, mask in clip.frames[index].items():
                alpha = decode(mask.rle).astype(np.uint8) * 255
                hidden = photo * (alpha > 0)[..., None]  # nothing that was cut away travels along
                picture = Image.fromarray(np.dstack([hidden, alpha]))
                picture.save(path / f"object_{object_id}" / f"{index:05d}.png", compress_level=3)
