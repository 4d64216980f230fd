"""The fast effort against exact: masks found again, human regions, time.

    python -m benchmarks fast_effort -- --photos PHOTO... [--regions FOLDER] [--limit 20] [--model NAME]

For each photo, both efforts in turn on one thread: CPU seconds, the share of exact's masks that fast has, too
(IoU at least 0.8 and 0.5), the share of pixels under a mask. With a folder of NAME.jpg and NAME_K.png (16-bit
region ids of human K, as BSDS500 has them after conversion) also abo: for each human region of at least 1%
of its photo the best IoU of any mask, mean. Models other than nano have nano's decoder widened
(``benchmarks/widened.py``), adjusted on each photo.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import everymask as em
from benchmarks.everything import adjust, cpu_name, our_model
from everymask.evaluate.data import Annotated, annotated_photos
from everymask.models.base import PromptableModel

COLUMNS = ("exact s", "fast s", "ratio", "masks", "fast", "0.8", "0.5", "cover", "fast", "abo", "fast")


@dataclass(frozen=True)
class Run:
    """One effort on one photo."""

    masks: np.ndarray  # bool [M, H, W], sampled
    cpu_s: float


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks fast_effort --", description=__doc__)
    parser.add_argument("--photos", nargs="*", default=[], type=Path)
    parser.add_argument("--regions", type=Path, default=None)
    parser.add_argument("--limit", type=int, default=20, help="photos of the folder, evenly spread")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--points-per-side", type=int, default=32)
    parser.add_argument("--crop-n-layers", type=int, default=0)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    photos: list[tuple[Path, Annotated | None]] = [(path, None) for path in given.photos]
    if given.regions is not None:
        photos += [
            (given.regions / f"{each.name}.jpg", each)
            for each in annotated_photos(given.regions, given.limit)
        ]
    generator = {"points_per_side": given.points_per_side, "crop_n_layers": given.crop_n_layers}
    print(f"{given.model}, one thread, {cpu_name()}\n{'':16}" + "".join(f"{title:>9}" for title in COLUMNS))
    rows = [_row(given.model, path, told, generator) for path, told in photos]
    if rows:
        print(f"{'mean':16}" + _shown(np.nanmean(rows, axis=0)))


def _row(name: str, path: Path, told: Annotated | None, generator: dict[str, int]) -> Sequence[float]:
    photo, model = em.read_photo(path), _model(name, path)
    exact, fast = (_run(model, photo, effort, generator) for effort in ("exact", "fast"))
    found = overlaps(exact.masks, fast.masks).max(1, initial=0.0)
    every = _spacing(photo)
    regions = [region[::every, ::every] for region in told.regions()] if told is not None else []
    abo = [
        overlaps(np.stack(regions), run.masks).max(1, initial=0.0).mean() if regions else np.nan
        for run in (exact, fast)
    ]
    cover = [run.masks.any(0).mean() for run in (exact, fast)]
    row = [exact.cpu_s, fast.cpu_s, exact.cpu_s / fast.cpu_s, len(exact.masks), len(fast.masks)]
    row += [(found >= 0.8).mean(), (found >= 0.5).mean(), *cover, *abo]
    print(f"{path.stem:16}" + _shown(row), flush=True)
    return row


def _model(name: str, photo: Path) -> PromptableModel:
    if name == "nano":
        return em.load("nano", device="cpu", dtype=torch.float32)
    return our_model(name, adjust(name, str(photo)))


def _run(model: PromptableModel, photo: np.ndarray, effort: str, generator: dict[str, int]) -> Run:
    work = em.AutomaticMaskGenerator(model, effort=effort, **generator)
    started = time.process_time()
    masks = work.generate(photo)
    seconds = time.process_time() - started
    every = _spacing(photo)
    none = np.zeros_like(photo[::every, ::every, 0], bool)[None][:0]
    sampled = [m.segmentation[::every, ::every] for m in masks]
    return Run(np.stack(sampled) if sampled else none, seconds)


def _spacing(photo: np.ndarray) -> int:
    """Masks of large photos are compared at every n-th pixel: 160,000 of them are enough."""
    return max(1, int((photo.shape[0] * photo.shape[1] / 160_000) ** 0.5))


def overlaps(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """IoU of all pairs of masks bool [M, H, W] and [K, H, W]: [M, K].

    >>> overlaps(np.array([[[True, True]]]), np.array([[[True, False]], [[True, True]]])).tolist()
    [[0.5, 1.0]]
    """
    a, b = (x.reshape(len(x), -1).astype(np.float32) for x in (ours, theirs))
    both = a @ b.T
    return both / np.maximum(a.sum(1)[:, None] + b.sum(1)[None] - both, 1)


def _shown(row: Sequence[float]) -> str:
    return "".join(f"{value:9.3f}" if value < 20 else f"{value:9.0f}" for value in row)


if __name__ == "__main__":
    main()
