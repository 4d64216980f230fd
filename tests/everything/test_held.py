"""Candidates whose logits were let go come back unchanged."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import everymask as em
from everymask.everything import generate, held
from everymask.everything.candidates import Candidate
from everymask.everything.grid import Crop
from everymask.everything.options import GeneratorOptions
from everymask.masks.cells import Patch
from everymask.masks.nms import suppress

PHOTO = Path(__file__).parents[2] / "everymask" / "assets" / "photo.jpg"


@pytest.mark.parametrize("effort", ["exact", "fast"])
def test_letting_go_changes_no_mask(effort, monkeypatch):
    photo = em.read_photo(PHOTO)[::2, ::2]
    generator = em.AutomaticMaskGenerator(
        em.load("nano", device="cpu", dtype=torch.float32),
        points_per_side=10,
        effort=effort,
        pred_iou_thresh=0.3,
    )
    expected = generator.generate(np.ascontiguousarray(photo)).to_dicts("coco_rle")
    again = []
    original = held._again
    monkeypatch.setattr(held, "_again", lambda *a: again.append(1) or original(*a))
    monkeypatch.setattr(generate, "Held", lambda decoder: Forgetful(decoder, 0))
    assert generator.generate(np.ascontiguousarray(photo)).to_dicts("coco_rle") == expected
    assert len(again) >= len(expected) > 5  # some come back only to turn out unstable


class Forgetful(held.Held):
    """Lets go of everything at once."""

    def _let_go(self):
        self._whole.clear()
        self._bytes = 0


def test_only_what_is_suppressed_is_let_go():
    photo = np.ascontiguousarray(em.read_photo(PHOTO)[::2, ::2])
    kept = []

    class Watched(held.Held):
        def _let_go(self):
            super()._let_go()
            self._limit = 0
            kept.append((len(self._whole), len(self._kept())))

    generator = em.AutomaticMaskGenerator(
        em.load("nano", device="cpu", dtype=torch.float32), points_per_side=6
    )
    expected = generator.generate(photo).to_dicts("coco_rle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "Held", lambda decoder: Watched(decoder, 0))
        assert generator.generate(photo).to_dicts("coco_rle") == expected
    assert kept
    assert all(with_logits <= survivors for with_logits, survivors in kept)


def test_measuring_last_leaves_what_measuring_first_does():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 9, 9], [0, 0, 6, 9], [50, 50, 60, 60]])
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5], np.float32)
    found = [candidate(*pair) for pair in zip(boxes, scores, strict=True)]
    rng = np.random.default_rng(0)
    for _ in range(40):
        stability = rng.choice([0.2, 0.9], 5).astype(np.float32)
        passes = np.flatnonzero(stability >= 0.5)
        expected = passes[suppress(boxes[passes], scores[passes], 0.7)].tolist()
        asked = []

        def measure(numbers, stability=stability, asked=asked):
            asked += numbers
            return [replace(found[n], stability=stability[n]) for n in numbers]

        options = GeneratorOptions(box_nms_thresh=0.7, stability_score_thresh=0.5)
        waiting = held.Held(SimpleNamespace(options=options))
        waiting.add(np.zeros((2, 2)), found[:3])
        waiting.add(np.zeros((2, 2)), found[3:])
        assert waiting._settled(measure, lambda number: True) == expected
        assert len(asked) == len(set(asked))


def candidate(box, iou):
    patch = Patch(torch.zeros(2, 2), 0, 0, np.float32(0))
    return Candidate(Crop(0, 0, 99, 99, 0), np.zeros(2), iou, box, patch)
