#!/usr/bin/env python3
"""Fill a folder with training scenes until killed or done: the other half of a training run.

python tools/make_scenes.py [--bank runs/sources/bank] [--out runs/scenes] [--seed 0] [--count 100000]
"""

from __future__ import annotations

import argparse

import cv2

from everymask.train.cache import write_scenes
from everymask.train.sources import read_bank


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bank", default="runs/sources/bank")
    parser.add_argument("--out", default="runs/scenes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=384)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    bank = read_bank(options.bank)
    scenes = write_scenes(
        options.out,
        bank,
        seed=options.seed,
        start=options.start,
        count=options.count,
        side=options.side,
    )
    for index in scenes:
        if index % 1000 == 0:
            print(f"scene {index}", flush=True)


if __name__ == "__main__":
    main()
