#!/usr/bin/env python3
"""Train nano's memory on made clips; the parts that segment photos stay as they are.

    python tools/train_nano_memory.py IMAGE_WEIGHTS.safetensors --out WITH_MEMORY.safetensors --minutes 20

The weights to start from are those of ``tools/train_nano.py``; --memory continues with the memory parts of
a file that this script wrote.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save_file

from everymask.models.sam2 import Sam2
from everymask.models.specs import MODELS
from everymask.train.cache import SceneFolder
from everymask.train.clips import make_clip
from everymask.train.loop import TrainOptions
from everymask.train.memory import MEMORY_PARTS, begin_memory, train_memory


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--memory", type=Path, help="take the memory parts from this file instead")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, default="runs/scenes")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--objects", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(arguments.seed)
    model = Sam2(replace(MODELS["nano"], image_size=arguments.side)).eval()
    model.load_state_dict(load_file(arguments.weights))
    folder = SceneFolder(arguments.scenes)
    if arguments.memory:
        kept = {k: v for k, v in load_file(arguments.memory).items() if k.startswith(MEMORY_PARTS)}
        model.load_state_dict(kept, strict=False)
    else:
        rng = np.random.default_rng(arguments.seed)
        photos = [model.preprocess(folder.draw(rng).photo) for _ in range(8)]
        with torch.no_grad():
            begin_memory(model, model.encode_image(torch.stack(photos)).embedding)
    options = TrainOptions(
        minutes=arguments.minutes,
        learning_rate=arguments.rate,
        warmup_steps=100,
        ema=0.995,
        seed=arguments.seed,
        train_parts=MEMORY_PARTS,
        dense=False,
        report_steps=50,
    )

    def source(rng: np.random.Generator):
        return make_clip(rng, folder.draw, arguments.side, arguments.frames, arguments.objects)

    for report in train_memory(model, source, options):
        means = " ".join(f"{name}={value:.3f}" for name, value in report.losses.items())
        print(f"step={report.step} minutes={report.minutes:.1f} {means}", flush=True)
    save_file(model.state_dict(), arguments.out)


if __name__ == "__main__":
    main()
