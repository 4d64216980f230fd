"""A clip's masks to files: every format for clips, the overlay video, cut-outs with transparency.

FOLDER/<clip>_coco_vis.json, <clip>_overlay.mp4, <clip>_alpha/...: named as ``everymask track`` names them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

from everymask.errors import FormatError, InputError
from everymask.formats.classes import Classes
from everymask.formats.losses import Losses
from everymask.formats.video_record import ClipMasks, ObjectMask
from everymask.formats.video_table import VIDEO_FORMATS
from everymask.media.frame_source import FrameSource
from everymask.media.videos import open_frames
from everymask.video.pictures import CLIP_PICTURES

from .clip import Clip
from .record import by_frame, object_mask, objects_of

Progress = Callable[[int, int], object]


def clip_formats() -> list[dict[str, str | None]]:
    """What clips are written as, for the page to list."""
    masks = [{"name": each.name, "for": each.for_what, "extra": None} for each in VIDEO_FORMATS.values()]
    pictures = [{"name": name, "for": each.for_what, "extra": None} for name, each in CLIP_PICTURES.items()]
    return [*masks, *pictures]


def clip_masks(clip: Clip, classes: Classes) -> ClipMasks:
    """The record of a clip as the formats know it. Objects are called by their class.

    A frame on which no object has a mask was not tracked.
    """
    frames: dict[int, dict[int, ObjectMask]] = {}
    for (frame, object_id), value in by_frame(clip.values, "mask").items():
        frames.setdefault(frame, {})[object_id] = object_mask(value, clip.frame_hw)
    names = {id: value["label"] for id, value in objects_of(clip.values).items() if value["label"]}
    stem = PurePosixPath(clip.name).stem
    return ClipMasks(stem, clip.frame_hw, clip.length, clip.frames_per_second, frames, names, classes)


def export_clip(
    folder: Path, clip: ClipMasks, source: object, names: Sequence[str], progress: Progress
) -> dict[str, Losses]:
    """Write all that is named into an empty folder; what each format could not hold, by its name.

    ``source`` is the clip, read once more for pictures; ``progress`` is called with frames drawn, and of how
    many. Raises FormatError for a name that is none, InputError where there is nothing to write, VideoError.
    """
    for name in names:
        if name not in VIDEO_FORMATS and name not in CLIP_PICTURES:
            known = ", ".join([*VIDEO_FORMATS, *CLIP_PICTURES])
            raise FormatError(f"clips are written as {known}; got {name!r}")
    if not clip.frames or not names:
        raise InputError(
            "choose at least one format" if clip.frames else "no object has a mask in this clip yet"
        )
    losses = {}
    for name in names:
        if name in VIDEO_FORMATS:
            kind = VIDEO_FORMATS[name]
            path = folder / f"{clip.name}_{name.replace('-', '_')}{kind.suffix}"
            losses[name] = kind.load().write(path, clip)
    pictured = [name for name in names if name in CLIP_PICTURES]
    if pictured:
        with open_frames(source) as frames:
            _draw(folder, clip, frames, pictured, progress)
        losses |= {name: Losses() for name in pictured}
    return losses


def _draw(
    folder: Path, clip: ClipMasks, frames: FrameSource, names: Sequence[str], progress: Progress
) -> None:
    """Pictures of the whole clip, so that videos stay in step with it."""
    with ExitStack() as stack:
        drawings = []
        for name in names:
            output = CLIP_PICTURES[name]
            options = {"names": clip.names} if output.is_drawn else {}
            path = folder / f"{clip.name}{output.suffix}"
            drawings.append(stack.enter_context(output.load()(path, clip.frames_per_second, **options)))
        for index in range(clip.length):
            photo = frames.frame(index)
            for drawing in drawings:
                drawing.add(index, photo, clip.frames.get(index, {}), frames.time_s(index))
            progress(index + 1, clip.length)
