"""The files that masks of a clip can be written to, by name."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType


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
