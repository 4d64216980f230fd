"""A batch that is killed again and again on a real Ray: driver, workers, the node. Are its rows right?

    python -m benchmarks.batch_kills --kills 20 --photos 60

Compares with a run that nobody disturbed: every row once, the same masks. Prints what was killed, and fails
where a row differs. Only processes that the run started are killed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

FLAGS = ["--points-per-side", "2", "--photos-per-part", "2", "--pred-iou-thresh", "0"]


def save_photos(folder: Path, count: int) -> None:
    folder.mkdir()
    chance = np.random.default_rng(0)
    for number in range(count):
        rough = chance.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(rough).resize((64, 64)).save(folder / f"{number:04d}.png")


def start(photos: Path, out: Path, actors: int) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "everymask.cli.main", "batch", photos, "-o", out, "--actors", str(actors)]
    return subprocess.Popen([str(word) for word in words] + FLAGS, stderr=subprocess.DEVNULL)


def below(root: int) -> dict[str, list[int]]:
    """The processes that ``root`` started, theirs too: workers at work, and the node (raylet)."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text("utf-8").rpartition(")")[2].split()
                names[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                parents[int(entry.name)] = int(fields[1])
            except (OSError, ValueError):
                continue
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    workers = [pid for pid in found if names.get(pid, "").startswith("ray::")]
    trials = [pid for pid in found if "everymask.batching.own_process" in names.get(pid, "")]
    nodes = [pid for pid in found if "raylet/raylet" in names.get(pid, "").split(" ")[0]]
    return {"driver": [root], "worker": workers + trials, "node": nodes}


def rows_of(out: Path) -> list[dict]:
    tables = [pq.read_table(path) for path in sorted(out.glob("batch-*/parts/*.parquet"))]
    rows = [row for table in tables for row in table.drop_columns(["seconds", "worker"]).to_pylist()]
    return sorted(rows, key=lambda row: row["photo"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--photos", type=int, default=16)
    parser.add_argument("--actors", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as scratch:
        photos, quiet, out = (Path(scratch) / name for name in ("in", "quiet", "out"))
        save_photos(photos, asked.photos)
        begun = time.monotonic()
        if start(photos, quiet, asked.actors).wait() != 0:
            sys.exit("the undisturbed run failed")
        usual = time.monotonic() - begun
        left = asked.kills
        while True:
            run = start(photos, out, asked.actors)
            while run.poll() is None and left:
                time.sleep(chance.uniform(0.2, 0.7) * usual)
                kind = chance.choice(["driver", "worker", "node"])
                there = below(run.pid)[kind] if run.poll() is None else []
                if there:
                    victim = chance.choice(there)
                    os.kill(victim, signal.SIGKILL)
                    left -= 1
                    print(f"killed {kind}; {len(rows_of(out))} of {asked.photos} rows had landed", flush=True)
            status = run.wait()
            print(f"run ended with {status}", flush=True)
            if status == 0 and not left:
                break
            if status == 0:  # it was done before all kills were spent: from the beginning
                for path in out.glob("batch-*/parts/*.parquet"):
                    path.unlink()
        same = rows_of(out) == rows_of(quiet)
        print(f"{asked.kills} kills, {len(rows_of(out))} rows: {'the same' if same else 'OTHERS'}")
        sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
