"""EdgeTAM against its official code on seeded weights: a photo in float32, a clip of 30 frames in float64."""

from __future__ import annotations

import pytest

from everymask.models.load import build
from everymask.models.specs import MODELS
from everymask.models.weights import recognise
from tests.parity.relatives.asking import FRAMES, PROMPTS
from tests.parity.relatives.beside import answers, folder
from tests.parity.relatives.edgetam import CLIP_PROMPTS, SPECS
from tests.parity.relatives.ours import asked, assert_as_exact, assert_tracked_as, seeded, tracked
from tests.video.parity import moving_scene, write_jpegs

SIZES = ["small", pytest.param("published", marks=pytest.mark.full)]


@pytest.mark.parametrize("size", SIZES)
def test_a_photo_is_answered_as_exactly_as_by_the_official_code(size, tmp_path):
    official = answers(folder("edgetam"), "edgetam", tmp_path / "photo.safetensors", size, "photo")
    ours = asked(seeded(SPECS[size]))
    assert len(ours) == 3 + 2 * len(PROMPTS)
    assert_as_exact(ours, official)


@pytest.mark.parametrize("size", SIZES)
def test_two_objects_are_tracked_through_thirty_frames_as_officially(size, tmp_path):
    clip = write_jpegs(tmp_path / "clip", moving_scene(FRAMES))
    file = tmp_path / "clip.safetensors"
    official = answers(folder("edgetam"), "edgetam", file, size, "clip", str(clip))
    ours = tracked(seeded(SPECS[size]).double(), clip, CLIP_PROMPTS)
    assert ours.shape == (FRAMES, 2, 90, 140)
    assert_tracked_as(ours, official)


def test_the_published_keys_are_recognised():
    state = build(MODELS["edgetam"]).state_dict()
    assert len(state) == 982
    assert recognise(state) == MODELS["edgetam"]
