"""Many small photos: `everymask batch` beside as many `everymask segment` processes, and its memory.

    python -m benchmarks.batch_speed --photos 2000              # throughput of both; wants a quiet machine
    python -m benchmarks.batch_speed --photos 10000 --memory    # the batch alone; its memory as photos land

Wall time counts from the first photo that is done to the last, so that neither start counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.batch_kills import below

EVERYMASK = [sys.executable, "-m", "everymask.cli.main"]


def save_photos(folder: Path, count: int, side: int) -> None:
    folder.mkdir()
    chance = np.random.default_rng(0)
    for number in range(count):
        rough = chance.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(rough).resize((side, side)).save(folder / f"{number:06d}.png")


def watched(
    processes: list[subprocess.Popen[bytes]], done: Callable[[], int], look: Callable[[int], None]
) -> float:
    """Wait for processes; photos a second from the first look at which some are done to the last one."""
    seen: list[tuple[float, int]] = []
    while any(process.poll() is None for process in processes):
        time.sleep(0.5)
        if (count := done()) and (not seen or count != seen[-1][1]):
            seen.append((time.monotonic(), count))
            look(count)
    if any(process.returncode for process in processes):
        sys.exit("a run failed")
    (first, some), (last, all_) = seen[0], seen[-1]
    return (all_ - some) / max(last - first, 1e-9)


def side_by_side(photos: Path, out: Path, count: int, flags: list[str]) -> float:
    """Photos a second of ``count`` processes of segment, each with its share."""
    names = sorted(str(path) for path in photos.iterdir())
    processes = []
    for number in range(count):
        words = [*EVERYMASK, "segment", "-", "-o", str(out / str(number)), "-f", "amg-rle", *flags]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdin is not None
        process.stdin.write("\n".join(names[number::count]).encode())
        process.stdin.close()
        processes.append(process)
    return watched(processes, lambda: len(list(out.glob("*/amg-rle/*.json"))), lambda landed: None)


def in_a_batch(photos: Path, out: Path, actors: int, flags: list[str], total: int) -> float:
    """Photos a second of a batch; prints the memory of its models and of everything at every tenth."""
    words = [*EVERYMASK, "batch", str(photos), "-o", str(out), "--actors", str(actors), *flags]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    next_look = [0]

    def landed() -> int:
        return 16 * len(list(out.glob("batch-*/parts/*.parquet")))

    def look(count: int) -> None:
        if count < next_look[0]:
            return
        next_look[0] = count + total // 10
        there = below(process.pid)
        told = ", ".join(f"{resident(pid):.0f}" for pid in there["actor"])
        whole = sum(resident(pid) for kind in there.values() for pid in kind)
        print(f"{count:,} photos: models {told} MB, all {whole:.0f} MB", flush=True)

    return watched([process], landed, look)


def resident(pid: int) -> float:
    """Megabytes of a process that are its own: without the pages of Ray's object store, which all of them
    share and which stays within its own limit."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    told = dict(line.split(":", 1) for line in lines)
    return sum(int(told[name].split()[0]) for name in ("RssAnon", "RssFile") if name in told) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--points-per-side", type=int, default=4)
    parser.add_argument("--memory", action="store_true", help="the batch alone")
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    flags = ["--points-per-side", str(asked.points_per_side)]
    told: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        photos = Path(scratch) / "in"
        save_photos(photos, asked.photos, asked.side)
        if not asked.memory:
            told["segment"] = side_by_side(photos, Path(scratch) / "segment", asked.actors, flags)
        batch = [*flags, "--photos-per-part", "16"]
        told["batch"] = in_a_batch(photos, Path(scratch) / "batch", asked.actors, batch, asked.photos)
    if "segment" in told:
        told["ratio"] = told["batch"] / told["segment"]
    print(json.dumps({name: round(value, 3) for name, value in told.items()}))


if __name__ == "__main__":
    main()
