"""Text without a download: what `lite` finds on photos of one kind of object each, whose masks are known.

    python -m benchmarks words -- FOLDER [--per-kind 2]

FOLDER holds KIND_NUMBER.jpg and KIND_NUMBER_0.png (a 16-bit label map), as Caltech's kinds do. Photos that
nano was not trained on (a fifth, by the CRC of their names) come first. Each photo is asked about all kinds
in one call, under the nearest word that ImageNet knows; kinds that it does not know (anchor, brain) are
asked about nothing, and their photos hold none of the words.

right: the photo's word is found, and its surest mask has an IoU over 0.5 with an object. wrong words: labels
of kinds that are not in the photo.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

import everymask as em

WORDS = {
    "airplanes": "airplane",
    "ant": "ant",
    "barrel": "barrel",
    "beaver": "beaver",
    "binocular": "binoculars",
    "bonsai": "flowerpot",
    "brontosaurus": "dinosaur",
    "butterfly": "butterfly",
    "camera": "camera",
    "car": "car",
    "ceiling": "fan",
    "cellphone": "cellphone",
    "crab": "crab",
    "crayfish": "crayfish",
    "crocodile": "crocodilian",
    "dolphin": "whale",
    "dragonfly": "dragonfly",
    "elephant": "elephant",
    "emu": "ostrich",
    "flamingo": "flamingo",
    "kangaroo": "kangaroo",
    "panda": "panda",
}
"""What each kind is called here: ImageNet's nearest kind."""


def chosen(folder: Path, per_kind: int) -> list[tuple[str, Path]]:
    """Kind and path of some photos of each kind, those held aside first."""
    kinds: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(
        folder.glob("*.jpg"), key=lambda each: (zlib.crc32(each.stem.encode()) % 5 != 0, each)
    ):
        kinds[path.stem.split("_")[0]].append(path)
    return [(kind, path) for kind, paths in sorted(kinds.items()) for path in paths[:per_kind]]


def best_iou(mask: np.ndarray, labels: np.ndarray) -> float:
    """The highest IoU of a mask with one of the objects."""
    objects = [labels == number for number in range(1, int(labels.max()) + 1)]
    return max(((mask & one).sum() / (mask | one).sum() for one in objects), default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks words --", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--per-kind", type=int, default=2)
    arguments = parser.parse_args()
    asked = sorted(WORDS.values())
    known = found = right = wrong = 0
    overlaps = []
    photos, begun = chosen(arguments.folder, arguments.per_kind), time.process_time()
    for kind, path in photos:
        masks = em.find(path, asked)
        labels = np.asarray(Image.open(path.with_name(f"{path.stem}_0.png")))
        word = WORDS.get(kind)
        mine = [mask for mask in masks if mask.label == word]
        others = sorted({str(mask.label) for mask in masks if mask.label != word})
        wrong += len(others)
        known += word is not None
        iou = best_iou(mine[0].segmentation, labels) if mine else 0.0
        if mine:
            found, right = found + 1, right + (iou > 0.5)
            overlaps.append(iou)
        print(f"{path.stem:24} {word or '-':12} {iou:.2f}  {', '.join(others)}", flush=True)
    absent = len(photos) * len(asked) - known
    seconds = (time.process_time() - begun) / len(photos)
    print(f"{len(photos)} photos, {known} of a kind that has a word; {len(asked)} words; {seconds:.1f} CPU s")
    print(f"found {found}, right mask {right}, mean IoU {np.mean(overlaps or [0]):.2f}")
    print(f"wrong words: {wrong} of {absent} that are not in the photo")


if __name__ == "__main__":
    main()
