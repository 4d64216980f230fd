"""The files that masks of a clip can be written to, by name."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ..errors import FormatError
from .text import read_json
from .video_record import ClipMasks


@dataclass(frozen=True)
class VideoFormat:
    """One way to write the masks of a clip."""

    name: str
    module: str
    suffix: str  # empty for a folder
    for_what: str

    def load(self) -> ModuleType:
        """The module with this format's ``read`` and ``write``."""
        return importlib.import_module(f"{__package__}.{self.module}")


VIDEO_FORMATS: dict[str, VideoFormat] = {
    each.name: each
    for each in (
        VideoFormat("sa-v", "video_sav", ".json", "COCO run lengths by frame and object"),
        VideoFormat("davis", "video_davis", "", "indexed PNGs, a frame each"),
        VideoFormat("coco-vis", "video_coco_vis", ".json", "training on YouTube-VIS"),
        VideoFormat("cvat", "video_cvat", ".xml", "correcting by hand in CVAT"),
    )
}


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
