"""Presets: each beside the model's defaults, on the photos that it is for.

    python -m benchmarks presets -- SHARED [--only cells aerial] [--limit 10] [--search]

SHARED holds ``training/objects``, ``training/nuclei``, ``training/aerial`` and ``bsds500/val``, photos with
label maps. Of the training folders the fifth that is never trained on is told of, of BSDS500 every other
photo. Scores are means over photos: ``overlap`` of each region with its best mask, ``quality`` (panoptic),
``coverage``, the number of masks, processor seconds. ``--search`` tries thresholds on the other photos and
prints the best rows: what the table in ``everything/presets.py`` is chosen from. Its last lines say whether
to change the row: each photo is judged by what is best on the others, so that a choice that few photos made
shows, and what stands stays unless that beats it by more than the standard error. After new weights:

    python -m benchmarks presets -- SHARED --limit 12 --search
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from everymask.evaluate.data import Annotated, annotated_examples, annotated_photos
from everymask.everything.findings import THRESHOLDS
from everymask.everything.generate import AutomaticMaskGenerator
from everymask.everything.presets import PRESETS
from everymask.explore.goals import score_against
from everymask.maskset import MaskSet
from everymask.models.load import load
from everymask.train.labelled import held_aside

FOLDERS = {
    "objects": "training/objects",
    "parts": "bsds500/val",
    "everything": "bsds500/val",
    "cells": "training/nuclei",
    "aerial": "training/aerial",
}
GOALS = {"parts": "overlap", "everything": "overlap"}
"""What thresholds are chosen by; of the others quality."""
ANNOTATORS = 2
"""Whose regions count, of a photo of BSDS500."""
SCORES = ("overlap", "quality", "coverage", "masks", "seconds")
SEARCHED = {
    "pred_iou_thresh": (0.15, 0.25, 0.35, 0.42, 0.5, 0.6),
    "stability_score_thresh": (0.6, 0.7, 0.8, 0.9),
    "box_nms_thresh": (0.3, 0.5, 0.7),
}


@dataclass(frozen=True)
class Told:
    """A photo and the masks of its annotators."""

    example: Annotated
    references: Sequence[MaskSet]

    @classmethod
    def of(cls, example: Annotated) -> Told:
        return cls(example, example.annotators[:ANNOTATORS])

    def scores(self, masks: MaskSet, seconds: float = 0.0) -> list[float]:
        """In the order of :data:`SCORES`."""
        overlap, quality = (score_against(masks, self.references, goal) for goal in ("overlap", "quality"))
        return [overlap, quality, masks.coverage, float(len(masks)), seconds]


def photos_of(folder: Path, limit: int, *, aside: bool) -> list[Told]:
    """Photos that are told of (``aside``), or the others."""
    bsds = "bsds500" in folder.parts
    names = [example.path.stem for example in annotated_examples(folder)]
    if bsds:
        names = names[::2] if aside else names[1::2]
    else:
        names = [name for name in names if held_aside(name) == aside]
    chosen = set(names[:: max(1, len(names) // limit)][:limit])
    found = (example for example in annotated_photos(folder) if example.name in chosen)
    return [Told.of(example) for example in found]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks presets --", description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--only", nargs="+", choices=list(PRESETS), default=list(PRESETS))
    parser.add_argument("--limit", type=int, default=10, help="photos of each kind")
    parser.add_argument("--search", action="store_true")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    model = load(given.model, dtype=torch.float32)
    for name in given.only:
        photos = photos_of(given.shared / FOLDERS[name], given.limit, aside=not given.search)
        print(f"\n{name}: {len(photos)} photos of {FOLDERS[name]}, {model.spec.name}", flush=True)
        if given.search:
            searched(AutomaticMaskGenerator(model, preset=name), photos, GOALS.get(name, "quality"))
            continue
        for options in ({}, {"preset": name}):
            generator = AutomaticMaskGenerator(model, **options)
            rows = []
            for told in photos:
                started = time.process_time()
                masks = generator.generate(told.example.photo)
                rows.append(told.scores(masks, time.process_time() - started))
            print_row(options.get("preset", "defaults"), rows)


def searched(generator: AutomaticMaskGenerator, photos: Sequence[Told], goal: str) -> None:
    """Print the best thresholds by each score, asking the model once a photo, and whether to take them."""
    tried = [dict(zip(SEARCHED, values, strict=True)) for values in itertools.product(*SEARCHED.values())]
    tried = [{name: getattr(generator.options, name) for name in SEARCHED}, *tried]
    rows: list[list[list[float]]] = [[] for _ in tried]
    for told in photos:
        findings = generator.explore(told.example.photo)
        for row, thresholds in zip(rows, tried, strict=True):
            row.append(told.scores(findings.masks(**thresholds)))
    means = np.array([np.mean(row, axis=0) for row in rows])
    print_row("as it is", rows[0])
    for column in (0, 1):
        for number in np.argsort(-means[:, column])[:5].tolist():
            said: dict[str, Any] = {key: value for key, value in tried[number].items() if key in THRESHOLDS}
            print_row(", ".join(f"{key} {value:g}" for key, value in said.items()), rows[number])
    judged = left_out(np.array(rows)[:, :, SCORES.index(goal)])
    print(f"  {goal} on photos left out: {judged}")
    if judged.gains:
        print(f"  take {', '.join(f'{key} {value:g}' for key, value in tried[judged.choice].items())}")


@dataclass(frozen=True)
class LeftOut:
    """What choosing among rows of thresholds gains on photos that did not choose."""

    before: float
    """Mean score of the first row: what stands now."""
    after: float
    """Mean over photos of the score of the row that is best on the others."""
    error: float
    """Standard error of the difference."""
    choice: int
    """The row that is best on all photos."""
    agreed: int
    """Photos without which that row is the best, too."""
    photos: int

    @property
    def gains(self) -> bool:
        return self.after - self.before > self.error

    def __str__(self) -> str:
        verdict = "better than what stands" if self.gains else "no better than what stands: keep it"
        return (
            f"{self.before:.3f} -> {self.after:.3f} (standard error {self.error:.3f}), the same choice "
            f"without {self.agreed} of {self.photos}; {verdict}"
        )


def left_out(scores: np.ndarray) -> LeftOut:
    """Of float [rows, photos], the first row being what stands.

    >>> left_out(np.array([[0.1, 0.2, 0.1], [0.3, 0.4, 0.3]])).gains
    True
    >>> left_out(np.array([[0.1, 0.2, 0.1], [0.9, 0.1, 0.0]])).gains
    False
    """
    photos = scores.shape[1]
    others = (scores.sum(axis=1, keepdims=True) - scores).argmax(axis=0)  # the best row without each photo
    gained = scores[others, np.arange(photos)] - scores[0]
    choice = int(scores.sum(axis=1).argmax())
    error = float(gained.std(ddof=1) / np.sqrt(photos)) if photos > 1 else float("inf")
    before = float(scores[0].mean())
    return LeftOut(
        before, before + float(gained.mean()), error, choice, int((others == choice).sum()), photos
    )


def print_row(name: str, rows: Sequence[Sequence[float]]) -> None:
    """One line of means."""
    means = np.mean(rows, axis=0)
    print(f"  {name:72s}" + "  ".join(f"{s} {v:.3f}" for s, v in zip(SCORES, means, strict=True)), flush=True)


if __name__ == "__main__":
    main()
