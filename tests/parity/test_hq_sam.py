"""HQ-SAM against its official code on seeded weights: the compatible names and everymask's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from everymask import AutomaticMaskGenerator, ImagePredictor
from everymask.compat.segment_anything_hq import SamAutomaticMaskGenerator, SamPredictor, sam_model_registry
from everymask.compat.segment_anything_hq.modeling import Sam
from everymask.models.load import build, empty
from everymask.models.specs import MODELS
from everymask.models.weights import recognise
from tests.parity.conftest import seeded_photo
from tests.parity.relatives.beside import answers, folder
from tests.parity.relatives.hq_sam import GENERATOR, PHOTO, SPECS, asked, generated
from tests.parity.seeded import seeded_state

SIZES = ["small", pytest.param("tiny", marks=pytest.mark.full)]


def seeded(spec, kind=None):
    return build(spec, seeded_state({key: x.shape for key, x in build(spec).state_dict().items()}), kind=kind)


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """What the official code says, asked once for each size."""
    known = {}

    def of(size):
        if size not in known:
            out = tmp_path_factory.mktemp("hq") / "o"
            known[size] = answers(folder("segment_anything_hq"), "hq_sam", out, size)
        return known[size]

    return of


def worst(ours, theirs):
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.std()).item()


@pytest.mark.parametrize("size", SIZES)
def test_the_official_names_give_the_official_answers(size, official):
    theirs, ours = official(size), asked(SamPredictor(seeded(SPECS[size], Sam)))
    for name, value in ours.items():
        if name.endswith("masks"):
            assert (value == theirs[name]).float().mean() >= 0.9999, name
        elif name.endswith("iou"):
            assert (value - theirs[name]).abs().max() < 1e-4, name
        else:
            assert worst(value, theirs[name]) < 1e-4, name


@pytest.mark.parametrize("kind", [None, Sam], ids=["everymask's model", "the compatible one"])
def test_everymask_s_own_names_give_them_too(official, kind):
    height, width, _ = PHOTO
    model = seeded(SPECS["small"], kind)
    predictor = ImagePredictor(model)
    predictor.set_image(seeded_photo(*PHOTO))
    click = predictor.predict([[0.3 * width, 0.4 * height]], [1])
    assert worst(torch.as_tensor(click.logits), official("small")["click.logits"]) < 1e-4
    model.hq_token_only = True
    box = predictor.predict(box=np.array([0.2, 0.3, 0.7, 0.8]) * (width, height, width, height))
    assert worst(torch.as_tensor(box.logits), official("small")["box, its own token.logits"]) < 1e-4


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("by_steps", [False, True])
def test_everything_mode_gives_the_official_masks(official, multimask, by_steps):
    generator = SamAutomaticMaskGenerator(seeded(SPECS["small"], Sam), **GENERATOR)
    if by_steps:  # as for a program that overrides one of them
        generator._process_batch = generator._process_batch
    assert generator._is_as_built() != by_steps
    ours, theirs = generated(generator.generate, multimask), official("small")
    assert len(ours[f"everything {multimask}.masks"]) > 3
    for name, value in ours.items():
        assert value.shape == theirs[name].shape
        if name.endswith("masks"):
            assert (value == theirs[name]).float().mean() >= 0.9999
        else:
            torch.testing.assert_close(value, theirs[name], atol=1e-4, rtol=1e-4)


def test_everymask_s_generator_has_one_finer_mask_a_point(official):
    generator = AutomaticMaskGenerator(seeded(SPECS["small"]), **GENERATOR)
    masks = generator.generate(seeded_photo(*PHOTO))
    theirs = official("small")["everything True.masks"].numpy()
    assert np.mean(np.stack([mask.segmentation for mask in masks]) == theirs) >= 0.9999
    found = generator.explore(seeded_photo(*PHOTO))
    assert len(found.masks()) == len(masks)


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("sam_hq")])
def test_published_weights_are_recognised_by_their_25_keys_more_than_sam(name):
    plain = {"sam_hq_vit_tiny": "mobile_sam"}.get(name, name.replace("hq_", ""))
    with torch.device("meta"):
        ours, sam = (empty(MODELS[each]).state_dict() for each in (name, plain))
    added = ours.keys() - sam.keys()
    assert len(added) == 25
    assert all(key.startswith("mask_decoder.") for key in added)
    assert recognise(ours) is MODELS[name]
    assert recognise(sam) is MODELS[plain]


def test_the_registry_trains_the_finer_parts_alone():
    model = sam_model_registry["vit_tiny"]()
    trained = {key for key, value in model.named_parameters() if value.requires_grad}
    assert len(trained) == 25
