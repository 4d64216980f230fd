"""Under bfloat16 autocast, as the official examples run: the official types throughout, and near values."""

import warnings

import numpy as np
import pytest
import torch

from everymask.compat.sam2 import SAM2ImagePredictor, SAM2VideoPredictor
from everymask.compat.sam2.modeling import SAM2Base
from everymask.compat.segment_anything import SamPredictor
from everymask.compat.segment_anything.modeling import Sam
from everymask.models.load import build
from everymask.models.weights import to_official
from tests.compat import test_sam2_image as sam2_tests
from tests.compat import test_segment_anything_image as sam_tests
from tests.compat.test_inference_state import prompted, shape_of, tracked
from tests.parity.conftest import seeded_photo
from tests.parity.official import official_model
from tests.parity.seeded import fill
from tests.video.parity import moving_scene, tiny, write_jpegs

NEAR = 0.04
"""Of the spread: bfloat16 has eight bits, and the same products may be rounded at other places."""


@pytest.fixture(autouse=True)
def autocast():
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the official transforms use torch.jit.script
        yield


def assert_near(ours, theirs):
    assert shape_of(ours) == shape_of(theirs)
    for mine, other in zip(tensors(ours), tensors(theirs), strict=True):
        if mine.dtype == torch.bool:
            assert (mine != other).float().mean() < 0.02
        else:
            spread = max(float(other.max() - other.min()), 0.1)
            assert float((mine.float() - other.float()).abs().max()) < NEAR * spread


def tensors(value):
    if isinstance(value, dict):
        value = list(value.values())
    return [value] if isinstance(value, torch.Tensor) else [x for each in value for x in tensors(each)]


def test_sam2_s_encoder_and_predictor():
    pytest.importorskip("sam2")
    from sam2.sam2_image_predictor import SAM2ImagePredictor as Official

    plain, official = sam2_tests.models()
    ours = build(sam2_tests.TINY, to_official(plain), kind=SAM2Base)
    pixels = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    assert_near(ours.forward_image(pixels), official.forward_image(pixels))
    answers = []
    for predictor in (SAM2ImagePredictor(ours), sam2_tests.of_its_size(Official(official))):
        predictor.set_image(seeded_photo(90, 160))
        points = torch.tensor([[[30.0, 40.0]], [[90.0, 70.0]]] * 4)
        many = predictor._predict(points, torch.ones(8, 1, dtype=torch.int))
        arrays = predictor.predict(np.array([[30, 40]]), np.array([1]))
        answers.append((predictor._features, many, [torch.from_numpy(each) for each in arrays[1:]]))
    assert_near(*answers)


def test_sam_s_encoder_and_predictor():
    from segment_anything import SamPredictor as Official

    plain, official = sam_tests.models()
    ours = build(sam_tests.TINY, to_official(plain), kind=Sam)
    side = sam_tests.TINY.image_size
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    assert_near(ours.image_encoder(pixels), official.image_encoder(pixels))
    answers = []
    for predictor in (SamPredictor(ours), Official(official)):
        predictor.set_image(seeded_photo(90, 160))
        points = torch.tensor([[[30.0, 40.0]], [[90.0, 70.0]]] * 4)
        answers.append(predictor.predict_torch(points, torch.ones(8, 1, dtype=torch.int)))
    assert_near(*answers)


def test_a_clip(tmp_path):
    pytest.importorskip("sam2")
    clip = str(write_jpegs(tmp_path / "clip", moving_scene(5)))
    official = official_model(tiny(), video=True)
    official.fill_hole_area = 0
    state = fill(official)
    ours = SAM2VideoPredictor.of(tiny(), binarize_mask_from_pts_for_mem_enc=True)
    ours.load_state_dict(state, strict=True)
    seen = []
    for predictor in (ours.eval(), official):
        inference = prompted(predictor, clip)
        masks = [logits for _, logits in tracked(predictor, inference)]
        kept = {key: value for key, value in inference.items() if key != "images"}
        seen.append((masks, shape_of(kept)))
    assert seen[0][1] == seen[1][1]
    assert_near(seen[0][0], seen[1][0])
