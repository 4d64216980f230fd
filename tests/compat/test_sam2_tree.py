"""SAM 2's module tree as programs reach into it: images through the encoder, features laid out for training,
hooks, replaced layers, the video predictor as a model."""

import copy

import numpy as np
import pytest
import torch

from everymask.compat.sam2 import SAM2ImagePredictor
from everymask.compat.sam2.build_sam import _load_checkpoint
from everymask.compat.sam2.modeling.sam2_base import SAM2Base
from everymask.compat.sam2.sam2_video_predictor import SAM2VideoPredictor
from everymask.models.load import build
from everymask.models.weights import to_official
from tests.compat import test_sam2_image as sam2_tests
from tests.compat.cases import assert_close
from tests.parity.conftest import seeded_photo

PIXELS = torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def pair():
    plain, official = sam2_tests.models()
    return build(sam2_tests.TINY, to_official(plain), kind=SAM2Base), official


@torch.no_grad()
@pytest.mark.parametrize("hooked", [False, True])
def test_the_image_encoder_and_forward_image_equal_the_official_ones(pair, hooked):
    if hooked:
        pair[0].image_encoder.trunk.blocks[0].attn.register_forward_hook(lambda *_: None)
    for step in (lambda m: m.image_encoder(PIXELS), lambda m: m.forward_image(PIXELS)):
        ours, theirs = (step(model) for model in pair)
        assert ours.keys() == theirs.keys()
        assert_close(ours["vision_features"], theirs["vision_features"])
        for key in ("backbone_fpn", "vision_pos_enc"):
            assert len(ours[key]) == len(theirs[key])
            for mine, other in zip(ours[key], theirs[key], strict=True):
                assert mine.shape == other.shape
                assert_close(mine, other)


@torch.no_grad()
def test_features_are_laid_out_as_officially(pair):
    ours, theirs = (model._prepare_backbone_features(model.forward_image(PIXELS)) for model in pair)
    assert ours[3] == theirs[3]
    for mine, other in zip([*ours[1], *ours[2]], [*theirs[1], *theirs[2]], strict=True):
        assert mine.shape == other.shape
        assert_close(mine, other)
    assert (pair[0].hidden_dim, pair[0].num_feature_levels) == (
        pair[1].hidden_dim,
        pair[1].num_feature_levels,
    )


def test_gradients_flow_through_forward_image(pair):
    model = pair[0].requires_grad_(True)
    sum(level.square().mean() for level in model.forward_image(PIXELS)["backbone_fpn"]).backward()
    assert all(weight.grad is not None for weight in model.image_encoder.trunk.parameters())


@torch.no_grad()
def test_a_replaced_layer_of_the_trunk_reaches_the_predictor(pair):
    predictor, photo = SAM2ImagePredictor(pair[0]), seeded_photo(90, 160)
    predictor.set_image(photo)
    before = predictor.get_image_embedding()
    qkv = pair[0].image_encoder.trunk.blocks[0].attn.qkv
    pair[0].image_encoder.trunk.blocks[0].attn.qkv = torch.nn.Sequential(qkv, torch.nn.Tanh())
    predictor.set_image(photo)
    assert (predictor.get_image_embedding() - before).abs().max() > 1e-3
    assert predictor._bb_feat_sizes == [(64, 64), (32, 32), (16, 16)]


def test_the_video_predictor_is_a_model_too(pair):
    predictor = SAM2VideoPredictor.of(sam2_tests.TINY)
    predictor.load_state_dict(pair[1].state_dict(), strict=True)
    predictor.eval()
    assert isinstance(predictor, SAM2Base)
    assert [name for name, _ in predictor.named_parameters()] == [
        name for name, _ in pair[0].named_parameters()
    ]
    answers = []
    for model in (predictor, pair[0]):
        photos = SAM2ImagePredictor(model)
        photos.set_image(seeded_photo(90, 160))
        answers.append(photos.predict(np.array([[30, 40]]), np.array([1]))[2])
    assert np.array_equal(*answers)
    assert copy.deepcopy(predictor).hidden_dim == pair[0].hidden_dim


def test_a_checkpoint_is_put_into_a_model(pair, tmp_path):
    torch.save({"model": pair[1].state_dict()}, tmp_path / "a.pt")
    fresh = SAM2Base.of(sam2_tests.TINY)
    _load_checkpoint(fresh, tmp_path / "a.pt")
    assert all(torch.equal(value, pair[1].state_dict()[key]) for key, value in fresh.state_dict().items())


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")  # torch's own: this way of quantising is on its way out
def test_dynamically_quantised_layers_are_used(pair):
    ours, official = (
        torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {torch.nn.Linear}, dtype=torch.qint8)
        for model in pair
    )
    mine, theirs, exact = (
        model.image_encoder(PIXELS)["vision_features"] for model in (ours, official, pair[1])
    )
    assert (theirs - exact).std() > 1e-3
    # A layer left out would differ by what quantising changes; the rest is rounding, larger with AVX2.
    assert (mine - theirs).std() < 0.5 * (theirs - exact).std()
    assert type(ours.memory_attention.layers[0].linear1) is not torch.nn.Linear
