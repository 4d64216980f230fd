#!/usr/bin/env python3
"""Have a teacher answer clicks and boxes on photos without masks, for a student to learn from.

    python tools/make_answers.py PHOTOS OUT --views 3 --teacher OLD.safetensors 384 plain ranks \\
        --teacher OLD.safetensors 512 mirrored ranks --teacher NEW.safetensors 384 plain silent

The teacher is the mean of nano's answers with several weights, at several sides, mirrored or not; the
estimates of quality are the mean of those that rank. The first view of a photo is all of it, the others are
pieces. Photos whose answers are there already are left alone, so that an interrupted run continues.
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path

import cv2
import numpy as np
import torch
from train_nano import fresh_model

from everymask.train.distil import Teacher, answer, save_answered
from everymask.train.sources import read_rgb

CELLS = 96  # a side of the answers: a student of 384 px


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--teacher", nargs=4, action="append", required=True, metavar=("WEIGHTS", "SIDE", "VIEW", "RANKS")
    )
    parser.add_argument(
        "--pretrained", type=Path, help="EfficientNet-Lite0's weights, for weights without them"
    )
    parser.add_argument("--views", type=int, default=1)
    parser.add_argument("--limit", type=int, help="photos, spread over the folder")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    teachers = [
        Teacher(
            fresh_model(int(side), Path(weights), options.pretrained).eval(),
            view == "mirrored",
            ranks == "ranks",
        )
        for weights, side, view, ranks in options.teacher
    ]
    paths = sorted(options.photos.rglob("*.jpg"))
    if options.limit is not None and len(paths) > options.limit:
        paths = [paths[i * len(paths) // options.limit] for i in range(options.limit)]
    options.out.mkdir(parents=True, exist_ok=True)
    done = 0
    for view in range(options.views):
        for path in paths:
            target = options.out / f"{path.parent.name}_{path.stem}_{view}.npz"
            if not target.exists():
                rng = np.random.default_rng([zlib.crc32(path.stem.encode()), view])
                save_answered(target, answer(rng, piece(rng, read_rgb(path)[..., :3], view), teachers, CELLS))
            done += 1
            if done % 50 == 0:
                print(f"{done} of {options.views * len(paths)}", flush=True)


def piece(rng: np.random.Generator, photo: np.ndarray, view: int) -> np.ndarray:
    """All of a photo, or a piece of 0.5 to 0.9 of its sides; at most 512 px."""
    if view > 0:
        height, width = photo.shape[:2]
        share = rng.uniform(0.5, 0.9)
        rows, columns = int(share * height), int(share * width)
        top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
        photo = photo[top : top + rows, left : left + columns]
    scale = min(1.0, 512 / max(photo.shape[:2]))
    if scale < 1:
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(photo)


if __name__ == "__main__":
    main()
