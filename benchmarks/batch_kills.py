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
    with out.with_suffix(".said").open("wb") as said:
        return subprocess.Popen([str(word) for word in words] + FLAGS, stderr=said)


def last_said(out: Path) -> str:
    """The last line that a run wrote on stderr."""
    lines = out.with_suffix(".said").read_text("utf-8", errors="replace").splitlines()
    return lines[-1][:300] if lines else ""


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
    models = [pid for pid in found if "ModelActor" in names.get(pid, "")]
    trials = [pid for pid in found if "everymask.batching.own_process" in names.get(pid, "")]
    # The agents of a node count as the node: it ends with them.
    agents = [pid for pid in found if names.get(pid, "").startswith("ray::") and "Agent" in names[pid]]
    tasks = [pid for pid in found if names.get(pid, "").startswith("ray::")]
    nodes = [pid for pid in found if "raylet/raylet" in names.get(pid, "").split(" ")[0]]
    return {
        "driver": [root],
        "actor": models + trials,
        "task": sorted(set(tasks) - set(agents) - set(models)),
        "node": nodes + agents,
    }


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
            sys.exit(f"the undisturbed run failed: {last_said(quiet)}")
        usual = time.monotonic() - begun
        print(f"an undisturbed run takes {usual:.0f} s", flush=True)
        left = asked.kills
        while True:
            run = start(photos, out, asked.actors)
            while run.poll() is None and left:
                if chance.random() < 0.75:  # most kills come while there is a model at work
                    while run.poll() is None and not below(run.pid)["actor"]:
                        time.sleep(0.2)
                    time.sleep(chance.uniform(0, 0.1) * usual)
                else:
                    time.sleep(chance.uniform(0, 0.7) * usual)
                kind = chance.choice(["driver", "actor", "actor", "task", "node"])
                there = below(run.pid)[kind] if run.poll() is None else []
                if there:
                    os.kill(chance.choice(there), signal.SIGKILL)
                    left -= 1
                    print(f"killed {kind}; {len(rows_of(out))} of {asked.photos} rows had landed", flush=True)
            status = run.wait()
            print(f"run ended with {status}: {last_said(out)}", flush=True)
            if status == 0 and not left:
                break
            if status == 0:  # it was done before all kills were spent: from the beginning
                for path in out.glob("batch-*/parts/*.parquet"):
                    path.unlink()
        rows, wanted = rows_of(out), rows_of(quiet)
        same = rows == wanted
        for row, other in zip(rows, wanted, strict=False):
            if row != other:
                print(f"{row['photo']} ({row['error']}) is not {other['photo']} ({other['error']})")
        print(f"{asked.kills} kills, {len(rows)} rows: {'the same' if same else 'OTHERS'}")
        sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
