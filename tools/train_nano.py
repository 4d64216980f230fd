#!/usr/bin/env python3
"""Train nano on made scenes and photos with masks, watching the learning curve on annotated photos.

    python tools/train_nano.py --out runs/nano --scenes runs/scenes --side 256 --minutes 60 [--eval FOLDER]
    python tools/train_nano.py --out runs/nano --bank runs/sources/bank --workers 16 --device cuda --batch 64

    python tools/train_nano.py --out runs/nano --init everymask/assets/nano.safetensors \\
        --labelled runs/sources/labelled

The first reads scenes that ``tools/make_scenes.py`` made; with --workers, scenes are painted as training goes
on, by so many processes, which is what a GPU wants. The third adds photos with label maps (whole objects,
nuclei, aerial regions), that ``tools/fetch_training_sources.py --labelled`` copied.

Run it again with the same --out and it continues; --init WEIGHTS.safetensors starts a new stage
(another --side, another --out) from weights, the bundled ones included. Everything lands in --out:
``state.pt`` (resume), ``average.safetensors`` (the averaged weights), ``curve.csv``, ``sheet.png`` (what the
model sees now).
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file

from everymask.evaluate.data import Annotated, annotated_photos
from everymask.evaluate.prompted import answers, score_prompts
from everymask.models.sam2 import Sam2
from everymask.models.specs import MODELS
from everymask.models.weights import fill_weights, read_weights
from everymask.nn.encoders.efficientnet_lite import folded
from everymask.train.augment import hard_view
from everymask.train.begin import begin, calm_neck
from everymask.train.cache import SceneFolder
from everymask.train.distil import AnsweredFolder, make_lesson
from everymask.train.graphed import GraphedStep
from everymask.train.labelled import Mix, MixedSource
from everymask.train.loop import Report, own_stream, train, train_on
from everymask.train.prompts import JITTERED
from everymask.train.state import TrainOptions, TrainState, resume, save_state, start
from everymask.train.together import rank, run_together
from everymask.train.views import SceneSource, StreamOptions, stream_views

PRETRAINED = "image_encoder.trunk.pretrained."
JOINTS = "image_encoder.trunk.joints."
IMAGE_PARTS = ("image_encoder", "sam_prompt_encoder", "sam_mask_decoder", "no_mem_embed")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, default="runs/scenes")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--final-rate", type=float, default=0.02)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--parts", nargs="+", default=IMAGE_PARTS, help="what is trained, by name prefixes")
    parser.add_argument(
        "--click-share", type=float, default=0.44, help="of the prompts; the others are boxes"
    )
    parser.add_argument("--jittered", type=float, default=JITTERED, help="share of the boxes, with --workers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=4, help="photos a step, of each process")
    parser.add_argument("--save-minutes", type=float, default=3.0)
    parser.add_argument("--warmup", type=int, default=200, help="steps")
    parser.add_argument("--ema", type=float, default=0.999, help="how slowly the averaged weights follow")
    parser.add_argument("--workers", type=int, default=0, help="processes that paint scenes")
    parser.add_argument("--bank", type=Path, default="runs/sources/bank", help="pictures, for --workers")
    parser.add_argument("--views-per-scene", type=float, default=4.0, help="with --workers")
    parser.add_argument("--init", type=Path)
    parser.add_argument(
        "--pretrained", type=Path, help="EfficientNet-Lite0's weights, for an --init without them"
    )
    parser.add_argument("--labelled", type=Path, help="photos with label maps in objects/, nuclei/, aerial/")
    parser.add_argument(
        "--mix",
        nargs=5,
        type=float,
        help="with --labelled: shares of scenes, objects, composed, nuclei, aerial",
    )
    parser.add_argument("--answers", type=Path, help="photos that a teacher answered (tools/make_answers.py)")
    parser.add_argument("--answer-share", type=float, default=0.35, help="with --answers: of the steps")
    parser.add_argument("--corrections", type=int, default=1, help="prompts a photo that get further clicks")
    parser.add_argument("--most-clicks", type=int, default=2, help="of those")
    parser.add_argument("--rough-masks", type=int, default=0, help="prompts a photo that are a mask alone")
    parser.add_argument(
        "--dense-after", type=int, default=0, help="steps before a fresh second task teaches the trunk"
    )
    parser.add_argument("--dense", type=Path, help="the second task's head from this state.pt, with --init")
    parser.add_argument(
        "--eval", type=Path, help="folder of photos with label maps; looked at, never trained on"
    )
    parser.add_argument("--eval-photos", type=int, default=15)
    parser.add_argument("--eval-minutes", type=float, default=5)
    parser.add_argument("--optimiser", choices=("adam", "muon"), default="muon")
    parser.add_argument(
        "--bfloat16",
        action=argparse.BooleanOptionalAction,
        help="products in bfloat16; otherwise where the device is faster in them",
    )
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--processes", type=int, default=1, help="that train together, a batch each")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.processes == 1:
        run(arguments)
    else:
        run_together(arguments.processes, run, arguments)


def run(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(arguments.seed)
    torch.set_float32_matmul_precision("high")
    options = TrainOptions(
        minutes=arguments.minutes,
        batch=arguments.batch,
        learning_rate=arguments.rate,
        final_rate=arguments.final_rate,
        warmup_steps=arguments.warmup,
        ema=arguments.ema,
        save_minutes=arguments.save_minutes,
        prompts=arguments.prompts,
        click_share=arguments.click_share,
        seed=arguments.seed,
        train_parts=tuple(arguments.parts),
        dense=any(part.startswith("image_encoder") for part in arguments.parts),
        optimiser=arguments.optimiser,
        bfloat16=arguments.bfloat16,
        corrections=arguments.corrections,
        most_clicks=arguments.most_clicks,
        rough_masks=arguments.rough_masks,
        lesson_share=arguments.answer_share if arguments.answers is not None else 0.0,
        dense_after=arguments.dense_after,
    )
    model = fresh_model(arguments.side, arguments.init, arguments.pretrained)
    state = start(model.to(arguments.device), options)
    if arguments.dense is not None and state.dense is not None:
        state.dense.load_state_dict(torch.load(arguments.dense, weights_only=True)["dense"])
    checkpoint = arguments.out / "state.pt"
    if checkpoint.exists():
        resume(state, checkpoint)
    watched = arguments.eval is not None and rank() == 0
    photos = list(annotated_photos(arguments.eval, arguments.eval_photos, 1)) if watched else []
    last_save, last_look = state.seconds / 60, state.seconds / 60
    for report in reports(state, options, arguments):
        if rank() > 0:  # one of those that train together tells
            continue
        row: dict[str, object] = {
            "step": report.step,
            "minutes": round(report.minutes, 2),
            "images": report.images,
        }
        row["time"] = time.strftime("%H:%M:%S")
        row |= {name: round(value, 4) for name, value in report.losses.items()}
        done = report.minutes >= arguments.minutes
        if photos and (done or report.minutes - last_look >= arguments.eval_minutes or report.step == 50):
            last_look = report.minutes
            row |= {
                name: round(value, 4) for name, value in asdict(score_prompts(state.average, photos)).items()
            }
            cv2.imwrite(str(arguments.out / "sheet.png"), contact_sheet(state, photos[:10])[..., ::-1])
        if done or report.minutes - last_save >= options.save_minutes:
            last_save = report.minutes
            save_state(state, checkpoint)
            weights = {name: value.contiguous() for name, value in state.average.state_dict().items()}
            save_file(weights, arguments.out / "average.safetensors")
        write_row(arguments.out, row)


def reports(state: TrainState, options: TrainOptions, arguments: argparse.Namespace) -> Iterator[Report]:
    """Train, on scenes painted meanwhile or on those in a folder."""
    if not arguments.workers:
        folder = SceneFolder(arguments.scenes)
        source: SceneSource = lambda rng: hard_view(rng, folder.draw, arguments.side)  # noqa: E731
        if arguments.labelled is not None:
            mix = Mix(*arguments.mix) if arguments.mix else Mix()
            source = MixedSource(folder.draw, arguments.labelled, arguments.side, mix)
        if arguments.answers is None:
            return train(state, source, options)
        answers = AnsweredFolder(arguments.answers)
        return train(
            state, source, options, lambda rng: make_lesson(rng, answers, state.model, options.batch)
        )
    options = own_stream(options)  # processes that train together see views of their own
    stream = stream_views(
        StreamOptions(
            images=options.batch,
            prompts=options.prompts,
            jittered=arguments.jittered,
            side=arguments.side,
            views_per_scene=arguments.views_per_scene,
            bank=str(arguments.bank),
            seed=options.seed + 1 + state.step,  # other scenes than before an interruption
        ),
        arguments.workers,
    )
    learn = GraphedStep(state, options) if state.model.device.type == "cuda" else None
    return train_on(state, lambda step: next(stream), options, learn)


def fresh_model(side: int, init: Path | None, pretrained: Path | None = None) -> Sam2:
    """nano at another side, from exported weights or from scratch. The pretrained network's weights come from
    the first file or, in the form in which they are published, from ``pretrained``; what takes them in begins
    as nothing."""
    model = Sam2(replace(MODELS["nano"], image_size=side))
    given = {} if pretrained is None else with_prefix(folded(read_weights(pretrained)), PRETRAINED)
    if init is not None:
        given |= {name: value.float() for name, value in read_weights(init).items()}
        joints = {key: value for key, value in model.state_dict().items() if key.startswith(JOINTS)}
        fill_weights(model, joints | given)
        return model
    begin(model)
    calm_neck(model.image_encoder.neck)
    if pretrained is None:
        raise SystemExit(
            "a model from scratch needs --pretrained FILE (tools/fetch_training_sources.py gets it)"
        )
    model.load_state_dict(given, strict=False)
    return model


def with_prefix(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in state.items()}


def write_row(out: Path, row: dict) -> None:
    print(" ".join(f"{name}={value}" for name, value in row.items()), flush=True)
    columns = [
        "step",
        "minutes",
        "images",
        "time",
        "best",
        "single",
        "iou",
        "box",
        "dense",
        "edges",
        "corrected",
        "at_once",
        "obey",
        "rough",
        "taught",
        "taught_single",
        "taught_iou",
        "taught_box",
    ]
    columns += ["regions", "click_best", "click_top", "click_single", "box_iou", "rank_correlation"]
    target = out / "curve.csv"
    new = not target.exists()
    with open(target, "a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", restval="")
        if new:
            writer.writeheader()
        writer.writerow(row)


@torch.no_grad()
def contact_sheet(state: TrainState, photos: list[Annotated]) -> np.ndarray:
    """Each photo beside the top mask of nine clicks on a grid, in colours, uint8 [rows, columns, 3]."""
    colours = np.random.default_rng(3).uniform(40, 255, (9, 3))
    tiles = []
    for example in photos:
        height, width = example.photo.shape[:2]
        grid = torch.tensor(
            [[width * (i + 0.5) / 3, height * (j + 0.5) / 3] for j in range(3) for i in range(3)]
        )
        answer = answers(
            state.average, example.photo, grid, torch.tensor([[0.0, 0.0, width - 1.0, height - 1.0]] * 9)
        )
        top = 1 + answer.click_iou[:, 1:].argmax(1)
        chosen = answer.click_masks[np.arange(9), top]
        painted = example.photo.astype(np.float64)
        for index in np.argsort(-chosen.sum((1, 2))):
            painted[chosen[index]] = 0.4 * painted[chosen[index]] + 0.6 * colours[index]
        for x, y in grid:
            cv2.circle(painted, (int(x), int(y)), 4, (255, 255, 255), -1)
        both = np.concatenate([example.photo, painted.astype(np.uint8)], 1 if height > width else 0)
        tiles.append(cv2.resize(both, (320, 320), interpolation=cv2.INTER_AREA))
    rows = [np.concatenate(tiles[i : i + 5], 1) for i in range(0, len(tiles) - 4, 5)]
    return np.concatenate(rows, 0)


if __name__ == "__main__":
    main()
