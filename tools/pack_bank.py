#!/usr/bin/env python3
"""Make a small copy of the picture bank that travels to another machine as one file (49 MB instead of 280).

    python tools/pack_bank.py runs/bank.tgz [--bank runs/sources/bank]
    mkdir runs/bank && tar xf runs/bank.tgz -C runs/bank                  # there

Pictures are made smaller and lossy (scenes are 384 px), and some are left out, evenly.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from pathlib import Path

import cv2

# kind: longest side, WebP quality, and of how many pictures one is left out (0: none is)
KINDS = {"cutouts": (280, 60, 4), "textures": (352, 55, 6), "photos": (1400, 85, 0)}


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bank", type=Path, default="runs/sources/bank")
    arguments = parser.parse_args()
    with tarfile.open(arguments.out, "w:gz") as pack:
        for kind, (side, quality, every) in KINDS.items():
            for number, path in enumerate(sorted((arguments.bank / kind).glob("*"))):
                if not every or number % every != every - 1:
                    add(pack, f"{kind}/{path.stem}.webp", packed(path, side, quality))
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB")


def packed(path: Path, side: int, quality: int) -> bytes:
    """The picture at most ``side`` pixels long, as WebP."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    scale = side / max(picture.shape[:2])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()


def add(pack: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    pack.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":
    main()
