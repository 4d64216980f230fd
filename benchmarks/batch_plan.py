"""Planning and resuming a batch of very many photos: time and memory, no photo read.

    python -m benchmarks.batch_plan --photos 10000000

Each phase runs in a process of its own: planning from nothing; resuming with half of the parts landed;
resuming when one photo in a hundred is new and one in a thousand has changed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from everymask.batching.listing import Entry
from everymask.batching.manifest import open_manifest
from everymask.batching.plan import Plan, make_plan
from everymask.batching.storage import Place
from everymask.formats.photo_rows import table_bytes, to_table

SETTINGS = {"model": "none"}


def photos(count: int, new: int = 0, changed_every: int = 0) -> Iterator[Entry]:
    """Made-up photos as a bucket lists them; the last ``new`` of them under other names."""
    for number in range(count):
        stamp = "2" if changed_every and number % changed_every == 0 else "1"
        kind = "new" if number >= count - new else "old"
        name = f"{number // 10_000:05d}/{kind}_{number:09d}.jpg"
        yield Entry(name, f"s3://a-bucket-of-photos/{name}", "", 300_000, f'300000-"{number:032x}{stamp}"')


def phase(name: str, folder: Path, count: int) -> dict[str, float]:
    """Run one phase and say what it took."""
    manifest, _ = open_manifest(Place.of(folder), SETTINGS)
    begun, wall = time.process_time(), time.monotonic()
    if name == "listing":
        total = sum(1 for _ in photos(count))
        plan = Plan(photos=total)
    elif name == "changed":
        plan = make_plan(manifest, photos(count, new=count // 100, changed_every=1000))
    else:
        plan = make_plan(manifest, photos(count))
    return {
        "cpu_s": round(time.process_time() - begun, 1),
        "wall_s": round(time.monotonic() - wall, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "photos": plan.photos,
        "done": plan.done,
        "added": plan.added,
        "changed": plan.changed,
        "parts_to_make": plan.parts,
    }


def land_half(folder: Path) -> int:
    """Put a part without rows where every other part would be."""
    (home,) = folder.glob("batch-*")
    manifest, _ = open_manifest(Place.of(folder), SETTINGS)
    (home / "parts").mkdir()
    nothing = table_bytes(to_table([]))
    plan = make_plan(manifest, ())
    names = [
        f"{each.shard.name.removesuffix('.parquet')}-{number:04d}"
        for each in plan.pending
        for number in each.numbers
    ][::2]
    for name in names:
        manifest.part(name).path.write_bytes(nothing)
    return len(names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--phase", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.phase == "landing":
        land_half(asked.folder)
        return
    if asked.phase:
        print(json.dumps(phase(asked.phase, asked.folder, asked.photos)))
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in ("listing", "planning", "landing", "resuming", "changed"):
            words = ["--phase", name, "--folder", folder, "--photos", str(asked.photos)]
            said = subprocess.run(
                [sys.executable, "-m", "benchmarks.batch_plan", *words],
                check=True,
                capture_output=True,
                text=True,
            )
            if said.stdout:
                print(f"{name:10s}", said.stdout.strip(), flush=True)
        (home,) = Path(folder).glob("batch-*")
        files = list((home / "plan").iterdir())
        print(f"plan: {len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
