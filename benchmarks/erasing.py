"""Holes cut into photos and filled: what each engine makes of them, beside what was there.

    python -m benchmarks erasing -- PHOTOS [--engines opencv patches] [--pictures OUT]

Into each of the first ``--count`` photos a round hole is cut, at a place that its name decides. For each
engine, means over the photos, in the hole alone: PSNR and SSIM (of luminance), and how much of the detail
there is (standard deviation of the Laplacian; 1: as much as was). PSNR and SSIM favour smooth guesses: a
texture that goes on, shifted by a pixel, scores below a grey smear. So *texture* does not ask where a thing
is: it is what the histograms of local binary patterns (Ojala et al. 2002; of luminance, radius 1 and 2) of
the fill and of the true pixels have in common, 0 to 1. CPU seconds are those of the process.
"""

from __future__ import annotations

import argparse
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
from skimage.feature import local_binary_pattern
from skimage.metrics import structural_similarity

import everymask as em


def hole_in(name: str, hw: tuple[int, int]) -> np.ndarray:
    """A round hole, bool [H, W]: about a ninth of the shorter side in radius, away from the border."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    radius = min(hw) // 9
    y, x = (random.integers(2 * radius, side - 2 * radius) for side in hw)
    rows, columns = np.ogrid[: hw[0], : hw[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def scores(filled: np.ndarray, photo: np.ndarray, hole: np.ndarray) -> tuple[float, ...]:
    """PSNR, SSIM, share of the true detail, and texture in common, in the hole."""
    ours, true = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY).astype(np.float64) for each in (filled, photo))
    error = np.mean((ours[hole] - true[hole]) ** 2)
    _, similar = structural_similarity(ours, true, data_range=255, full=True)
    detail = [cv2.Laplacian(each, cv2.CV_64F)[hole].std() for each in (ours, true)]
    return (
        10 * np.log10(255**2 / max(error, 1e-9)),
        float(similar[hole].mean()),
        detail[0] / max(detail[1], 1e-9),
        texture_in_common(ours, true, hole),
    )


def texture_in_common(one: np.ndarray, other: np.ndarray, hole: np.ndarray) -> float:
    """The intersection of the histograms of local binary patterns of two pictures [H, W], in the hole."""
    shares = []
    for points, radius in ((8, 1), (12, 2)):
        histograms = []
        for picture in (one, other):
            pixels = np.rint(picture).astype(np.uint8)
            patterns = local_binary_pattern(pixels, points, radius, "uniform")[hole].astype(int)
            histograms.append(np.bincount(patterns, minlength=points + 2) / len(patterns))
        shares.append(np.minimum(*histograms).sum())
    return float(np.mean(shares))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--engines", nargs="+", default=["opencv", "patches"])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--pictures", type=Path, help="folder for what each engine made")
    arguments = parser.parse_args()
    paths = sorted(arguments.photos.glob("*.jpg"))[: arguments.count]
    found: dict[str, list[tuple[float, ...]]] = {engine: [] for engine in arguments.engines}
    seconds = dict.fromkeys(arguments.engines, 0.0)
    for path in paths:
        photo = em.read_photo(path)
        hole = hole_in(path.name, photo.shape[:2])
        shown = [photo, np.where(hole[..., None], 0, photo)]
        holed = np.where(hole[..., None], 255, photo).astype(np.uint8)
        for engine in arguments.engines:
            begun = time.process_time()
            filled = em.erase(holed, hole, engine=engine, grow=0)
            seconds[engine] += time.process_time() - begun
            found[engine].append(scores(filled, photo, hole))
            shown.append(filled)
        if arguments.pictures:
            arguments.pictures.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(arguments.pictures / f"{path.stem}.png"), np.hstack(shown)[..., ::-1])
    names = ("PSNR dB", "SSIM", "detail", "texture", "CPU s")
    print(f"{len(paths)} photos\n{'engine':<10}" + "".join(f"{name:>9}" for name in names))
    for engine, rows in found.items():
        means = [*np.mean(rows, axis=0), seconds[engine] / len(paths)]
        print(f"{engine:<10}" + "".join(f"{value:9.3f}" for value in means))


if __name__ == "__main__":
    main()
