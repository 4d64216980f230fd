"""CVAT for video 1.1 (XML): a track for each object, a mask of row-major runs for each frame.

Where an object is not seen, a mask with ``outside="1"`` ends what the last key frame showed.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from ..errors import FormatError, one_line
from ..masks.rle import decode_box
from .cvat import box_runs, labels_element, pixels_of_runs
from .losses import Losses
from .record import pasted
from .text import read_text
from .video_record import ClipMasks, ObjectMask


def write(path: Path, clip: ClipMasks) -> Losses:
    """All tracks in one file."""
    height, width = clip.frame_hw
    with path.open("w", encoding="utf-8") as file:
        file.write(
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n'
        )
        file.write(f"    <task>\n      <name>{_text(clip.name)}</name>\n      <size>{clip.length}</size>\n")
        file.write(
            f"      <original_size><width>{width}</width><height>{height}</height></original_size>\n"
            f"{labels_element(dict.fromkeys(map(clip.called, clip.object_ids)))}    </task>\n  </meta>\n"
        )
        for object_id in clip.object_ids:
            label = quoteattr(clip.called(object_id))
            file.write(f'  <track id="{object_id}" label={label} source="auto">\n')
            file.writelines(_shapes(clip, object_id))
            file.write("  </track>\n")
        file.write("</annotations>\n")
    return Losses()


def _shapes(clip: ClipMasks, object_id: int) -> list[str]:
    lines = []
    shown: ObjectMask | None = None
    for frame, mask in clip.of_object(object_id):
        if mask is not None:
            lines.append(_shape(frame, mask, outside=False))
        elif shown is not None:
            lines.append(_shape(frame, shown, outside=True))
        shown = mask
    return lines


def _shape(frame: int, mask: ObjectMask, outside: bool) -> str:
    left, top, width, height = mask.bbox_xywh
    runs = box_runs(decode_box(mask.rle, (left, top, left + width, top + height)))
    return (
        f'    <mask frame="{frame}" keyframe="1" outside="{int(outside)}" occluded="0" '
        f'rle="{", ".join(map(str, runs))}" left="{left}" top="{top}" width="{width}" height="{height}" '
        'z_order="0"></mask>\n'
    )


def read(path: Path) -> ClipMasks:
    """The masks of all tracks in a file."""
    text = read_text(path)
    if "<!ENTITY" in text:
        raise FormatError(f"{path} declares XML entities, which mask files do not need; it was not read")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise FormatError(f"{path} is not XML: {one_line(error)}") from error
    size = root.find("meta/task/original_size")
    if root.tag != "annotations" or size is None:
        raise FormatError(f"{path} must have <annotations> with <meta><task><original_size>")
    hw = int(size.findtext("height", "0")), int(size.findtext("width", "0"))
    frames: dict[int, dict[int, ObjectMask]] = {}
    names = {}
    for track in root.iter("track"):
        object_id = int(track.get("id", "0"))
        names[object_id] = track.get("label", "object")
        for shape in track.iter("mask"):
            if shape.get("outside") != "1":
                frames.setdefault(int(shape.get("frame", "0")), {})[object_id] = _read_shape(shape, hw, path)
    length = int(root.findtext("meta/task/size", "0")) or (max(frames, default=-1) + 1)
    return ClipMasks(root.findtext("meta/task/name", path.stem), hw, length, frames=frames, names=names)


def _read_shape(shape: ElementTree.Element, hw: tuple[int, int], path: Path) -> ObjectMask:
    left, top, width, height = (int(shape.get(key, "0")) for key in ("left", "top", "width", "height"))
    runs = [int(run) for run in shape.get("rle", "").split(",")]
    if sum(runs) != width * height:
        raise FormatError(f"a mask of {path} has runs of {sum(runs)} pixels in a box of {width} x {height}")
    crop = pixels_of_runs(runs, (height, width))
    return ObjectMask(pasted(crop, left, top, hw, f"a mask of {path}"))


def _text(value: str) -> str:
    return value.replace("&", "&amp;").replace("<", "&lt;")
