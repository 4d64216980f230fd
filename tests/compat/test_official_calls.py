"""Programs that call prompt encoder and mask decoder themselves, to fine-tune for instance, get the official
tuples, values and gradients.
"""

import copy

import numpy as np
import pytest
import torch

from everymask.compat.sam2 import SAM2ImagePredictor
from everymask.compat.sam2.modeling import SAM2Base
from everymask.compat.sam2.utils.transforms import SAM2Transforms
from everymask.models.load import build
from everymask.models.weights import to_official
from tests.compat import test_sam2_image as sam2_tests
from tests.compat import test_segment_anything_image as sam_tests
from tests.compat.cases import assert_close
from tests.parity.conftest import seeded_photo

POINTS = torch.tensor([[[30.0, 40.0], [100.0, 20.0]], [[60.0, 200.0], [5.0, 5.0]]])
LABELS = torch.tensor([[1, 0], [1, -1]])
BOXES = torch.tensor([[10.0, 20.0, 120.0, 200.0], [0.0, 0.0, 50.0, 60.0]])
MASKS = torch.linspace(-9, 9, 2 * 64 * 64).reshape(2, 1, 64, 64)


def sam_pair():
    ours, official = sam_tests.models()
    return ours, official


def sam2_pair():
    ours, official = sam2_tests.models()
    return build(sam2_tests.TINY, to_official(ours), kind=SAM2Base), official


def encoder_of(model):
    return model.prompt_encoder if hasattr(model, "prompt_encoder") else model.sam_prompt_encoder


@pytest.mark.parametrize("make_pair", [sam_pair, sam2_pair])
@pytest.mark.parametrize(
    "given",
    [
        {"points": (POINTS, LABELS), "boxes": None, "masks": None},
        {"points": None, "boxes": BOXES, "masks": None},
        {"points": (POINTS, LABELS), "boxes": BOXES, "masks": None},
        {"points": (POINTS, LABELS), "boxes": BOXES, "masks": MASKS},
        {"points": None, "boxes": None, "masks": MASKS},
        {"points": None, "boxes": None, "masks": None},
    ],
    ids=["points", "boxes", "points and boxes", "all", "masks", "nothing"],
)
def test_prompt_encoder_calls_give_the_official_embeddings(make_pair, given):
    ours, official = (encoder_of(model)(**given) for model in make_pair())
    for mine, theirs in zip(ours, official, strict=True):
        assert mine.shape == theirs.shape
        if theirs.numel():
            assert_close(mine.detach(), theirs.detach())


@pytest.mark.parametrize("make_pair", [sam_pair, sam2_pair])
def test_prompt_encoder_facts_are_the_official_ones(make_pair):
    ours, official = (encoder_of(model) for model in make_pair())
    assert_close(ours.get_dense_pe().detach(), official.get_dense_pe().detach())
    for name in ("embed_dim", "input_image_size", "image_embedding_size", "mask_input_size"):
        assert tuple(np.atleast_1d(getattr(ours, name))) == tuple(np.atleast_1d(getattr(official, name)))


def sam_inputs(model):
    """What a training step gives the mask decoder, made as programs for segment-anything make it."""
    with torch.no_grad():
        photo = torch.from_numpy(seeded_photo(256, 192).copy()).permute(2, 0, 1)[None].float()
        sparse, dense = model.prompt_encoder(points=None, boxes=BOXES, masks=None)
        return {
            "image_embeddings": model.image_encoder(model.preprocess(photo)),
            "image_pe": model.prompt_encoder.get_dense_pe(),
            "sparse_prompt_embeddings": sparse,
            "dense_prompt_embeddings": dense,
        }


def sam2_inputs(predictor):
    """What a training step gives the mask decoder, made as programs for SAM 2 make it."""
    model = predictor.model
    predictor.set_image(seeded_photo(90, 160))
    mask_input, unnorm_coords, labels, _ = predictor._prep_prompts(
        np.array([[[30, 40]], [[90, 50]]]), np.ones((2, 1)), box=None, mask_logits=None, normalize_coords=True
    )
    sparse, dense = model.sam_prompt_encoder(points=(unnorm_coords, labels), boxes=None, masks=mask_input)
    return {
        "image_embeddings": predictor._features["image_embed"][-1].unsqueeze(0),
        "image_pe": model.sam_prompt_encoder.get_dense_pe(),
        "sparse_prompt_embeddings": sparse,
        "dense_prompt_embeddings": dense,
        "repeat_image": True,
        "high_res_features": [level[-1].unsqueeze(0) for level in predictor._features["high_res_feats"]],
    }


def gradients_in_double(decoder, inputs, multimask):
    """Of a loss on masks and scores, to the decoder's weights by their official names.

    In float64: a gradient jumps where a ReLU's input changes sign, and among the 28,672 inputs here there is
    one of 2.6e-8, which float32 rounding (4e-6) decides differently from CPU to CPU.
    """
    decoder = copy.deepcopy(decoder).double().requires_grad_(True)
    outputs = decoder(**{name: _double(value) for name, value in inputs.items()}, multimask_output=multimask)
    names = ["iou_token.weight", "output_upscaling.0.weight", "transformer.layers.0.self_attn.q_proj.weight"]
    weights = [dict(decoder.named_parameters())[name] for name in names]
    loss = torch.sigmoid(outputs[0]).mean() + outputs[1].mean()
    return torch.autograd.grad(loss, weights)


def _double(value):
    if isinstance(value, list):
        return [_double(each) for each in value]
    return value.detach().double() if isinstance(value, torch.Tensor) else value


@pytest.mark.parametrize("multimask", [True, False])
def test_a_training_step_of_sam_gives_the_official_values(multimask):
    results = []
    for model in sam_pair():
        decoder = copy.deepcopy(model.mask_decoder).requires_grad_(True)
        results.append(decoder(**sam_inputs(model), multimask_output=multimask))
    for mine, theirs in zip(*results, strict=True):
        assert mine.shape == theirs.shape
        assert mine.requires_grad
        assert _relative(mine, theirs) < 1e-4


@pytest.mark.parametrize("multimask", [True, False])
def test_a_training_step_of_sam_gives_the_official_gradients(multimask):
    ours, official = sam_pair()
    inputs = sam_inputs(official)
    mine, theirs = (gradients_in_double(model.mask_decoder, inputs, multimask) for model in (ours, official))
    for one, other in zip(mine, theirs, strict=True):
        assert _relative(one, other) < 1e-9


@pytest.mark.parametrize("multimask", [True, False])
def test_a_training_step_of_sam2_gives_the_official_values(multimask):
    results = []
    for predictor in _sam2_predictors():
        decoder = copy.deepcopy(predictor.model.sam_mask_decoder).requires_grad_(True)
        low_res, *others = decoder(**sam2_inputs(predictor), multimask_output=multimask)
        masks = predictor._transforms.postprocess_masks(low_res, predictor._orig_hw[-1])
        results.append((low_res, *others, masks))
    for mine, theirs in zip(*results, strict=True):
        assert mine.shape == theirs.shape
        assert mine.requires_grad == theirs.requires_grad
        assert _relative(mine, theirs) < 1e-4


@pytest.mark.parametrize("multimask", [True, False])
def test_a_training_step_of_sam2_gives_the_official_gradients(multimask):
    ours, official = _sam2_predictors()
    inputs = sam2_inputs(official)
    mine, theirs = (
        gradients_in_double(predictor.model.sam_mask_decoder, inputs, multimask)
        for predictor in (ours, official)
    )
    for one, other in zip(mine, theirs, strict=True):
        assert _relative(one, other) < 1e-9


def _sam2_predictors():
    module = pytest.importorskip("sam2.sam2_image_predictor")
    ours, official = sam2_pair()
    return SAM2ImagePredictor(ours), sam2_tests._official_predictor(module, official)


def _relative(mine, theirs):
    return float(((mine - theirs).abs().max() / theirs.abs().max()).detach())


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # the official transforms
def test_sam2_transforms_equal_the_official_ones():
    official = pytest.importorskip("sam2.utils.transforms").SAM2Transforms(256, 0.0)
    ours = SAM2Transforms(256, 0.0)
    photos = [seeded_photo(90, 160), seeded_photo(300, 260)]
    assert_close(ours(photos[0]), official(photos[0]))
    assert_close(ours.forward_batch(photos), official.forward_batch(photos))
    coords = torch.tensor([[3.0, 4.0], [100.0, 50.0]])
    for normalize in (True, False):
        given = {"normalize": normalize, "orig_hw": (90, 160)}
        assert torch.equal(ours.transform_coords(coords, **given), official.transform_coords(coords, **given))
        assert torch.equal(ours.transform_boxes(BOXES, **given), official.transform_boxes(BOXES, **given))
    assert_close(ours.postprocess_masks(MASKS, (90, 160)), official.postprocess_masks(MASKS, (90, 160)))


def test_a_model_of_everymask_goes_into_the_compat_predictors():
    """``em.load`` gives models without the official calls; the predictors do not need them."""
    from everymask.compat.segment_anything import SamPredictor
    from everymask.models.sam import Sam

    plain = build(sam_tests.TINY, to_official(sam_tests.models()[0]))
    assert type(plain) is Sam
    predictor = SamPredictor(plain)
    predictor.set_image(seeded_photo(90, 160))
    assert predictor.predict(np.array([[30, 40]]), np.array([1]))[0].shape == (3, 90, 160)
