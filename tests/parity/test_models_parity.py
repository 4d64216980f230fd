"""Whole models against the official packages: photo in, features, low-resolution logits, IoUs and masks out.

Small variants run by default, the published sizes with ``-m full``. The tolerance is that of the
project: 1e-4 of the reference's spread in float32, and masks equal on 99.99% of pixels.
"""

from dataclasses import replace

import pytest
import torch

from everymask.models.specs import MODELS, ModelSpec
from everymask.nn.encoders.convnet import ConvSpec
from everymask.nn.encoders.efficientnet_lite import LiteSpec
from everymask.nn.encoders.hiera import HieraSpec
from everymask.nn.encoders.vit import ViTSpec
from tests.parity.official import WITH_OFFICIAL_CODE, seeded_pair

_HIERA = HieraSpec(16, 1, (1, 2, 2, 1), (4,), (7, 7))
SMALL = {
    "sam": replace(MODELS["sam_vit_b"], image_size=256, trunk=ViTSpec(48, 3, 4, global_blocks=(2,))),
    "sam2": replace(MODELS["sam2_hiera_tiny"], image_size=256, trunk=_HIERA),
    "sam2.1": replace(MODELS["sam2.1_hiera_tiny"], image_size=256, trunk=_HIERA),
    "sam2.1 with 14x14 positions": replace(
        MODELS["sam2.1_hiera_base_plus"], image_size=224, trunk=replace(_HIERA, background_size=(14, 14))
    ),
    "nano": replace(
        MODELS["nano"],
        image_size=128,
        trunk=ConvSpec(dims=(16, 24, 32, 40), depths=(1, 1, 1, 1), pretrained=LiteSpec(classes=0)),
    ),
}
PHOTOS = {"portrait": (150, 100), "landscape": (97, 201), "square": (64, 64), "tiny": (5, 9)}
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=SMALL)
def pair(request):
    return seeded_pair(SMALL[request.param])


@pytest.fixture(scope="module", params=PHOTOS)
def photo(request):
    from tests.parity.conftest import seeded_photo

    return seeded_photo(*PHOTOS[request.param])


class Official:
    """One photo in the official predictor of either family."""

    def __init__(self, spec: ModelSpec, model, photo):
        self.spec = spec
        if spec.family == "sam":
            from segment_anything import SamPredictor

            self.predictor = SamPredictor(model)
        else:
            from sam2.sam2_image_predictor import SAM2ImagePredictor

            self.predictor = SAM2ImagePredictor(model)
            sides = (spec.image_size // stride for stride in (4, 8, 16))
            self.predictor._bb_feat_sizes = [
                (side, side) for side in sides
            ]  # trap 14: written in for 1024 px
        self.predictor.set_image(photo)

    @property
    def features(self):
        if self.spec.family == "sam":
            return [self.predictor.features]
        stored = self.predictor._features
        return [stored["image_embed"], *stored["high_res_feats"]]

    def predict(self, points=None, labels=None, boxes=None, masks=None, multimask=True):
        """Logits at the photo's size, IoUs, low-resolution logits; coordinates in model pixels."""
        if self.spec.family == "sam":
            return self.predictor.predict_torch(points, labels, boxes, masks, multimask, return_logits=True)
        return self.predictor._predict(points, labels, boxes, masks, multimask, return_logits=True)


def ours(model, photo, points=None, labels=None, boxes=None, masks=None, multimask=True):
    features = model.encode_image(model.preprocess(photo)[None])
    prompts = model.encode_prompts(*model.arrange(points, labels, boxes), masks)
    chosen = model.choose(model.decode(features, prompts), multimask)
    low = chosen.mask_logits
    high = model.frame(photo.shape[:2]).upscale(low)
    return high, chosen.iou, low if model.spec.family == "sam" else low.clamp(-32, 32)


@pytest.fixture
def official_predictors(monkeypatch):
    monkeypatch.setattr(torch.jit, "script", lambda module: module)  # deprecated, and the same without


def worst(a, b):
    assert a.shape == b.shape
    return ((a - b).abs().max() / b.std().clamp(min=1e-3)).item()


def points_and_boxes(spec, count):
    generator = torch.Generator().manual_seed(9)
    points = torch.rand(count, 3, 2, generator=generator) * spec.image_size
    corner = torch.rand(count, 2, generator=generator) * spec.image_size / 2
    boxes = torch.cat(
        [corner, corner + 10 + torch.rand(count, 2, generator=generator) * spec.image_size / 3], 1
    )
    return points, torch.tensor([[1, 0, 1]] * count, dtype=torch.int32), boxes


def prompts_of_kind(model, kind):
    points, labels, boxes = points_and_boxes(model.spec, 3)
    masks = torch.randn(3, 1, *model.logits_size, generator=torch.Generator().manual_seed(2)) * 8
    return {
        "one point": {"points": points[:, :1], "labels": labels[:, :1]},
        "points": {"points": points, "labels": labels},
        "box": {"boxes": boxes},
        "box and points": {"boxes": boxes, "points": points, "labels": labels},
        "mask": {"masks": masks[:1]},
        "points and mask": {"points": points[:1], "labels": labels[:1], "masks": masks[:1]},
        "box and mask": {"boxes": boxes[:1], "masks": masks[:1]},
        "all": {"boxes": boxes[:1], "points": points[:1], "labels": labels[:1], "masks": masks[:1]},
        "nothing": {},
    }[kind]


KINDS = (
    "one point",
    "points",
    "box",
    "box and points",
    "mask",
    "points and mask",
    "box and mask",
    "all",
    "nothing",
)


@torch.inference_mode()
def test_features(pair, photo, official_predictors):
    model, official = pair
    features = model.encode_image(model.preprocess(photo)[None])
    theirs = Official(model.spec, official, photo).features
    for a, b in zip([features.embedding, *features.high_res], theirs, strict=True):
        assert worst(a, b) < TOLERANCE


@torch.inference_mode()
@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_prompt(pair, kind, multimask, official_predictors):
    from tests.parity.conftest import seeded_photo

    model, official = pair
    photo = seeded_photo(97, 201)
    prompts = prompts_of_kind(model, kind)
    high, iou, low = ours(model, photo, multimask=multimask, **prompts)
    their_high, their_iou, their_low = Official(model.spec, official, photo).predict(
        multimask=multimask, **prompts
    )
    assert worst(low, their_low) < TOLERANCE
    assert (iou - their_iou).abs().max() < TOLERANCE
    assert ((high > 0) == (their_high > 0)).float().mean() >= 0.9999


@torch.inference_mode()
def test_every_shape_of_photo(pair, photo, official_predictors):
    model, official = pair
    prompts = prompts_of_kind(model, "points")
    high, _, low = ours(model, photo, **prompts)
    their_high, _, their_low = Official(model.spec, official, photo).predict(**prompts)
    assert high.shape[-2:] == photo.shape[:2]
    assert worst(low, their_low) < TOLERANCE
    assert ((high > 0) == (their_high > 0)).float().mean() >= 0.9999


@torch.inference_mode()
def test_trap_5_a_padding_point_joins_where_the_family_has_one():
    points, labels, boxes = points_and_boxes(SMALL["sam"], 2)
    sam, sam2 = (seeded_pair(SMALL[name])[0] for name in ("sam", "sam2.1"))
    assert sam.arrange(None, None, boxes)[1].tolist() == [[2, 3]] * 2
    assert sam.arrange(points, labels, None)[1].tolist() == [[1, 0, 1, -1]] * 2
    assert sam.arrange(points, labels, boxes)[1].tolist() == [[1, 0, 1, 2, 3]] * 2
    assert sam2.arrange(None, None, boxes)[1].tolist() == [[2, 3, -1]] * 2
    assert sam2.arrange(points, labels, None)[1].tolist() == [[1, 0, 1, -1]] * 2
    assert sam2.arrange(points, labels, boxes)[1].tolist() == [[2, 3, 1, 0, 1, -1]] * 2


@torch.inference_mode()
def test_trap_5_the_padding_point_of_a_box_changes_sam2_masks():
    model, _ = seeded_pair(SMALL["sam2.1"])
    _, _, boxes = points_and_boxes(model.spec, 2)
    points, labels = model.arrange(None, None, boxes)
    features = model.encode_image(torch.randn(1, 3, 256, 256))
    padded = model.decode(features, model.encode_prompts(points, labels)).mask_logits
    bare = model.decode(features, model.encode_prompts(points[:, :2], labels[:, :2])).mask_logits
    assert worst(bare, padded) > 0.01


@torch.inference_mode()
def test_no_memory_embedding_is_part_of_photo_features_only():
    model, _ = seeded_pair(SMALL["sam2.1"])
    pixels = torch.randn(1, 3, 256, 256)
    difference = model.encode_image(pixels).embedding - model.encode_frame(pixels).embedding
    expected = model.no_mem_embed.reshape(1, -1, 1, 1).expand_as(difference)
    torch.testing.assert_close(difference, expected, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_trap_14_sizes_of_feature_maps_follow_from_the_spec():
    model, _ = seeded_pair(SMALL["sam2.1 with 14x14 positions"])
    features = model.encode_image(torch.randn(2, 3, 224, 224))
    assert features.embedding.shape == (2, 256, 14, 14)
    assert [tuple(x.shape) for x in features.high_res] == [(2, 32, 56, 56), (2, 64, 28, 28)]
    assert model.embedding_size == (14, 14)
    assert model.logits_size == (56, 56)


@pytest.mark.full
@torch.inference_mode()
@pytest.mark.parametrize("name", WITH_OFFICIAL_CODE)
@pytest.mark.parametrize("photo_hw", [(1500, 1000), (4000, 3000)], ids=["portrait", "4000px"])
def test_published_sizes(name, photo_hw, official_predictors):
    from tests.parity.conftest import seeded_photo

    model, official = seeded_pair(MODELS[name])
    photo = seeded_photo(*photo_hw)
    theirs = Official(model.spec, official, photo)
    features = model.encode_image(model.preprocess(photo)[None])
    assert worst(features.embedding, theirs.features[0]) < TOLERANCE
    for kind in ("one point", "box and points", "mask"):
        prompts = prompts_of_kind(model, kind)
        high, iou, low = ours(model, photo, **prompts)
        their_high, their_iou, their_low = theirs.predict(**prompts)
        assert worst(low, their_low) < TOLERANCE
        assert (iou - their_iou).abs().max() < TOLERANCE
        assert ((high > 0) == (their_high > 0)).float().mean() >= 0.9999
