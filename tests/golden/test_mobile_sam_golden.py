"""MobileSAM against numbers recorded from its official code (see ``record_mobile_sam.py``)."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from everymask.image import ImagePredictor
from everymask.models.sam import Sam
from everymask.models.specs import MODELS
from everymask.models.weights import fill_weights, to_official
from tests.golden.record_mobile_sam import KINDS, MASK_ROWS, PHOTOS, prompt, thinned
from tests.parity.conftest import seeded_photo
from tests.parity.seeded import seeded_state

TOLERANCE = 1e-4  # of the reference's spread, in float32
SAME_PIXELS = 0.9999


@cache
def golden():
    with np.load(Path(__file__).parent / "mobile_sam.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def model():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    model = Sam(MODELS["mobile_sam"])
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    fill_weights(model, seeded_state(shapes))
    yield model.eval().requires_grad_(False)
    torch.set_num_threads(before)


def differs_by(ours, recorded, spread):
    assert np.shape(ours) == np.shape(recorded)
    return np.abs(np.asarray(ours) - recorded).max() / spread


@pytest.mark.parametrize(
    "name", ["landscape", *(pytest.param(n, marks=pytest.mark.full) for n in PHOTOS if n != "landscape")]
)
def test_photo_to_masks_equals_the_official_path(model, name):
    height, width, seed = PHOTOS[name]
    want = {key.partition(".")[2]: value for key, value in golden().items() if key.startswith(name + ".")}
    predictor = ImagePredictor(model)
    predictor.set_image(seeded_photo(height, width, seed))
    features = predictor.photos[0].features.embedding[0]
    assert differs_by(thinned(features, 7), want["features"], want["features_std"]) < TOLERANCE

    best = None
    for kind in KINDS:
        points, labels, box, multimask = prompt(kind, height, width)
        earlier = best if kind == "second round" else None
        answer = predictor.predict(points, labels, box, earlier, multimask)
        if kind == "points":
            best = answer.best().logits[0]
        logits = answer.logits[:, ::8, ::8]
        assert differs_by(logits, want[f"{kind}.logits"], want["logits_std"]) < TOLERANCE, kind
        assert np.allclose(answer.scores, want[f"{kind}.iou"], atol=TOLERANCE), kind
        rows = answer.masks[:, MASK_ROWS]
        other = np.unpackbits(want[f"{kind}.rows"], count=rows.size).astype(bool).reshape(rows.shape)
        assert (rows == other).mean() >= SAME_PIXELS, kind
        areas = answer.masks.sum(axis=(1, 2))
        assert np.abs(areas - want[f"{kind}.area"]).max() <= (1 - SAME_PIXELS) * height * width, kind


def test_every_official_key_is_ours_and_back(model):
    """The classifier that no mask depends on stays, so that the official code loads our files strictly."""
    keys = to_official(model)
    assert len(keys) == 439
    assert keys["image_encoder.head.weight"].shape == (1000, 320)
    assert "image_encoder.layers.1.blocks.0.attn.attention_biases" in keys
