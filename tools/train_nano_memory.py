#!/usr/bin/env python3
"""Train nano's memory on made clips; the parts that segment photos stay as they are.

    python tools/train_nano_memory.py IMAGE_WEIGHTS.safetensors --out WITH_MEMORY.safetensors --minutes 20

The weights to start from are those of ``tools/train_nano.py``; --memory takes the memory parts from another
file: one that this script wrote, or the bundled weights. With --labelled, most things that move are objects
cut out of photos, they bend, and most of what they move in front of is photos. The averaged weights so far
are written to --out every few minutes.
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
from everymask.train.clips import varied_clip
from everymask.train.labelled import MixedSource
from everymask.train.memory import MEMORY_PARTS, begin_memory, train_memory
from everymask.train.state import TrainOptions, start
from everymask.train.together import rank, run_together

SAVE_MINUTES = 4.0
BENDING = 0.6  # share of the things that change their shape, with --labelled


def float_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file in float32: those of the bundled weights are float16."""
    return {name: value.float() for name, value in load_file(path).items()}


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--memory", type=Path, help="take the memory parts from this file instead")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, default="runs/scenes")
    parser.add_argument(
        "--labelled", type=Path, help="photos with label maps in objects/, and photos/ without"
    )
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--final-rate", type=float, default=0.02, help="share of it left at the end (cosine)")
    parser.add_argument("--warmup", type=int, default=100, help="steps")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--processes", type=int, default=1, help="that train together, a clip each")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.processes == 1:
        run(arguments)
    else:
        run_together(arguments.processes, run, arguments)


def run(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(arguments.seed)
    model = Sam2(replace(MODELS["nano"], image_size=arguments.side)).eval()
    model.load_state_dict(float_weights(arguments.weights))
    folder = SceneFolder(arguments.scenes)
    if arguments.memory:
        kept = {k: v for k, v in float_weights(arguments.memory).items() if k.startswith(MEMORY_PARTS)}
        model.load_state_dict(kept, strict=False)
    else:
        rng = np.random.default_rng(arguments.seed)
        photos = [model.preprocess(folder.draw(rng).photo) for _ in range(8)]
        with torch.no_grad():
            begin_memory(model, model.encode_image(torch.stack(photos)).embedding)
    options = TrainOptions(
        minutes=arguments.minutes,
        learning_rate=arguments.rate,
        final_rate=arguments.final_rate,
        warmup_steps=arguments.warmup,
        ema=0.995,
        seed=arguments.seed,
        train_parts=MEMORY_PARTS,
        dense=False,
        report_steps=50,
    )

    mixed = MixedSource(folder.draw, arguments.labelled, arguments.side) if arguments.labelled else None

    def source(rng: np.random.Generator):
        if mixed is None:
            return varied_clip(rng, folder.draw, arguments.side)
        return varied_clip(rng, mixed.behind, arguments.side, draw_thing=mixed.thing, bending=BENDING)

    saved = 0.0
    state = start(model, options)
    for report in train_memory(state, source, options):
        if rank() > 0:  # one of those that train together tells and saves
            continue
        means = " ".join(f"{name}={value:.3f}" for name, value in report.losses.items())
        print(f"step={report.step} minutes={report.minutes:.1f} {means}", flush=True)
        if report.minutes - saved > SAVE_MINUTES:
            saved = report.minutes
            save_file(state.average.state_dict(), arguments.out)
    if rank() == 0:
        save_file(state.average.state_dict(), arguments.out)


if __name__ == "__main__":
    main()
