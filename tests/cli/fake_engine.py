"""The command line with a stand-in for the model: every bright blob of a photo is an object.

    python -m tests.cli.fake_engine SECONDS segment FOLDER -o OUT    # takes SECONDS for each photo

Each photo worked on is noted as a line in the file that FAKE_ENGINE_LOG names.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import cv2
import numpy as np

from everymask.maskset import Mask, MaskSet


class FakeSegmenter:
    """Bright blobs, larger ones first, with made-up scores."""

    model = "fake"
    model_hash = "0123456789abcdef"

    def __init__(self, options: dict[str, Any], reading: dict[str, Any], seconds: float = 0.0) -> None:
        self.settings = {"model": "fake", **options, **reading}
        self.calls = 0
        self._seconds = seconds

    def __call__(self, photo: np.ndarray, watch, valid: np.ndarray | None = None) -> MaskSet:
        self.calls += 1
        if "FAKE_ENGINE_LOG" in os.environ:
            with open(os.environ["FAKE_ENGINE_LOG"], "a") as file:
                file.write(f"{photo.sum()}\n")
        time.sleep(self._seconds)
        watch(1, 1)
        count, blobs = cv2.connectedComponents((photo.mean(axis=2) > 100).astype(np.uint8))
        masks = [
            Mask.from_segmentation(
                blobs == number,
                predicted_iou=1 - number / 100,
                stability_score=0.97,
                point_coords=[(number + 0.5, 1.5)],
                crop_box=(0, 0, photo.shape[1], photo.shape[0]),
            )
            for number in range(1, count)
        ]
        return MaskSet(masks, photo.shape[:2])


def main() -> None:
    """Run the command line with the fake in place of the model."""
    from everymask.cli import main as cli
    from everymask.cli.segment import command as segment

    seconds = float(sys.argv[1])
    segment.open_segmenter = lambda model, device, options, reading: FakeSegmenter(options, reading, seconds)
    cli.main(sys.argv[2:])


if __name__ == "__main__":
    main()
