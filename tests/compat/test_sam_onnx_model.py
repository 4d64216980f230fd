"""``SamOnnxModel`` as the official export script uses it: called, and traced into a file."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import torch

from everymask.compat.segment_anything.modeling import Sam
from everymask.compat.segment_anything.utils.onnx import SamOnnxModel
from everymask.models.load import build
from tests.parity import torchvision_standin
from tests.parity.official import official_model
from tests.parity.seeded import fill
from tests.parity.test_models_parity import SMALL

torchvision_standin.install()
pytest.importorskip("segment_anything")
SPEC = SMALL["sam"]
INPUTS = ("image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size")


@pytest.fixture(scope="module")
def pair():
    official = official_model(SPEC)
    return build(SPEC, fill(official), kind=Sam), official


def given(points, size, has_mask, seed=0):
    generator = torch.Generator().manual_seed(seed)
    height, width = SPEC.embedding_hw
    values = (
        torch.randn(1, 256, height, width, generator=generator),
        torch.rand(1, points, 2, generator=generator) * SPEC.image_size,
        torch.tensor([[1.0, 0.0, 2.0, 3.0, -1.0][:points]]),
        torch.randn(1, 1, 4 * height, 4 * width, generator=generator) * 5,
        torch.full((1,), float(has_mask)),
        torch.tensor(size, dtype=torch.float32),
    )
    return dict(zip(INPUTS, values, strict=True))


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("stability", [True, False])
def test_every_option_gives_the_official_answers(pair, single, stability):
    from segment_anything.utils.onnx import SamOnnxModel as Official

    ours, official = (
        kind(model, single, use_stability_score=stability, return_extra_metrics=True)
        for kind, model in zip((SamOnnxModel, Official), pair, strict=True)
    )
    for points, size, has_mask in ((1, (97, 201), 0), (2, (300, 128), 1), (5, (64, 64), 0)):
        inputs = given(points, size, has_mask)
        for one, theirs in zip(ours(**inputs), official(**inputs), strict=True):
            assert one.shape == theirs.shape
            different = (one.float() - theirs.float()).abs().nan_to_num()
            if theirs.ndim == 4:  # logits
                assert different.max() < 1e-4 * theirs.std()
            elif theirs.dtype == torch.int64:  # areas: a pixel on the edge
                assert different.max() <= 3
            else:
                assert different.max() < 1e-3


def test_the_official_script_s_export_runs_at_any_number_of_points(pair):
    onnxruntime = pytest.importorskip("onnxruntime")
    model, example, file = SamOnnxModel(pair[0], False), given(5, (97, 201), 1), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            tuple(example.values()),
            file,
            dynamo=False,
            opset_version=17,
            do_constant_folding=True,
            input_names=list(INPUTS),
            output_names=["masks", "iou_predictions", "low_res_masks"],
            dynamic_axes={"point_coords": {1: "num_points"}, "point_labels": {1: "num_points"}},
        )
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    for points, size in ((2, (97, 201)), (4, (300, 128))):
        inputs = given(points, size, 0, seed=points)
        answer = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        for one, theirs in zip(answer, model(**inputs), strict=True):
            assert one.shape == theirs.shape
            assert np.abs(one - theirs.numpy()).max() < 1e-4 * theirs.std().item()
