"""A second click on a photo is answered from what the first run kept, without torch, with the same masks."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import everymask as em
from everymask.cli import main as cli
from everymask.errors import PromptError
from everymask.geometry import Letterbox, Squash
from everymask.image import ClickSession, ImagePredictor
from everymask.image.kept import KeptPredictor, kept_predictor
from everymask.masks.bilinear import stretched
from everymask.models.feature_cache import default_cache
from everymask.models.load import build
from everymask.models.places import ASSETS
from everymask.models.specs import MODELS
from everymask.models.without_torch import find_decoder, keep_decoder
from everymask.nn.encoders.vit import ViTSpec
from tests.parity.seeded import seeded_state


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EVERYMASK_FEATURE_CACHE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def photo():
    return em.read_photo(ASSETS / "photo.jpg")


def both_predictors(photo, source="nano", model=None):
    """torch's predictor with the photo set, and the one that answers from what is kept."""
    predictor = ImagePredictor(model or em.load(source, device="cpu"), cache=default_cache())
    predictor.set_image(photo)
    keep_decoder(source, predictor.model)
    kept = kept_predictor(source, photo)
    assert isinstance(kept, KeptPredictor)
    return predictor, kept


def assert_same(ours, theirs):
    """Equal but for pixels whose logits are 0 to within the rounding of both."""
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-5)
    np.testing.assert_allclose(ours.logits, theirs.logits, atol=2e-4)
    assert ours.masks.shape == theirs.masks.shape
    assert (ours.masks != theirs.masks).mean() < 1e-5


@pytest.mark.parametrize(
    "asked",
    [
        {"points": [(300, 60)], "labels": [1]},
        {"points": [(300, 60), (20, 30)], "labels": [1, 0], "multimask": False},
        {"box": (85, 80, 530, 370), "multimask": False},
        {"points": [(300, 200)], "labels": [1], "box": (85, 80, 530, 370)},
    ],
    ids=["click", "two clicks", "box", "both"],
)
def test_answers_are_those_of_the_model(home, photo, asked):
    predictor, kept = both_predictors(photo)
    assert_same(kept.predict(**asked), predictor.predict(**asked))


def test_clicks_correct_one_another_alike(home, photo):
    predictor, kept = both_predictors(photo)
    clicks = [(300, 60), (200, 200, 0), (320, 80)]
    ours, theirs = ClickSession(kept), ClickSession(predictor)
    assert_same(ours.replay(clicks), theirs.replay(clicks))
    assert ours.disobeyed == theirs.disobeyed
    assert_same(ours.alternatives(), theirs.alternatives())


@pytest.mark.parametrize("name", ["sam_vit_b", "sam2.1_hiera_tiny"])
def test_so_are_those_of_both_families(home, name):
    """With seeded weights and, for SAM, a small trunk; features of noise."""
    spec = MODELS[name]
    if spec.family == "sam":
        spec = replace(
            spec, trunk=ViTSpec(32, depth=1, num_heads=2, global_blocks=(0,), grid=16), image_size=256
        )
    else:
        spec = replace(spec, image_size=256)
    shapes = {key: value.shape for key, value in build(spec).state_dict().items()}
    model = build(spec, seeded_state(shapes))
    (home / "weights.pt").write_bytes(b"what is loaded from here stands in the test")
    photo = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8)
    predictor, kept = both_predictors(photo, "weights.pt", model)
    for asked in ({"points": [(30, 40)]}, {"box": (10, 20, 100, 80), "multimask": False}):
        ours, theirs = kept.predict(**asked), predictor.predict(**asked)
        spread = theirs.logits.std()
        np.testing.assert_allclose(ours.logits, theirs.logits, atol=1e-4 * spread)
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-4)
        assert (ours.masks != theirs.masks).mean() < 1e-3


@pytest.mark.parametrize("frame", [Letterbox((120, 75), 64), Squash((61, 200), 64), Squash((9, 11), 64)])
def test_logits_are_stretched_as_torch_does(frame):
    logits = np.random.default_rng(1).normal(size=(16, 16)).astype(np.float32)
    theirs = frame.upscale(torch.from_numpy(logits)[None])[0].numpy()
    np.testing.assert_allclose(stretched(logits, frame.stretches), theirs, atol=1e-6)


def test_a_second_predict_loads_no_torch_and_gives_the_same_file(home):
    Image.open(ASSETS / "photo.jpg").save("photo.png")
    code = (
        "import sys; from everymask.cli.main import run; "
        "status = run(['predict', 'photo.png', '-p', '300,60', '-f', 'coco', '--device', 'cpu']); "
        "print(status, 'torch' in sys.modules)"
    )

    def predict():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return done.stdout.strip(), (home / "out" / "coco.json").read_bytes()

    first, masks = predict()
    assert first == "0 True"
    assert predict() == ("0 False", masks)


def test_what_is_kept_holds_for_the_same_weights_only(home, photo):
    weights = home / "mine.safetensors"
    weights.write_bytes((ASSETS / "nano.safetensors").read_bytes())
    both_predictors(photo, str(weights))
    assert kept_predictor(str(weights), photo) is not None
    assert kept_predictor(str(weights), photo[::-1]) is None, "another photo"
    weights.write_bytes(weights.read_bytes() + b" ")
    assert find_decoder(str(weights)) is None
    weights.unlink()
    assert find_decoder(str(weights)) is None
    assert find_decoder("no such model") is None


def test_damaged_files_are_made_anew(home, photo):
    both_predictors(photo)
    for path in (home / "home" / "features").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    assert kept_predictor("nano", photo) is None
    both_predictors(photo)


def test_nothing_is_kept_where_the_cache_is_off_or_the_model_is_another_one(home, photo, monkeypatch):
    model = em.load("nano", device="cpu")
    keep_decoder("nano", model.cast(torch.bfloat16))
    assert find_decoder("nano") is None
    monkeypatch.setenv("EVERYMASK_FEATURE_CACHE", "0")
    keep_decoder("nano", em.load("nano", device="cpu"))
    assert find_decoder("nano") is None
    assert not (home / "home").exists()


def test_a_mask_from_a_file_is_answered_by_the_model(home, photo, capsys):
    Image.fromarray(photo).save("photo.png")
    rough = np.zeros(photo.shape[:2], np.uint8)
    rough[80:370, 85:530] = 1
    Image.fromarray(rough).save("rough.png")
    for words in (["-p", "300,60"], ["--mask", "rough.png"]):
        assert cli.run(["predict", "photo.png", *words, "--json", "--device", "cpu"]) == 0
        assert json.loads(capsys.readouterr().out)["masks"]
    _, kept = both_predictors(photo)
    with pytest.raises(PromptError, match="one prompt is answered at a time, and no binary mask"):
        kept.predict(mask=rough.astype(bool))
