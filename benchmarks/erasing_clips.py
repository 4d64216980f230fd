"""A disc that passes through clips, taken out again: with what other frames show, and frame by frame.

    python -m benchmarks erasing_clips -- FOLDER [--clips blackswan dog] [--frames 20] [--engine opencv]

FOLDER holds clips, each a folder of pictures (00000.jpg, ...), such as DAVIS's. A grey disc moves over each
clip on a path of its own, so that what it hides is known. PSNR in the disc, mean over frames: as
``erase_video`` fills it, and of the engine alone on every fifth frame. ``made up``: the share of the disc's
pixels that no frame showed. CPU seconds a frame are those of the process.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from everymask.inpaint.clips import erased_frames
from everymask.inpaint.engines import open_engine
from everymask.inpaint.erase import filled
from everymask.media.videos import open_frames


class Counting:
    """An engine that counts the pixels it made up."""

    def __init__(self, name: str) -> None:
        self.engine, self.pixels = open_engine(name), 0

    def fill(self, picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
        """What the engine makes of it."""
        self.pixels += int(hole.sum())
        return self.engine.fill(picture, hole)


def disc(index: int, count: int, hw: tuple[int, int]) -> np.ndarray:
    """The disc on a frame, bool [H, W]: a ninth of the shorter side in radius, from left to right."""
    rows, columns = np.ogrid[: hw[0], : hw[1]]
    x = hw[1] * (0.3 + 0.4 * index / max(count - 1, 1))
    y = hw[0] * (0.35 + 0.2 * np.sin(index / 8))
    return (rows - y) ** 2 + (columns - x) ** 2 <= (min(hw) // 9) ** 2


def psnr(ours: np.ndarray, true: np.ndarray, where: np.ndarray) -> float:
    """Of the pixels there, in dB."""
    error = np.mean((ours[where].astype(np.float64) - true[where]) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks erasing_clips --", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", nargs="+")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--engine", default="opencv")
    arguments = parser.parse_args()
    names = arguments.clips or sorted(each.name for each in arguments.folder.iterdir() if each.is_dir())
    print(f"{'clip':<16}{'other frames':>13}{'alone':>8}{'made up':>9}{'CPU s':>7}")
    for name in names:
        files = sorted((arguments.folder / name).glob("*.jpg"))[: arguments.frames]
        with open_frames(files) as source:
            true = [source.frame(index) for index in range(len(files))]
        holes = [disc(index, len(true), true[0].shape[:2]) for index in range(len(true))]
        shown = np.stack([np.where(h[..., None], 128, f) for h, f in zip(holes, true, strict=True)])
        engine, begun = Counting(arguments.engine), time.process_time()
        with open_frames(shown.astype(np.uint8)) as source:
            ours = list(erased_frames(source, lambda index, holes=holes: holes[index], engine, grow=0))
        seconds = (time.process_time() - begun) / len(true)
        made_up = engine.pixels / sum(int(hole.sum()) for hole in holes)
        alone = [filled(shown[i].astype(np.uint8), holes[i], engine, 0) for i in range(0, len(true), 5)]
        first = np.mean([psnr(a, b, h) for a, b, h in zip(ours, true, holes, strict=True)])
        second = np.mean([psnr(a, true[5 * i], holes[5 * i]) for i, a in enumerate(alone)])
        print(f"{name:<16}{first:10.2f} dB{second:8.2f}{made_up:9.1%}{seconds:7.2f}", flush=True)


if __name__ == "__main__":
    main()
