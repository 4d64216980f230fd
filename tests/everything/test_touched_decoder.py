"""Everything mode with a decoder that somebody touched: the plain form, and the same masks."""

import copy

import numpy as np
import pytest
import torch

from everymask.everything.generate import AutomaticMaskGenerator
from tests.compat import test_sam2_image as sam2_tests
from tests.compat import test_segment_anything_image as sam_tests
from tests.parity.conftest import seeded_photo

OPTIONS = {"points_per_side": 4, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}


@pytest.fixture(params=["sam", "sam2"])
def model(request):
    ours, _ = (sam_tests if request.param == "sam" else sam2_tests).models()
    return copy.deepcopy(ours)


@pytest.mark.parametrize("options", [{}, {"use_m2m": True}, {"multimask_output": False}])
def test_a_hook_in_the_decoder_changes_no_mask(model, options):
    photo = seeded_photo(90, 160)
    untouched = AutomaticMaskGenerator(model, **OPTIONS, **options).generate(photo)
    calls = []
    model.decoder.transformer.register_forward_hook(lambda *_: calls.append(1))
    touched = AutomaticMaskGenerator(model, **OPTIONS, **options).generate(photo)
    assert calls
    assert len(touched) == len(untouched) > 3
    for mine, other in zip(touched, untouched, strict=True):
        assert np.mean(mine.segmentation != other.segmentation) < 1e-3
        assert mine.predicted_iou == pytest.approx(other.predicted_iou, abs=1e-4)


@torch.no_grad()
def test_a_replaced_head_of_the_decoder_is_asked(model):
    class Sure(torch.nn.Module):
        def forward(self, tokens):
            return tokens.new_full((len(tokens), 4), 0.75)

    model.decoder.iou_prediction_head = Sure()
    masks = AutomaticMaskGenerator(model, **OPTIONS).generate(seeded_photo(90, 160))
    assert {mask.predicted_iou for mask in masks} == {0.75}
