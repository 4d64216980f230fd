"""SA-V: one JSON a clip with COCO run lengths by frame and object, as in the data set of SAM 2."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ..masks.rle import Rle, from_coco, to_coco
from .losses import Losses
from .text import entry, read_json, write_json
from .video_record import ClipMasks, ObjectMask


def write(path: Path, clip: ClipMasks) -> Losses:
    """``masklet[i][j]`` is object ``masklet_id[j]`` on frame ``masklet_frames[i]``."""
    ids, tracked = clip.object_ids, sorted(clip.frames)
    height, width = clip.frame_hw
    empty = Rle(clip.frame_hw, np.array([height * width]))
    masklet = [[to_coco(_of(clip, frame, i, empty).rle) for i in ids] for frame in tracked]
    areas = {i: [_of(clip, frame, i, empty).rle.area for frame in tracked] for i in ids}
    value: dict[str, Any] = {
        "video_id": clip.name,
        "video_duration": clip.length / clip.frames_per_second,
        "video_frame_count": clip.length,
        "video_height": height,
        "video_width": width,
        "video_resolution": height * width,
        "video_fps": clip.frames_per_second,
        "masklet": masklet,
        "masklet_frames": tracked,
        "masklet_id": ids,
        "masklet_num": len(ids),
        "masklet_size_abs": [_mean(areas[i]) for i in ids],
        "masklet_size_rel": [_mean(areas[i]) / (height * width) for i in ids],
        "masklet_first_appeared_frame": [_first(areas[i], tracked) for i in ids],
        "masklet_frame_count": [sum(area > 0 for area in areas[i]) for i in ids],
        "masklet_visibility_changes": [_changes(areas[i]) for i in ids],
        "masklet_score": [[_of(clip, frame, i, empty).score for i in ids] for frame in tracked],
        "masklet_visibility": [[_of(clip, frame, i, empty).visibility for i in ids] for frame in tracked],
    }
    write_json(path, value)
    return Losses()


def read(path: Path) -> ClipMasks:
    """The masks of an SA-V file, ours or the data set's (whose frames count every fourth of the clip)."""
    value = read_json(path)
    where = str(path)
    height, width = (int(entry(value, f"video_{side}", (int, float), where)) for side in ("height", "width"))
    ids = entry(value, "masklet_id", list, where)
    masklet = entry(value, "masklet", list, where)
    frames = value.get("masklet_frames") or list(range(len(masklet)))
    scores, visibility = value.get("masklet_score"), value.get("masklet_visibility")
    if len(frames) != len(masklet):
        raise FormatError(f"{path} has {len(masklet)} frames of masks and {len(frames)} frame numbers")
    return ClipMasks(
        str(value.get("video_id", path.stem)),
        (height, width),
        int(value.get("video_frame_count", len(masklet))),
        float(value.get("video_fps", 24.0)),
        {
            frame: {
                int(object_id): ObjectMask(
                    from_coco(masklet[row][column]),
                    scores[row][column] if scores else 1.0,
                    visibility[row][column] if visibility else 1.0,
                )
                for column, object_id in enumerate(ids)
            }
            for row, frame in enumerate(frames)
        },
    )


def _of(clip: ClipMasks, frame: int, object_id: int, empty: Rle) -> ObjectMask:
    return clip.frames[frame].get(object_id) or ObjectMask(empty, 0.0, 0.0)


def _mean(values: list[int]) -> float:
    return sum(values) / max(len(values), 1)


def _first(areas: list[int], tracked: list[int]) -> int:
    return next((frame for frame, area in zip(tracked, areas, strict=True) if area), -1)


def _changes(areas: list[int]) -> int:
    seen = [area > 0 for area in areas]
    return sum(a != b for a, b in pairwise(seen))
