"""The masks of a clip from a file, whichever of the formats it is."""

from __future__ import annotations

from pathlib import Path

from ..errors import FormatError
from .text import read_json
from .video_record import ClipMasks
from .video_table import VIDEO_FORMATS


def read_clip_masks(path: Path) -> ClipMasks:
    """The masks of a clip from a file or folder of any of these formats.

    Raises :class:`FormatError` for what is none of them.
    """
    if not path.exists():
        raise FormatError(f"there are no masks at {str(path)!r}")
    if path.is_dir():
        kind = "davis"
    elif path.suffix.lower() == ".xml":
        kind = "cvat"
    elif path.suffix.lower() == ".json":
        content = read_json(path)
        kind = "sa-v" if isinstance(content, dict) and "masklet" in content else "coco-vis"
    else:
        raise FormatError(
            f"{str(path)!r} holds no masks of a clip; give a file of `everymask track`: "
            f"{', '.join(VIDEO_FORMATS)}"
        )
    masks: ClipMasks = VIDEO_FORMATS[kind].load().read(path)
    return masks
