"""EdgeTAM against its official code on seeded weights: photos in float32, a clip of 30 frames in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from everymask import ImagePredictor, VideoTracker
from everymask.models.load import build
from everymask.models.specs import MODELS
from everymask.models.weights import recognise
from tests.parity.conftest import seeded_photo
from tests.parity.relatives.beside import answers
from tests.parity.relatives.edgetam import CLIP_PROMPTS, FRAMES, PHOTO, PROMPTS, SPECS
from tests.parity.seeded import seeded_state
from tests.video.parity import memories_kept_in, moving_scene, spread_error, write_jpegs


def seeded(spec):
    return build(spec, seeded_state({key: x.shape for key, x in build(spec).state_dict().items()}))


@pytest.mark.parametrize("size", ["small", pytest.param("published", marks=pytest.mark.full)])
def test_a_photo_is_answered_as_exactly_as_by_the_official_code(size, tmp_path):
    official = answers("edgetam", "edgetam", tmp_path / "photo.safetensors", size, "photo")
    ours = asked(seeded(SPECS[size]), seeded_photo(*PHOTO))
    assert len(ours) == 3 + 2 * len(PROMPTS)
    for name, value in ours.items():
        exact, theirs = official[f"float64.{name}"], official[f"float32.{name}"]
        assert value.shape == exact.shape
        error, official_error = ((each - exact).abs().max().item() for each in (value, theirs))
        assert error <= 3 * official_error + 1e-6, name


def asked(model, photo):
    """The official code's features, logits and predicted IoUs, from ours."""
    height, width = photo.shape[:2]
    predictor = ImagePredictor(model)
    predictor.set_image(photo)
    with torch.inference_mode():
        features = model.encode_image(model.preprocess(photo)[None])
    found = {"embedding": features.embedding}
    found |= {f"high_res.{index}": each for index, each in enumerate(features.high_res)}
    for name, prompt in PROMPTS.items():
        points = np.array(prompt["points"]) * (width, height) if "points" in prompt else None
        box = np.array(prompt["box"]) * (width, height, width, height) if "box" in prompt else None
        answer = predictor.predict(points, prompt.get("labels"), box, multimask=prompt["multimask"])
        found[f"{name}.logits"] = torch.as_tensor(answer.logits).clamp(-32, 32)
        found[f"{name}.iou"] = torch.as_tensor(answer.scores)
    return found


@pytest.mark.parametrize("size", ["small", pytest.param("published", marks=pytest.mark.full)])
def test_two_objects_are_tracked_through_thirty_frames_as_officially(size, tmp_path):
    clip = write_jpegs(tmp_path / "clip", moving_scene(FRAMES))
    official = answers("edgetam", "edgetam", tmp_path / "clip.safetensors", size, "clip", str(clip))
    model = seeded(SPECS[size]).double()
    with memories_kept_in(torch.float64):
        session = VideoTracker(model, keep_frames=None).open(clip)
        for object_id, prompt in CLIP_PROMPTS.items():
            session.add_prompt(0, object_id, **prompt)
        ours = np.stack([frame.logits for frame in session.propagate()])
    assert ours.shape == (FRAMES, 2, 90, 140)
    assert np.ptp(ours[-1, 0]) > 1  # there is something to compare
    assert spread_error(ours, official["logits"].numpy()) < 1e-3


def test_the_published_keys_are_recognised():
    state = build(MODELS["edgetam"]).state_dict()
    assert len(state) == 982
    assert recognise(state) == MODELS["edgetam"]
