"""Small photos, shards and plans for the tests of batches."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from everymask.batching.listing import Entry
from everymask.batching.manifest import Manifest, open_manifest
from everymask.batching.storage import Place

SETTINGS = {"model": "fake", "points_per_side": 2}


def picture(seed: int, side: int = 32) -> np.ndarray:
    """A dark photo with bright rectangles, as the fake segmenter finds them."""
    random = np.random.default_rng(seed)
    photo = np.full((side, side, 3), 20, dtype=np.uint8)
    for _ in range(3):
        top, left = random.integers(0, side - 8, 2)
        photo[top : top + 6, left : left + 6] = random.integers(150, 255, 3)
    return photo


def png(seed: int, side: int = 32) -> bytes:
    """The bytes of such a photo."""
    file = io.BytesIO()
    Image.fromarray(picture(seed, side)).save(file, "PNG")
    return file.getvalue()


def save_photos(folder: Path, count: int, side: int = 32, first: int = 0) -> list[str]:
    """Write photos ``p000.png`` and on; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"p{number:03d}.png" for number in range(first, first + count)]
    for number, name in enumerate(names, first):
        (folder / name).write_bytes(png(number, side))
    return names


def save_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> None:
    """A WebDataset shard."""
    with tarfile.open(path, mode) as shard:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            shard.addfile(info, io.BytesIO(content))


def save_parquet(path: Path, columns: dict, row_group_size: int = 2) -> None:
    """A Parquet file in small row groups."""
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)


def manifest_in(folder: Path, settings: dict | None = None) -> Manifest:
    """A manifest of made-up settings."""
    return open_manifest(Place.of(folder), settings or SETTINGS)[0]


def entries(names: list[str], stamp: str = "1", size: int = 10) -> list[Entry]:
    """Entries that no file stands behind."""
    return [Entry(name, f"/photos/{name}", "", size, stamp) for name in names]


def save_clip(path: Path, frames: int = 4, start: int = 10) -> None:
    """A bright square that moves to the right over a dark ground."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "bgr0"
        for number in range(frames):
            picture = np.full((64, 96, 3), 30, np.uint8)
            left = start + 4 * number
            cv2.rectangle(picture, (left, 20), (left + 20, 40), (240, 220, 60), -1)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
