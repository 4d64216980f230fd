"""Renditions: what degraded photos lose in everything mode, and what other renditions bring back.

    python -m benchmarks renditions -- BSDS_VAL --limit 12 [--kinds grey noisy] [--tried auto plain+inverted]

Photos with label maps (NAME.jpg beside NAME_0.png) are degraded; each is explored once in all renditions, and
those that are tried are answered from these findings. ``abo`` is the mean over the annotators' regions of the
best IoU of a mask, ``back`` how much of the abo that the photo as it was had over the degraded one is
regained. ``+gaps`` fills gaps afterwards. Times are processor time of one thread for a photo.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch

from everymask.evaluate.data import annotated_photos
from everymask.evaluate.metrics import iou
from everymask.everything.generate import AutomaticMaskGenerator
from everymask.everything.renditions import resolved
from everymask.maskset import MaskSet
from everymask.media.photos import read_photo
from everymask.media.renditions import AUTO, PLAIN, lightness_of, names_of
from everymask.models.load import load

COLOUR = "colour"
LEAST = 0.01
"""Regions count from this share of the photo on, as in ``everymask evaluate``; --least 0 takes all."""


def grey(photo: np.ndarray) -> np.ndarray:
    """Without colour."""
    return np.repeat(lightness_of(photo).round().astype(np.uint8)[..., None], 3, axis=2)


def flat(photo: np.ndarray) -> np.ndarray:
    """At a quarter of its contrast."""
    mean = photo.mean(dtype=np.float64)
    return (mean + (photo - mean) / 4).round().clip(0, 255).astype(np.uint8)


def noisy(photo: np.ndarray, spread: float = 25.0) -> np.ndarray:
    """With normal noise in each channel."""
    return _with(photo, np.random.default_rng(0).normal(0, spread, photo.shape))


def grey_noisy(photo: np.ndarray) -> np.ndarray:
    """Grey, with noise."""
    return _with(grey(photo), np.random.default_rng(0).normal(0, 25.0, photo.shape[:2])[..., None])


def microscopy(photo: np.ndarray) -> np.ndarray:
    """Grey, at a quarter of its contrast, with noise of as much of it as in :func:`grey_noisy`, nearly."""
    return _with(flat(grey(photo)), np.random.default_rng(0).normal(0, 8.0, photo.shape[:2])[..., None])


def sixteen_bit(photo: np.ndarray) -> np.ndarray:
    """As a 16-bit TIFF of a microscope is read: over a dark level of 200 two electrons a grey level, with
    shot noise and 2 electrons of reading noise. So 1% of the 65,536 values are used.
    """
    random = np.random.default_rng(0)
    signal = random.poisson(2.0 * lightness_of(photo).astype(np.float64))
    counts = 200 + signal + random.normal(0, 2.0, signal.shape)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "micrograph.tif"
        cv2.imwrite(str(path), counts.round().clip(0, 65535).astype(np.uint16))
        return read_photo(path)


def shaded(photo: np.ndarray) -> np.ndarray:
    """Light from the left only: the right edge gets a tenth of it."""
    light = np.linspace(1.0, 0.1, photo.shape[1])[None, :, None]
    return (photo * light).round().astype(np.uint8)


KINDS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    each.__name__: each for each in (grey, flat, noisy, grey_noisy, microscopy, sixteen_bit, shaded)
}


def _with(photo: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return np.clip(photo + noise, 0, 255).round().astype(np.uint8)


@dataclass
class Scores:
    """Of the photos of one kind under one choice of renditions."""

    overlaps: list[float] = field(default_factory=list)
    coverage: list[float] = field(default_factory=list)
    masks: list[int] = field(default_factory=list)

    def add(self, masks: MaskSet, regions: list[np.ndarray]) -> None:
        """One photo's masks against its regions, bool [H, W] each."""
        found = masks.segmentations()
        self.overlaps += [float(iou(found, region).max(initial=0.0)) for region in regions]
        self.coverage.append(masks.coverage)
        self.masks.append(len(masks))

    @property
    def abo(self) -> float:
        return float(np.mean(self.overlaps))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks renditions --", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--limit", type=int, default=12, help="photos, spread over the folder")
    parser.add_argument("--points-per-side", type=int, default=32)
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--tried", nargs="+", metavar="RENDITIONS", default=[AUTO])
    parser.add_argument("--gaps", action="store_true", help="also with gaps filled")
    parser.add_argument("--least", type=float, default=LEAST, help="regions from this share of the photo on")
    parser.add_argument("--annotators", type=int, default=None)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    model = load(given.model, dtype=torch.float32)
    judge = AutomaticMaskGenerator(model, points_per_side=given.points_per_side, renditions=AUTO)
    results: dict[tuple[str, str], Scores] = {}
    started, photos = time.process_time(), 0
    for example in annotated_photos(given.folder, given.limit, given.annotators):
        regions = example.regions(given.least)
        photos += 1
        for kind in (COLOUR, *given.kinds):
            photo = example.photo if kind == COLOUR else KINDS[kind](example.photo)
            auto = resolved(judge.options, photo).renditions
            asked = {
                tried: auto if tried == AUTO else tried for tried in dict.fromkeys((PLAIN, *given.tried))
            }
            every = "+".join(dict.fromkeys(name for names in asked.values() for name in names_of(names)))
            generator = AutomaticMaskGenerator(model, points_per_side=given.points_per_side, renditions=every)
            findings = generator.explore(photo)
            for tried, names in asked.items():
                masks = findings.masks(renditions=names)
                results.setdefault((kind, tried), Scores()).add(masks, regions)
                if given.gaps:
                    filler = AutomaticMaskGenerator(
                        model, points_per_side=given.points_per_side, renditions=names
                    )
                    filled = filler.fill_gaps(photo, masks).masks
                    results.setdefault((kind, f"{tried} +gaps"), Scores()).add(filled, regions)
        print(f"{example.name}: {time.process_time() - started:.0f} s", flush=True)
    print(f"\n{model.spec.name}, {photos} photos, {given.points_per_side} points per side")
    whole = results[COLOUR, PLAIN].abo
    for (kind, tried), scores in results.items():
        lost = whole - results[kind, PLAIN].abo
        back = f"{(scores.abo - results[kind, PLAIN].abo) / lost:6.0%}" if lost > 0.005 else "      "
        print(
            f"{kind:12s} {tried:32s} abo {scores.abo:.3f}  back {back}  "
            f"coverage {np.mean(scores.coverage):.3f}  masks {np.mean(scores.masks):.0f}"
        )


if __name__ == "__main__":
    main()
