# ruff: noqa: E501 (small files read best as they are)
"""Mutated mask files and pictures through every reader: ``python -m tests.formats.fuzz SEED COUNT`` prints what went wrong.

A reader may give masks, a picture or an EverymaskError. It may not raise anything else, kill the process, take longer than
five seconds (of CPU: other work may keep it waiting) or two gigabytes. Each file is made from its own seed, so that one can be made again.
"""

from __future__ import annotations

import json
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image

from everymask import formats
from everymask.errors import EverymaskError
from everymask.formats.georeference import read_georeference
from everymask.media.photos import read_pixels
from tests.formats.mask_examples import PHOTO_HW, example_masks

SECONDS = 5
GIGABYTES = 2.0
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, "", "x", "1", "\ud800", [], {}, [[]], [None], {"a": 1}),
    *(0, -1, 1, 3.5, 255, 2**31, 2**63, 10**30, 1e9, -1e9, 1e300, float("nan"), float("inf")),
)
ODD_WORDS = (
    "nan",
    "inf",
    "-inf",
    "1e9",
    "-1",
    "1e300",
    "99999999999999999999",
    "",
    "null",
    "0",
    "0.5",
    "x",
    "é",
    "\0",
)


Sample = tuple[Path, Path]
"""A file to be damaged, and what is read then: it, or the folder it is part of."""


def samples(folder: Path) -> list[Sample]:
    """One small file of every format, foreign variants of those that have them, and pictures of each decoder."""
    masks = example_masks(labels=True)[[0, 2, 4]]
    found = []
    for name, format_ in formats.FORMATS.items():
        path = folder / name / f"photo{format_.suffix}"
        path.parent.mkdir(parents=True)
        masks.save(path, format=name, photo="photo.jpg")
        inside = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
        found += [(each, path) for each in inside]
    for name, text in FOREIGN.items():
        path = folder / "foreign" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text), "utf-8")
        found.append((path, path))
    return found + [(path, path) for path in pictures(folder / PICTURES)]


PICTURES = "pictures"


def pictures(folder: Path) -> list[Path]:
    """Scenes with nodata and masks, stacks, slices, deep and plain pictures: each through another decoder."""
    import rasterio
    import tifffile

    folder.mkdir()
    values = np.arange(3 * 24 * 32, dtype=np.uint16).reshape(3, 24, 32)
    scene = {"driver": "GTiff", "width": 32, "height": 24, "count": 3, "crs": "EPSG:32632"}
    scene["transform"] = rasterio.Affine(10, 0, 500_000, 0, -10, 5_400_000)
    with rasterio.open(folder / "scene.tif", "w", **scene, dtype="uint16", nodata=7) as file:
        file.write(values)
    tiled = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "jpeg", "photometric": "ycbcr"}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(folder / "masked.tif", "w", **scene, **tiled, dtype="uint8") as file,
    ):
        file.write((values % 251).astype(np.uint8))
        file.write_mask(values[0] % 5 > 0)
    stack = values[None].repeat(2, axis=0)
    tifffile.imwrite(folder / "imagej.tif", stack, imagej=True, metadata={"axes": "TCYX"})
    tifffile.imwrite(folder / "ome.tif", stack, ome=True, metadata={"axes": "TCYX"})
    plain = Image.fromarray((values % 251).astype(np.uint8).transpose(1, 2, 0))
    for name in ("plain.png", "plain.jpg", "plain.webp", "plain.jp2", "plain.gif"):
        plain.save(folder / name)
    Image.fromarray(values[0]).save(folder / "deep.png")
    for source in sorted(Path(pydicom.data.DATA_ROOT, "test_files").glob("MR_small*.dcm"))[:2]:
        shutil.copy(source, folder)
    return sorted(folder.iterdir())


_REGION = {"original_width": 60, "original_height": 40}
FOREIGN: dict[str, Any] = {
    "coco.json": {
        "images": [{"id": 1, "height": 40, "width": 60, "file_name": "a.jpg"}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [
            {"id": 5, "image_id": 1, "category_id": 3, "iscrowd": 0, "segmentation": [[1, 1, 9, 1, 9, 9]], "bbox": [1, 1, 8, 8]},
            {"id": 6, "image_id": 1, "category_id": 3, "iscrowd": 1, "segmentation": {"size": [40, 60], "counts": [40, 40, 2320]}},
        ],
    },
    "tasks.json": [
        {
            "data": {"img": "a.jpg"},
            "annotations": [
                {"id": 1, "completed_by": 2, "result": [
                    {"type": "polygonlabels", "value": {"points": [[1, 1], [50, 1], [50, 50]], "polygonlabels": ["a"]}, **_REGION},
                    {"type": "rectanglelabels", "value": {"x": 1, "y": 2, "width": 30, "height": 20, "rotation": 10, "rectanglelabels": ["a"]}, **_REGION},
                    {"type": "ellipselabels", "value": {"x": 20, "y": 20, "radiusX": 9, "radiusY": 5, "ellipselabels": ["a"]}, **_REGION},
                ]},
                {"id": 2, "was_cancelled": True, "result": []},
            ],
            "predictions": [{"id": 7, "result": []}],
        }
    ],
    "min.json": [{"image": "a.jpg", "annotation_id": 1, "tag": [{"points": [[1, 1], [50, 1], [50, 50]], "polygonlabels": ["a"], **_REGION}]}],
    "labelme.json": {
        "imagePath": "a.jpg", "imageHeight": 40, "imageWidth": 60,
        "shapes": [
            {"label": "a", "shape_type": "polygon", "points": [[1, 1], [9, 1], [9, 9]], "group_id": 1, "flags": {"x": True}},
            {"label": "a", "shape_type": "circle", "points": [[9, 9], [12, 9]]},
            {"label": "a", "shape_type": "rectangle", "points": [[9, 9], [12, 12]]},
            {"label": "a", "shape_type": "oriented_rectangle", "points": [[9, 9], [12, 9], [12, 12], [9, 12]]},
        ],
    },
    "cvat.xml": (
        '<annotations><image id="0" name="a.jpg" width="60" height="40"><polygon label="a" points="1,1;9,1;9,9"/>'
        '<box label="a" xtl="1" ytl="1" xbr="9" ybr="9" rotation="30"/><ellipse label="a" cx="9" cy="9" rx="4" ry="5"/>'
        '<mask label="a" rle="0, 4" left="1" top="1" width="2" height="2"/><tag label="b"/></image></annotations>'
    ),
    "labels.txt": "0 0.1 0.1 0.5 0.1 0.5 0.5\n3 0.2 0.2 0.6 0.2 0.6 0.6 0.2 0.6\n",
    "qupath.geojson": {
        "type": "FeatureCollection", "crs": None,
        "features": [{"type": "Feature", "properties": {"classification": {"name": "Tumor"}, "n": 1},
                      "geometry": {"type": "MultiPolygon", "coordinates": [[[[1, 1], [9, 1], [9, 9], [1, 1]]]]}}],
    },
}  # fmt: skip


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The bytes of a file with one to four things wrong."""
    for _ in range(chance.randint(1, 4)):
        content = chance.choice((_json_value, _number, _bytes, _bytes, _span))(content, chance)
    return content


def _json_value(content: bytes, chance: random.Random) -> bytes:
    """Another value somewhere in a JSON tree; other files stay as they are."""
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        return _number(content, chance)
    places = list(_places(tree))
    if not places:
        return content
    holder, key = chance.choice(places)
    what = chance.random()
    if what < 0.15 and isinstance(holder, dict):
        del holder[key]
    elif what < 0.25 and isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[key] = chance.choice(ODD_VALUES)
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def _places(tree: Any) -> Any:
    keys = tree.keys() if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in list(keys):
        yield tree, key
        yield from _places(tree[key])


def _number(content: bytes, chance: random.Random) -> bytes:
    """Another word in the place of a number of a text."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?", content[:20_000]))
    if not found:
        return content
    spot = chance.choice(found)
    return content[: spot.start()] + chance.choice(ODD_WORDS).encode() + content[spot.end() :]


def _bytes(content: bytes, chance: random.Random) -> bytes:
    """Some bytes changed."""
    changed = bytearray(content)
    for _ in range(min(len(changed), chance.randint(1, 8))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _span(content: bytes, chance: random.Random) -> bytes:
    """A part cut out, doubled, or everything behind it lost."""
    start = chance.randrange(len(content) + 1)
    end = min(len(content), start + chance.randint(1, 200))
    kind = chance.randrange(3)
    return (
        content[:start]
        + (content[start:end] * 2 if kind == 0 else b"")
        + (b"" if kind == 1 else content[end:])
    )


class TooSlow(BaseException):
    """Five seconds are over."""


def _ring(*_: Any) -> None:
    raise TooSlow


def read(path: Path) -> str | None:
    """What is wrong with how a file is read; None for masks, or an error that is meant."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        if path.parent.name == PICTURES:
            read_pixels(path)
            read_georeference(path)
            return None
        for photo in formats.read_photos(path, photo_hw=lambda name: PHOTO_HW):
            for mask in photo.masks:
                assert mask.area == mask.crop().sum(), "the crop holds every pixel"
    except EverymaskError as error:
        return None if "\n" not in str(error) else f"more than one line: {error}"
    except TooSlow:
        return f"longer than {SECONDS} s"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def _most_gigabytes() -> float:
    """The most memory that this program has held. What ``getrusage`` says includes the program that began it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(each for each in status.read_text().splitlines() if each.startswith("VmHWM"))
        return int(line.split()[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(first: int, count: int) -> int:
    """Read ``count`` files with the seeds from ``first`` on; the number of faults, each printed."""
    signal.signal(signal.SIGPROF, _ring)
    warnings.simplefilter("ignore")
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        sources = [(path, whole, path.read_bytes()) for path, whole in samples(Path(folder))]
        for seed in range(first, first + count):
            chance = random.Random(seed)
            path, whole, content = chance.choice(sources)
            path.write_bytes(mutated(content, chance))
            fault = read(whole)
            path.write_bytes(content)
            used = _most_gigabytes()
            if fault is None and used > GIGABYTES:
                fault = f"{used:.1f} GB of memory"
            if fault is not None:
                faults += 1
                print(f"seed {seed}: {path.relative_to(folder)}: {fault}", flush=True)
                if used > GIGABYTES:
                    break
    print(f"{count} files, {faults} faults, {used:.2f} GB", flush=True)
    return faults


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), int(sys.argv[2]))))
