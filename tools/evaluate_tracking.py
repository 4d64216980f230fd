#!/usr/bin/env python3
"""J and F of a model on made clips that nothing was trained on.

    python tools/make_scenes.py --seed 991 --count 90 --out runs/scenes_held
    python tools/evaluate_tracking.py --scenes runs/scenes_held [--model nano] [--prompt mask box click]

The first frame is prompted; the others are followed and counted where the object can be seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from everymask.evaluate.metrics import bounding_box, innermost
from everymask.evaluate.tracking import score_tracks
from everymask.models.load import load
from everymask.train.cache import load_scene
from everymask.train.clips import Clip, make_clip
from everymask.video.tracker import VideoTracker

SEEN_PIXELS = 40  # smaller rests of an object, at its edge or behind another, are not counted


def held_clips(folder: Path, count: int, side: int, frames: int, objects: int) -> Iterator[Clip]:
    """Clips of the scenes in a folder; the same ones every time."""
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise SystemExit(f"there are no scenes in {folder}; make some with tools/make_scenes.py")
    for index in range(count):
        rng = np.random.default_rng([991, index])
        yield make_clip(rng, lambda r: load_scene(paths[r.integers(len(paths))]), side, frames, objects)


def follow(tracker: VideoTracker, clip: Clip, prompt: str) -> np.ndarray:
    """What the tracker says of a clip's objects, bool [O, F, S, S]."""
    with tracker.open(clip.frames) as session:
        for number, truth in enumerate(clip.objects):
            first = truth[0]
            if prompt == "mask":
                session.add_prompt(0, number, mask=first)
            elif prompt == "box":
                session.add_prompt(0, number, box=bounding_box(first))
            else:
                session.add_prompt(0, number, points=[innermost(first)])
        return np.stack([frame.masks for frame in session.propagate()], axis=1)


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--scenes", type=Path, default=Path("runs/scenes_held"))
    parser.add_argument("--model", default="nano", help="a name or a weights file")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--objects", type=int, default=3)
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("--prompt", nargs="+", choices=("mask", "box", "click"), default=["mask"])
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    tracker = VideoTracker(load(chosen.model))
    for prompt in chosen.prompt:
        tracks, lasting = [], []
        for clip in held_clips(chosen.scenes, chosen.clips, chosen.side, chosen.frames, chosen.objects):
            said = follow(tracker, clip, prompt)
            tracks += [(s[1:], t[1:]) for s, t in zip(said, clip.objects, strict=True)]
            lasting += [(s[-3:], t[-3:]) for s, t in zip(said, clip.objects, strict=True)]
        scores, end = (score_tracks(x, SEEN_PIXELS) for x in (tracks, lasting))
        print(
            f"{prompt}: {scores.objects} objects, {scores.frames} frames of them: "
            f"J {scores.j:.3f} F {scores.f:.3f} J&F {scores.jf:.3f}; "
            f"the last three frames J&F {end.jf:.3f}; presence {scores.presence:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
