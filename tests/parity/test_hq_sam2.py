"""HQ-SAM 2 (``sam2.1_hq_hiera_large``) against its own code, and against the official SAM 2 decoder.

Its own code is on no package index: where ``make test-clients`` has not fetched it those tests are skipped.
What it adds is a token and two small nets, so that SAM 2's decoder, which is always there, tells much of it:
it takes the token as the first of its prompt tokens, and hooks hand out what the nets read.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from everymask import AutomaticMaskGenerator, ImagePredictor, VideoTracker
from everymask.errors import OptionError
from everymask.export.write import export_onnx
from everymask.models.load import build
from everymask.models.specs import MODELS
from everymask.models.weights import recognise, to_transformers
from everymask.nn.records import ImageFeatures
from tests.clients.checkouts import place
from tests.parity.conftest import seeded_photo
from tests.parity.official import official_model
from tests.parity.relatives.asking import FRAMES, PROMPTS
from tests.parity.relatives.beside import answers
from tests.parity.relatives.hq_sam2 import CLIP_PROMPTS, SPECS
from tests.parity.relatives.ours import asked as asked_of
from tests.parity.relatives.ours import assert_as_exact, assert_tracked_as, seeded, tracked
from tests.parity.seeded import seeded_state
from tests.video.parity import moving_scene, tiny, write_jpegs

SPEC = tiny("sam2.1_hq_hiera_large")
FINER = ("hf_token.", "hf_mlp.", "embedding_maskfeature.")
OBJECT, IOU, MASKS = 1, 1, 4  # output tokens before the finer one


def own_code():
    checkout = place() / "sam-hq" / "sam-hq2"
    if not checkout.is_dir():
        pytest.skip(f"{checkout} was not fetched; run: make test-clients, where GitHub can be reached")
    return checkout


@pytest.mark.parametrize("what", ["photo", "finer"])
def test_a_photo_is_answered_as_exactly_as_by_its_own_code(what, tmp_path):
    official = answers(own_code(), "hq_sam2", tmp_path / "photo.safetensors", "small", what)
    model = seeded(SPECS["small"])
    model.hq_token_only = what == "finer"
    ours = asked_of(model)
    assert len(ours) == 3 + 2 * len(PROMPTS)
    if what == "finer":  # one mask beside three scores; here it stands once for each
        official = {key: each.expand_as(ours[key.partition(".")[2]]) for key, each in official.items()}
    assert_as_exact(ours, official)


def test_two_objects_are_tracked_through_thirty_frames_as_by_its_own_code(tmp_path):
    clip = write_jpegs(tmp_path / "clip", moving_scene(FRAMES))
    official = answers(own_code(), "hq_sam2", tmp_path / "clip.safetensors", "small", "clip", str(clip))
    ours = tracked(seeded(SPECS["small"]).double(), clip, CLIP_PROMPTS)
    assert ours.shape == (FRAMES, 2, 90, 140)
    assert_tracked_as(ours, official)


@pytest.fixture(scope="module")
def state():
    return seeded_state({key: x.shape for key, x in build(SPEC).state_dict().items()})


@pytest.fixture(scope="module")
def model(state):
    return build(SPEC, dict(state))


@pytest.fixture(scope="module")
def asked():
    """Features of a photo and three prompts of two points on it."""
    random = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=random)  # noqa: E731
    features = ImageFeatures(draw(1, 64, 8, 8), (draw(1, 8, 32, 32), draw(1, 16, 16, 16)))
    points = torch.rand(3, 2, 2, generator=random) * 128
    return features, points, torch.tensor([[1, 0], [1, 1], [1, -1]])


@pytest.fixture(scope="module")
def official(state, model, asked):
    """All masks, predicted IoUs and finer masks, and the official decoder that gave them."""
    decoder = official_model(SPEC).sam_mask_decoder
    prefix = "sam_mask_decoder."
    own = {key.removeprefix(prefix): x for key, x in state.items() if key.startswith(prefix)}
    decoder.load_state_dict({key: x for key, x in own.items() if not key.startswith(FINER)}, strict=True)
    seen = {}
    decoder.transformer.register_forward_hook(lambda *call: seen.update(tokens=call[2][0]))
    decoder.output_upscaling[-1].register_forward_hook(lambda *call: seen.update(upscaled=call[2]))
    features, points, labels = asked
    sparse = model.encode_prompts(points, labels).sparse
    with torch.no_grad():
        masks, iou, _, _ = decoder.predict_masks(
            image_embeddings=features.embedding,
            image_pe=model.prompts.grid_position(),
            sparse_prompt_embeddings=torch.cat([own["hf_token.weight"].expand(3, 1, -1), sparse], dim=1),
            dense_prompt_embeddings=model.prompts.no_mask().expand(3, -1, 8, 8),
            repeat_image=True,
            high_res_features=list(features.high_res),
        )
        finer_map, token_net = _nets(own)
        maps = finer_map(seen["upscaled"])
        token = token_net(seen["tokens"][:, OBJECT + IOU + MASKS])
        finer = (token[:, None] @ maps.flatten(2)).view(3, 1, 32, 32)
    return masks, iou, finer, decoder


def _nets(own):
    from sam2.modeling.sam2_utils import MLP, LayerNorm2d

    finer_map = nn.Sequential(
        nn.Conv2d(8, 16, 3, 1, 1), LayerNorm2d(16), nn.GELU(), nn.Conv2d(16, 8, 3, 1, 1)
    )
    token_net = MLP(64, 64, 8, 3)
    for net, name in ((finer_map, "embedding_maskfeature."), (token_net, "hf_mlp.")):
        weights = {key.removeprefix(name): x for key, x in own.items() if key.startswith(name)}
        net.load_state_dict(weights, strict=True)
    return finer_map, token_net


def same(ours, theirs):
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max()) <= 1e-4 * float(theirs.max() - theirs.min())


def decoded(model, asked):
    features, points, labels = asked
    with torch.no_grad():
        return model.decode(features, model.encode_prompts(points, labels))


def test_the_finer_mask_is_added_to_all_three_of_an_ambiguous_prompt(model, asked, official):
    masks, iou, finer, _ = official
    chosen = model.choose(decoded(model, asked), multimask=True)
    same(chosen.mask_logits, masks[:, 1:] + finer)
    same(chosen.iou, iou[:, 1:])


def test_the_single_mask_is_chosen_before_the_finer_one_is_added(model, asked, official):
    masks, iou, finer, decoder = official
    single, single_iou = decoder._dynamic_multimask_via_stability(masks, iou)
    assert not torch.equal(single, masks[:, :1])  # one of them is unstable
    chosen = model.choose(decoded(model, asked), multimask=False)
    same(chosen.mask_logits, single + finer)
    same(chosen.iou, single_iou)


def test_the_finer_mask_can_be_had_alone(model, asked, official, monkeypatch):
    monkeypatch.setattr(model, "hq_token_only", True, raising=False)
    chosen = model.choose(decoded(model, asked), multimask=False)
    same(chosen.mask_logits, official[2])


@pytest.mark.parametrize("multimask", [True, False])
def test_everything_mode_gives_what_a_click_gives(model, multimask):
    photo = seeded_photo(90, 140, 1)
    point = np.array([[0.4, 0.6]])
    generator = AutomaticMaskGenerator(
        model,
        points_per_side=None,
        point_grids=[point],
        multimask_output=multimask,
        pred_iou_thresh=0.0,
        stability_score_thresh=0.0,
        box_nms_thresh=1.0,
    )
    found = generator.generate(photo)
    predictor = ImagePredictor(model)
    predictor.set_image(photo)
    answer = predictor.predict(points=point * (140, 90), labels=[1], multimask=multimask)
    expected = sorted(int(mask.sum()) for mask in answer.masks if mask.any())
    assert expected
    assert sorted(mask.area for mask in found) == expected


def test_a_clip_is_tracked(model):
    session = VideoTracker(model).open(list(moving_scene(4)))
    session.add_prompt(0, 1, points=[[30, 40]], labels=[1])
    frames = list(session.propagate())
    assert len(frames) == 4
    assert np.isfinite(frames[-1].logits).all()


def test_the_published_keys_are_recognised():
    assert recognise(build(SPEC).state_dict() | _widest()) == MODELS["sam2.1_hq_hiera_large"]


def _widest():
    """The keys that tell Hiera's sizes, as the large model has them."""
    blocks = {f"image_encoder.trunk.blocks.{index}.norm1.weight": torch.ones(1) for index in range(48)}
    return blocks | {"image_encoder.trunk.patch_embed.proj.weight": torch.zeros(144, 3, 7, 7)}


def test_what_cannot_be_written_is_refused_with_a_way_out(model, tmp_path):
    with pytest.raises(OptionError, match="export with masks='multi' or 'single'"):
        export_onnx(model, tmp_path)
    with pytest.raises(OptionError, match="keep the official names"):
        to_transformers(model)
