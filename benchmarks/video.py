"""``python -m benchmarks.video``: tracking next to the official predictor, same run, same seeded weights.

A turn is one frame of 1280 x 720 with a full memory (the prompted frame, six recent frames, 16 object
pointers): image encoder, memory attention, decoder, memory encoder, masks at the frame's size. ``--memory``
measures instead how the process grows with the length of a clip, ``--beside`` several of everymask's models.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.measure import Side, compare, difference, ratio_table

FRAME_HW = (720, 1280)
REMEMBERED = 16
"""Frames of the clip with a memory; the one behind them is tracked."""


def clip(count: int, hw: tuple[int, int] = FRAME_HW) -> np.ndarray:
    """Frames with a pattern that moves, uint8 [N, H, W, 3]."""
    y, x = np.mgrid[: hw[0], : hw[1]]
    waves = [128 + 100 * np.sin(x / 37 + i / 5) * np.cos(y / 23) for i in range(count)]
    return np.stack([np.stack([w, 255 - w, w / 2], axis=-1) for w in waves]).astype(np.uint8)


def boxes(objects: int) -> list[tuple[float, float, float, float]]:
    """A box for each object, side by side."""
    columns = [40 + 70 * i for i in range(objects)]
    return [(x, 100 + 20 * (i % 5), x + 60, 400 + 20 * (i % 5)) for i, x in enumerate(columns)]


def official_side(model: str, size: int, objects: int, bfloat16: bool = False) -> Callable[[], np.ndarray]:
    """The official ``SAM2VideoPredictor``; ``bfloat16`` runs it under autocast, as its README does."""
    import torch
    from sam2 import sam2_video_predictor

    from everymask.models.specs import MODELS
    from everymask.video.frames import frame_pixels
    from tests.parity.official import official_model
    from tests.parity.seeded import fill

    spec = replace(MODELS[model], image_size=size)
    predictor: Any = official_model(spec, video=True)
    fill(predictor)
    _see_all_objects(predictor)
    predictor.fill_hole_area = 0  # without its CUDA extension it only warns
    frames = clip(REMEMBERED + 1)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    images = torch.stack([(frame_pixels(frame, size) - mean) / std for frame in frames])
    sam2_video_predictor.load_video_frames = lambda **_: (images, *FRAME_HW)
    sam2_video_predictor.tqdm = lambda frames, **_: frames
    state = predictor.init_state("clip")
    for object_id, box in enumerate(boxes(objects)):
        predictor.add_new_points_or_box(state, 0, object_id, box=box)
    predictor.propagate_in_video_preflight(state)
    for outputs in state["output_dict_per_obj"].values():
        known = outputs["cond_frame_outputs"][0]
        outputs["non_cond_frame_outputs"].update(dict.fromkeys(range(1, REMEMBERED), known))

    def turn() -> np.ndarray:
        state["cached_features"].clear()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            ((_, _, logits),) = predictor.propagate_in_video(state, REMEMBERED, 0)
        assert (logits > 0).numpy().shape[0] == objects  # as a caller would
        return logits[:, 0, ::4, ::4].float().numpy()

    return turn


def _see_all_objects(model: Any) -> None:
    """Raise the object score, so that seeded weights do not find an object absent (and its mask trivial)."""
    model.sam_mask_decoder.pred_obj_score_head.layers[2].bias.data += 20


def our_side(
    model: str, size: int, objects: int, fast: bool = False, bfloat16: bool = False
) -> Callable[[], np.ndarray]:
    """``VideoSession``, with ``fast_attention``, or with the whole model in bfloat16."""
    import torch

    from everymask.models.load import build
    from everymask.models.specs import MODELS
    from everymask.video.tracker import VideoTracker
    from tests.parity.seeded import fill

    built = build(replace(MODELS[model], image_size=size))
    fill(built)
    _see_all_objects(built)
    if bfloat16:
        built = built.cast(torch.bfloat16)
    tracker = VideoTracker(built, fill_hole_area=0, fast_attention=fast)
    session = tracker.open(clip(REMEMBERED + 1))
    for object_id, box in enumerate(boxes(objects)):
        session.add_prompt(0, object_id, box=box)
    session.settle()
    for track in session._tracks.values():
        track.recent.update(dict.fromkeys(range(1, REMEMBERED), track.conditioning[0]))

    def turn() -> np.ndarray:
        session._features.clear()
        (frame,) = session.propagate(REMEMBERED, REMEMBERED + 1)
        assert frame.masks.shape[0] == objects
        return frame.logits[:, ::4, ::4]

    return turn


def speed(model: str, size: int, objects: int, turns: int, threads: int) -> None:
    """Print the ratios for so many objects."""
    options = {"model": model, "size": size, "objects": objects}
    measured = compare(
        [
            Side("official, float32", "benchmarks.video:official_side", options),
            Side("everymask, float32", "benchmarks.video:our_side", options),
            Side("everymask, fast attention", "benchmarks.video:our_side", {**options, "fast": True}),
            Side("official, bfloat16", "benchmarks.video:official_side", {**options, "bfloat16": True}),
            Side("everymask, bfloat16", "benchmarks.video:our_side", {**options, "bfloat16": True}),
        ],
        turns=turns,
        threads=threads,
        warmup=objects < 4,
    )
    print(f"\n{model}, {size} px, {objects} object{'s' * (objects > 1)}, {threads} threads")
    print(ratio_table(measured))
    print(f"both in bfloat16: {min(measured[3].cpu_s) / min(measured[4].cpu_s):.2f}x in CPU time")
    for one in measured[1:]:
        print(f"{one.name}: {difference(one.answer, measured[0].answer)}")


def side_by_side(models: list[str], objects: int, turns: int, threads: int) -> None:
    """Print what a frame takes with each of everymask's models, all at their own picture size."""
    from everymask.models.specs import MODELS

    sides = [
        Side(
            model,
            "benchmarks.video:our_side",
            {"model": model, "size": MODELS[model].image_size, "objects": objects},
        )
        for model in models
    ]
    measured = compare(sides, turns=turns, threads=threads, warmup=objects < 4)
    print(f"\n{objects} object{'s' * (objects > 1)}, {threads} threads")
    print(ratio_table(measured))


def growth(model: str, size: int, lengths: list[int]) -> None:
    """Print the peak memory of a process that tracks one object through clips of these lengths."""
    for length in lengths:
        code = f"from benchmarks.video import track_long; track_long({model!r}, {size}, {length})"
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        print(f"{model}, {size} px, {length} frames: {answer.stdout.strip()}", flush=True)


def track_long(model: str, size: int, length: int) -> None:
    """Track one object through a stream of ``length`` frames and print what the process held at most."""
    from benchmarks.measure import peak_bytes, reset_peak, resident_bytes
    from everymask.models.load import build
    from everymask.models.specs import MODELS
    from everymask.video.tracker import VideoTracker

    tracker = VideoTracker(build(replace(MODELS[model], image_size=size)))
    frames = clip(8, (240, 320))
    session = tracker.open((frames[index % 8] for index in range(length)), cache_mb=16)
    session.add_prompt(0, 1, box=(50, 50, 150, 150))
    reset_peak()
    before = resident_bytes()
    done = sum(1 for _ in session.propagate())
    mega = 2**20
    print(f"{done} tracked, peak {peak_bytes() / mega:.0f} MB, before tracking {before / mega:.0f} MB")


def main() -> None:
    """See the file's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="sam2.1_hiera_tiny")
    parser.add_argument("--beside", nargs="+", metavar="MODEL", help="other models, not the official code")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--memory", type=int, nargs="+", metavar="FRAMES", help="lengths of clips, e.g. 200 5000"
    )
    chosen = parser.parse_args()
    if chosen.memory:
        growth(chosen.model, chosen.size, chosen.memory)
        return
    for objects in chosen.objects:
        if chosen.beside:
            side_by_side([chosen.model, *chosen.beside], objects, chosen.turns, chosen.threads)
            continue
        speed(chosen.model, chosen.size, objects, chosen.turns, chosen.threads)


if __name__ == "__main__":
    main()
