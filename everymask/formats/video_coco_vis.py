"""COCO-VIS (YouTube-VIS): one JSON; an annotation is an object with a mask, or null, for every frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import FormatError
from ..masks.rle import from_coco, to_coco
from .classes import Classes, distinct, joined
from .losses import Losses
from .text import entry, read_json, write_json
from .video_record import ClipMasks, ObjectMask


def write(path: Path, clip: ClipMasks) -> Losses:
    """The clip as video 1, each name of an object a category, under the number that its file gave it."""
    height, width = clip.frame_hw
    used = {clip.called(object_id) for object_id in clip.object_ids}
    classes = joined([clip.classes], used or ["object"])
    numbers = classes.numbers
    video = {
        "id": 1,
        "width": width,
        "height": height,
        "length": clip.length,
        "file_names": [f"{clip.name}/{frame:05d}.jpg" for frame in range(clip.length)],
    }
    write_json(
        path,
        {
            "info": {"description": "everymask track"},
            "licenses": [],
            "videos": [video],
            "categories": [
                {"supercategory": "", **classes.more.get(name, {}), "id": number, "name": name}
                for name, number in sorted(numbers.items(), key=lambda pair: pair[1])
            ],
            "annotations": [
                _annotation(clip, object_id, numbers[clip.called(object_id)]) for object_id in clip.object_ids
            ],
        },
    )
    return Losses()


def _annotation(clip: ClipMasks, object_id: int, category: int) -> dict[str, Any]:
    masks = [mask for _, mask in clip.of_object(object_id)]
    seen = [mask for mask in masks if mask is not None]
    return {
        "id": object_id,
        "video_id": 1,
        "category_id": category,
        "iscrowd": 0,
        "width": clip.frame_hw[1],
        "height": clip.frame_hw[0],
        "length": clip.length,
        "segmentations": [None if mask is None else to_coco(mask.rle) for mask in masks],
        "bboxes": [None if mask is None else list(mask.bbox_xywh) for mask in masks],
        "areas": [None if mask is None else mask.rle.area for mask in masks],
        "score": sum(mask.score for mask in seen) / max(len(seen), 1),
    }


def read(path: Path) -> ClipMasks:
    """The masks of a file with one video."""
    value = read_json(path)
    videos = entry(value, "videos", list, str(path))
    if len(videos) != 1:
        raise FormatError(f"{path} must hold one video, it holds {len(videos)}")
    video = videos[0]
    listed = entry(value, "categories", list, str(path))
    categories = distinct((int(each["id"]), str(each["name"])) for each in listed)
    more = {
        categories[int(each["id"])]: {key: each[key] for key in each.keys() - {"id", "name"}}
        for each in listed
    }
    frames: dict[int, dict[int, ObjectMask]] = {}
    names = {}
    for annotation in entry(value, "annotations", list, str(path)):
        names[int(annotation["id"])] = categories.get(annotation["category_id"], "object")
        for frame, segmentation in enumerate(annotation["segmentations"]):
            if segmentation is not None:
                mask = ObjectMask(from_coco(segmentation), float(annotation.get("score", 1.0)))
                frames.setdefault(frame, {})[int(annotation["id"])] = mask
    name = Path(video["file_names"][0]).parent.name if video.get("file_names") else path.stem
    return ClipMasks(
        name,
        (int(video["height"]), int(video["width"])),
        int(video["length"]),
        frames=frames,
        names=names,
        classes=Classes({name: number for number, name in categories.items()}, more=more),
    )
