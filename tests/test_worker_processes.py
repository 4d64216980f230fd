"""Worker processes of a program that has used torch's threads: ``fork`` hangs in torch, the others work."""

import multiprocessing
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import everymask as em

METHODS = [each for each in ("spawn", "forkserver") if each in multiprocessing.get_all_start_methods()]
Y, X = np.mgrid[:40, :60]
PHOTOS = {
    "a disk": np.where(((X - 20) ** 2 + (Y - 20) ** 2 < 100)[..., None], 220, 40),
    "a bar": np.where((abs(Y - 20) < 6)[..., None], 30, 200),
}


def area_at(pixels):
    """The area of the mask at a click, in a process of its own."""
    torch.set_num_threads(2)
    predictor = em.ImagePredictor(em.load("nano", device="cpu"))
    predictor.set_image(pixels)
    return int(predictor.predict(points=[(20, 20)], multimask=False).masks[0].sum())


@pytest.mark.full
@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("method", METHODS)
def test_a_worker_answers_after_threads_were_used(method, name):
    pixels = np.broadcast_to(PHOTOS[name], (40, 60, 3)).astype(np.uint8)
    here = area_at(pixels)
    with multiprocessing.get_context(method).Pool(1) as pool:
        there = pool.apply_async(area_at, (pixels,)).get(timeout=120)
    assert there == pytest.approx(here, rel=0.02)
    assert here > 50


def test_the_docs_say_what_to_use_in_place_of_fork():
    told = (Path(__file__).parents[1] / "docs" / "install.md").read_text("utf-8")
    (line,) = [line for line in told.splitlines() if "`fork`" in line]
    assert re.search(r'hangs .*multiprocessing\.get_context\("spawn"\)', line)
