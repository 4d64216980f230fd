"""Candidates whose logits were let go come back unchanged."""

from pathlib import Path

import numpy as np
import pytest
import torch

import everymask as em
from everymask.everything import generate, held

PHOTO = Path(__file__).parents[2] / "everymask" / "assets" / "photo.jpg"


@pytest.mark.parametrize("effort", ["exact", "fast"])
def test_letting_go_changes_no_mask(effort, monkeypatch):
    photo = em.read_photo(PHOTO)[::2, ::2]
    generator = em.AutomaticMaskGenerator(
        em.load("nano", device="cpu", dtype=torch.float32), points_per_side=10, effort=effort
    )
    expected = generator.generate(np.ascontiguousarray(photo)).to_dicts("coco_rle")
    again = []
    original = held._again
    monkeypatch.setattr(held, "_again", lambda *a: again.append(1) or original(*a))
    monkeypatch.setattr(generate, "Held", lambda threshold: Forgetful(threshold, 0))
    assert generator.generate(np.ascontiguousarray(photo)).to_dicts("coco_rle") == expected
    assert len(again) == len(expected) > 5


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
        patch.setattr(generate, "Held", lambda threshold: Watched(threshold, 0))
        assert generator.generate(photo).to_dicts("coco_rle") == expected
    assert kept
    assert all(with_logits <= survivors for with_logits, survivors in kept)
