"""Peak memory of whole runs, each in a process of its own."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, sys
import numpy as np
import everymask as em
from benchmarks.measure import peak_bytes, reset_peak, resident_bytes
given = json.loads(sys.argv[1])
y, x = np.mgrid[: given["height"], : given["width"]]
photo = np.stack([x % 251, y % 241, (x // 37 + y // 53) % 239], axis=-1).astype(np.uint8)
generator = em.AutomaticMaskGenerator(em.load("nano"), **given["options"])
before = resident_bytes()
reset_peak()
masks = generator.generate(photo)
print(json.dumps({"masks": len(masks), "peak": peak_bytes(), "added": peak_bytes() - before}))
"""
OPEN = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.3}


def measured(height, width, **options):
    given = json.dumps({"height": height, "width": width, "options": {**OPEN, **options}})
    ran = subprocess.run([sys.executable, "-c", SCRIPT, given], capture_output=True, text=True, check=True)
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.full
def test_memory_does_not_grow_with_the_grid():
    coarse = measured(1200, 1800, points_per_side=32)
    fine = measured(1200, 1800, points_per_side=128)
    assert fine["added"] < 1.3 * coarse["added"] + 50e6


@pytest.mark.full
def test_large_photo_with_two_crop_layers_stays_under_six_gigabytes():
    assert measured(4000, 6000, points_per_side=32, crop_n_layers=2)["peak"] < 6e9
