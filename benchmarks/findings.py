"""Findings: what exploring costs, and how long another answer takes.

    python -m benchmarks findings -- --models nano sam2.1_hiera_tiny --photo PHOTO

For each model: one run of ``generate``, one of ``explore``, then answers to one option changed at a time,
each value asked for the first time (what was measured before is remembered, as for a user at a slider), and
to values asked before. Times are processor time of one thread, or with ``--wall`` wall time on all cores;
official models have seeded encoders and nano's decoder widened (``benchmarks/widened.py``). Without --photo
the bundled one is taken.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measure import peak_bytes, reset_peak, resident_bytes
from everymask.everything.generate import AutomaticMaskGenerator
from everymask.media.photos import read_photo
from everymask.models.base import PromptableModel
from everymask.models.load import load

DEFAULT = ("nano", "sam2.1_hiera_tiny")
STEPS = (-0.15, -0.1, -0.05, 0.05, 0.1)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks findings --", description=__doc__)
    parser.add_argument("--models", nargs="+", metavar="NAME", default=list(DEFAULT))
    parser.add_argument("--photo", default=None)
    parser.add_argument("--points-per-side", type=int, default=32)
    parser.add_argument("--wall", action="store_true", help="wall time on all cores, on a quiet machine")
    given = parser.parse_args(arguments)
    if given.wall:
        global clock
        clock = time.perf_counter
    else:
        torch.set_num_threads(1)
    photo = given.photo or str(Path(__file__).parent.parent / "everymask" / "assets" / "photo.jpg")
    for name in given.models:
        run(model_of(name, photo), read_photo(photo), given.points_per_side)


def model_of(name: str, photo: str) -> PromptableModel:
    """nano as it ships, or another model with nano's decoder widened."""
    from benchmarks.everything import adjust, our_model

    return load("nano", dtype=torch.float32) if name == "nano" else our_model(name, adjust(name, photo))


def run(model: PromptableModel, photo: np.ndarray, points_per_side: int) -> None:
    """Print what one model takes on one photo."""
    generator = AutomaticMaskGenerator(model, points_per_side=points_per_side)
    height, width = photo.shape[:2]
    print(f"\n{model.spec.name}, {width} x {height}, {points_per_side} points per side, {how()}")
    masks, once = timed(lambda: generator.generate(photo))
    before = resident_bytes()
    reset_peak()
    findings, explored = timed(lambda: generator.explore(photo))
    held, peak = (resident_bytes() - before) / 2**20, (peak_bytes() - before) / 2**20
    print(f"generate {once:.1f} s ({len(masks)} masks), explore {explored:.1f} s")
    print(f"{findings}; memory +{held:.0f} MB, while exploring +{peak:.0f} MB")
    first, seconds = timed(findings.masks)
    same = first.to_dicts("coco_rle") == masks.to_dicts("coco_rle")
    print(f"the first answer {1000 * seconds:.0f} ms, {'equal to' if same else 'NOT'} what generate gives")
    for name, values in changes(generator.options).items():
        times = [timed(lambda v=v, n=name: findings.masks(**{n: v}))[1] for v in values]
        again = [timed(lambda v=v, n=name: findings.masks(**{n: v}))[1] for v in values]
        print(
            f"  {name:24} new: median {1000 * statistics.median(times):5.0f} ms, most "
            f"{1000 * max(times):5.0f} ms; asked before: {1000 * statistics.median(again):4.0f} ms"
        )
    reasons, seconds = timed(lambda: findings.why(width // 2, height // 2))
    print(f"  why at the centre: {len(reasons)} candidates in {1000 * seconds:.0f} ms")


def changes(options: Any) -> dict[str, list[float]]:
    """New values of each threshold, in the order in which they are asked."""
    shares = ("pred_iou_thresh", "stability_score_thresh", "box_nms_thresh")
    steps = {name: [round(getattr(options, name) + step, 3) for step in STEPS] for name in shares}
    inside = {name: [min(1.0, max(0.0, value)) for value in values] for name, values in steps.items()}
    return {
        **inside,
        "mask_threshold": [options.mask_threshold + step for step in (-0.5, 0.25, 0.5)],
        "stability_score_offset": [options.stability_score_offset * share for share in (0.7, 1.2, 1.5)],
        "min_mask_region_area": [20, 50, 100],
        "mask_nms_thresh": [0.9, 0.8, 0.7],
    }


clock = time.process_time


def how() -> str:
    """What the times are."""
    return "processor time of one thread" if clock is time.process_time else "wall time on all cores"


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What ``work`` gives, and its time in seconds."""
    start = clock()
    return work(), clock() - start


if __name__ == "__main__":
    main()
