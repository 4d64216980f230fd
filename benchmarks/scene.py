"""A made scene of gigapixels, segmented from the shell in tiles: time of the processor, and memory at most.

    python -m benchmarks.scene --megapixels 2000 --model nano

The scene is a GeoTIFF: plain ground, fields of objects here and there, and a river from one corner to the
other, one object of as many pixels as a large photo. Prints what was found, and fails where the river is in
pieces.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIDE = 1024  # of the file's blocks


def save_scene(path: Path, side: int, fields: int) -> None:
    """Write a scene of ``side`` x ``side`` pixels, block by block."""
    import rasterio
    from rasterio.windows import Window

    chance = np.random.default_rng(0)
    blocks = -(-side // SIDE)
    busy = {tuple(place) for place in chance.integers(0, blocks, (fields, 2)).tolist()}
    options = {
        **{"driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8"},
        **{"tiled": True, "blockxsize": SIDE, "blockysize": SIDE, "compress": "deflate", "BIGTIFF": "YES"},
        **{"crs": "EPSG:32633", "transform": rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)},
    }
    with rasterio.open(path, "w", **options) as file:
        for top in range(0, side, SIDE):
            for left in range(0, side, SIDE):
                height, width = min(SIDE, side - top), min(SIDE, side - left)
                block = np.full((height, width, 3), (96, 118, 70), np.uint8)
                if (top // SIDE, left // SIDE) in busy:
                    for _ in range(30):
                        y, x, size = chance.integers(0, [height, width, 120])
                        block[y : y + 20 + size, x : x + 20 + size] = chance.integers(0, 255, 3)
                rows, columns = np.mgrid[top : top + height, left : left + width]
                bank = np.abs(rows - columns - (side / 12) * np.sin(columns / (side / 12))) < side / 100
                block[bank] = (40, 70, 150)
                file.write(block.transpose(2, 0, 1), window=Window(left, top, width, height))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megapixels", type=int, default=2000)
    parser.add_argument("--fields", type=int, default=20)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--points-per-side", type=int, default=8)
    asked = parser.parse_args()
    side = round((asked.megapixels * 1e6) ** 0.5)
    with tempfile.TemporaryDirectory() as scratch:
        scene, out = Path(scratch) / "scene.tif", Path(scratch) / "out"
        save_scene(scene, side, asked.fields)
        print(f"{side} x {side} pixels, {scene.stat().st_size / 1e6:.0f} MB", flush=True)
        words = ["segment", scene, "-o", out, "-f", "geojson", "--points-per-side", asked.points_per_side]
        words = [sys.executable, "-m", "everymask.cli.main", *map(str, words), "--model", asked.model]
        begun = time.monotonic()
        subprocess.run(words, check=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        (written,) = (out / "geojson").rglob("*.geojson")
        shapes = json.loads(written.read_text("utf-8"))["features"]
        areas = sorted((shape["properties"]["area"] for shape in shapes), reverse=True)
        print(
            f"{len(shapes)} masks, the largest of {areas[0] / 1e6:.0f} megapixels; "
            f"{used.ru_utime + used.ru_stime:.0f} s of the processor, {time.monotonic() - begun:.0f} s, "
            f"{used.ru_maxrss / 2**10:.0f} MB at most"
        )
        river = side * side / 50
        sys.exit(0 if areas[0] > 0.8 * river else f"the river has {river:.0f} px, no mask is like it")


if __name__ == "__main__":
    main()
