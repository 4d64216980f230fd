#!/usr/bin/env python3
"""Adapting a model to a new domain in minutes: cells under a microscope, gain on slides held aside.

    python benchmarks/adapt.py [--model nano] [--minutes 3] [--out runs/adapt]

Makes 24 slides to train on and 12 held aside (pale, touching, granular cells with nuclei on an uneven
ground: nothing like the scenes nano was trained on), measures one click and one box per cell on the
slides held aside, fine-tunes the decoder and neck on the others with ``everymask train``'s functions, and
measures again.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from everymask.evaluate.data import annotated_photos
from everymask.evaluate.prompted import score_prompts
from everymask.models.load import load
from everymask.train.data import read_examples
from everymask.train.finetune import PARTS, finetune, write_weights
from everymask.train.noise import fractal_field, smooth_field, warp


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--parts", choices=PARTS, default="neck")
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--out", type=Path, default=Path("runs/adapt"))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    write_slides(arguments.out / "train", range(24))
    write_slides(arguments.out / "aside", range(1000, 1012))
    model = load(arguments.model)
    aside = list(annotated_photos(arguments.out / "aside"))
    before = asdict(score_prompts(model, aside))
    examples = read_examples(arguments.out / "train")
    settings = {"parts": arguments.parts, "minutes": arguments.minutes, "learning_rate": arguments.rate}
    for report in finetune(model, examples, **settings):
        if report.step % 50 == 0:
            print(
                f"step {report.step}, {report.minutes:.1f} min, best {report.losses['best']:.3f}", flush=True
            )
    after = asdict(score_prompts(model, aside))
    write_weights(model, arguments.out / "cells.safetensors")
    for name in ("click_best", "click_top", "box_iou", "rank_correlation"):
        print(f"{name:18s}{before[name]:8.3f} -> {after[name]:.3f}")
    print(json.dumps({"before": before, "after": after}))


def write_slides(folder: Path, numbers: range) -> None:
    """NAME.png beside NAME_0.png, 384 x 384."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        photo, labels = slide(np.random.default_rng([number, 77]), 384)
        Image.fromarray(photo).save(folder / f"slide{number:04d}.png")
        Image.fromarray(labels).save(folder / f"slide{number:04d}_0.png")


def slide(rng: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo RGB uint8 [S, S, 3] and the numbers of its cells uint8 [S, S], 0 the ground."""
    ground = 205 + 8 * smooth_field(rng, side, 1.5) + 5 * fractal_field(rng, side, 20)
    labels = np.zeros((side, side), np.uint8)
    for number in range(1, int(rng.integers(8, 16)) + 1):
        cell = blob(rng, side, rng.uniform(0.05, 0.13) * side)
        free = cell & (labels == 0)
        if free.sum() < 0.7 * cell.sum():
            continue
        rim = cell & ~cv2.erode(cell.astype(np.uint8), np.ones((7, 7))).astype(bool)
        shade = rng.normal(-22, 6) + 9 * fractal_field(rng, side, 60, 3, 0.8)
        ground = np.where(free, ground + shade, ground)
        ground = np.where(free & rim, ground - rng.uniform(12, 30), ground)
        ys, xs = np.nonzero(cell)
        nucleus = np.zeros((side, side), np.uint8)
        middle = int(xs.mean() + rng.normal(0, 4)), int(ys.mean() + rng.normal(0, 4))
        cv2.circle(nucleus, middle, int(0.3 * np.sqrt(cell.sum() / np.pi)), 1, -1)
        ground = np.where((nucleus > 0) & free, ground - 45, ground)
        labels[free] = number
    blurred = cv2.GaussianBlur(ground, (0, 0), 1.2) + rng.normal(0, 3, (side, side))
    tint = np.array([1.0, 0.93, 0.98])
    return np.clip(blurred[..., None] * tint, 0, 255).astype(np.uint8), labels


def blob(rng: np.random.Generator, side: int, radius: float) -> np.ndarray:
    """A roundish cell, bool [S, S]."""
    disc = np.zeros((side, side), np.uint8)
    centre = rng.uniform(0.05, 0.95, 2) * side
    axes = (int(radius * rng.uniform(0.8, 1.3)), int(radius * rng.uniform(0.8, 1.3)))
    cv2.ellipse(disc, (int(centre[0]), int(centre[1])), axes, rng.uniform(0, 180), 0, 360, 255, -1)
    return warp(rng, disc.astype(np.float32), 0.12 * radius, 8) > 127


if __name__ == "__main__":
    main()
