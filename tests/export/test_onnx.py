"""Models as ONNX files: what PyTorch says, what others' signatures say, and what is refused."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import everymask as em
from everymask.cli.main import run
from everymask.errors import CheckpointError, OptionError
from everymask.export.write import export_onnx
from everymask.models.load import build
from tests.parity import torchvision_standin
from tests.parity.conftest import seeded_photo
from tests.parity.relatives import edgetam, efficienttam, hq_sam
from tests.parity.seeded import seeded_state
from tests.parity.test_models_parity import SMALL, prompts_of_kind

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


@pytest.fixture(autouse=True)
def _official_packages_import():
    torchvision_standin.install()


SPECS = {
    "sam": SMALL["sam"],
    "hq": hq_sam.SPECS["small"],
    "sam2.1": SMALL["sam2.1"],
    "edgetam": edgetam.SPECS["small"],
    "efficienttam": efficienttam.SPECS["small"],
}
PHOTO = Path(em.__file__).parent / "assets" / "photo.jpg"


def seeded(spec):
    return build(spec, seeded_state({key: x.shape for key, x in build(spec).state_dict().items()}))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model and the folder of its export, made once."""
    known = {}

    def of(name, **options):
        key = (name, *options.items())
        if key not in known:
            folder = tmp_path_factory.mktemp("onnx")
            model = em.load("nano", device="cpu") if name == "nano" else seeded(SPECS[name])
            export_onnx(model, folder, **options)
            known[key] = model, folder
        return known[key]

    return of


def session(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def worst(ours, reference):
    assert ours.shape == reference.shape
    return ((ours - reference).abs().max() / reference.std()).item()


@torch.inference_mode()
@pytest.mark.parametrize("name", SPECS)
def test_a_folder_loaded_again_answers_as_the_model(exported, name):
    model, folder = exported(name)
    again, exact = em.load(folder), copy.deepcopy(model).double()
    pixels = model.preprocess(seeded_photo(97, 201))[None]
    for kind in ("one point", "points", "box and points", "mask", "all", "nothing"):
        given = prompts_of_kind(model, kind)
        ours, torch_s, reference = (answer(each, pixels, given) for each in (again, model, exact))
        rounding = worst(torch_s.mask_logits.double(), reference.mask_logits)
        assert worst(ours.mask_logits, torch_s.mask_logits) < max(1e-4, 2 * rounding), kind
        assert (ours.iou - torch_s.iou).abs().max() < 1e-4, kind


def answer(model, pixels, given):
    arranged = model.arrange(*(given.get(key) for key in ("points", "labels", "boxes")))
    prompts = model.encode_prompts(*arranged, given.get("masks"))
    return model.choose(model.decode(model.encode_image(pixels), prompts), True)


def test_nano_s_folder_predicts_and_finds_everything_as_nano(exported):
    model, folder = exported("nano")
    photo = em.read_photo(PHOTO)
    found = []
    for each in (em.load(folder), model):
        predictor = em.ImagePredictor(each)
        predictor.set_image(photo)
        generator = em.AutomaticMaskGenerator(each, points_per_side=6)
        found.append((predictor.predict([[300, 60]], [1]), generator.generate(photo)))
    (click, everything), (their_click, their_everything) = found
    assert (click.masks == their_click.masks).mean() > 0.9999
    np.testing.assert_allclose(click.scores, their_click.scores, atol=1e-4)
    assert [mask.area for mask in everything] == [mask.area for mask in their_everything]
    assert len(everything) > 2


# --- signatures of others -------------------------------------------------------------------------


def test_sam_s_decoder_is_called_and_answers_as_the_official_export(exported):
    pytest.importorskip("segment_anything")
    from segment_anything.utils.onnx import SamOnnxModel

    from tests.parity.official import official_model

    model, folder = exported("sam")
    official = official_model(model.spec)
    official.load_state_dict(model.state_dict())
    theirs = SamOnnxModel(official, return_single_mask=False)
    decoder = session(folder / "decoder.onnx")
    assert [x.name for x in decoder.get_inputs()] == [
        *("image_embeddings", "point_coords", "point_labels"),
        *("mask_input", "has_mask_input", "orig_im_size"),
    ]
    assert [x.name for x in decoder.get_outputs()] == ["masks", "iou_predictions", "low_res_masks"]
    generator = torch.Generator().manual_seed(3)
    for size in ((97.0, 201.0), (300.0, 128.0)):
        given = {
            "image_embeddings": torch.randn(1, 256, *model.embedding_size, generator=generator),
            "point_coords": torch.rand(1, 4, 2, generator=generator) * model.spec.image_size,
            "point_labels": torch.tensor([[1.0, 0.0, 2.0, -1.0]]),
            "mask_input": torch.randn(1, 1, *model.logits_size, generator=generator),
            "has_mask_input": torch.ones(1),
            "orig_im_size": torch.tensor(size),
        }
        answer = decoder.run(None, {name: value.numpy() for name, value in given.items()})
        for ours, reference in zip(answer, theirs(**given), strict=True):
            assert worst(torch.from_numpy(ours), reference) < 1e-4


@pytest.mark.parametrize("masks", ["multi", "single"])
def test_sam_2_s_decoder_is_called_and_answers_as_onnx_runtime_s(exported, masks):
    pytest.importorskip("sam2")
    tools = pytest.importorskip("onnxruntime.transformers.models.sam2.image_decoder")
    from tests.parity.official import official_model

    model, folder = exported("sam2.1", masks=masks)
    official = official_model(model.spec)
    official.load_state_dict(model.state_dict())
    theirs = tools.SAM2ImageDecoder(official, multimask_output=masks == "multi")
    decoder = session(folder / "decoder.onnx")
    encoder = session(folder / "encoder.onnx")
    pixels = model.preprocess(seeded_photo(97, 201))[None].numpy()
    names = ("image_features_0", "image_features_1", "image_embeddings")
    assert tuple(x.name for x in encoder.get_outputs()) == names
    maps = dict(zip(names, map(torch.from_numpy, encoder.run(None, {"image": pixels})), strict=True))
    given = maps | {
        "point_coords": torch.tensor([[[60.0, 70.0], [200.0, 30.0]], [[10.0, 20.0], [120.0, 200.0]]]),
        "point_labels": torch.tensor([[1, 0], [2, 3]], dtype=torch.int32),
        "input_masks": torch.zeros(2, 1, *model.logits_size),
        "has_input_masks": torch.zeros(1),
        "original_image_size": torch.tensor([97, 201], dtype=torch.int32),
    }
    assert {x.name for x in decoder.get_inputs()} == given.keys()
    found, iou, logits = decoder.run(None, {name: value.numpy() for name, value in given.items()})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.jit, "script", lambda module: module)
        their_masks, their_iou, their_logits = theirs(**given)
    assert (found == their_masks.numpy()).mean() > 0.9999
    assert found.dtype == bool
    np.testing.assert_allclose(iou, their_iou.numpy(), atol=1e-4)
    assert worst(torch.from_numpy(logits).clamp(-32, 32), their_logits) < 1e-4  # theirs are clipped


def test_one_graph_takes_a_picture_and_prompts(tmp_path, exported):
    model, _ = exported("nano")
    export_onnx(model, tmp_path, one_graph=True)
    whole = session(tmp_path / "whole.onnx")
    height, width = model.logits_size
    masks, iou, _ = whole.run(
        None,
        {
            "image": model.preprocess(em.read_photo(PHOTO))[None].numpy(),
            "point_coords": np.array([[[150, 45]]], np.float32),
            "point_labels": np.array([[1]], np.int32),
            "input_masks": np.zeros((1, 1, height, width), np.float32),
            "has_input_masks": np.zeros(1, np.float32),
            "original_image_size": np.array([40, 60], np.int32),
        },
    )
    assert masks.shape == (1, 4, 40, 60)
    assert 0 < masks[0, iou[0].argmax()].mean() < 1


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_a_smaller_encoder_gives_nearly_the_same_masks(exported, precision, tmp_path):
    model, folder = exported("nano")
    export_onnx(model, tmp_path, precision=precision)
    sizes = [(each / "encoder.onnx").stat().st_size for each in (tmp_path, folder)]
    assert sizes[0] < sizes[1]
    photo, masks = em.read_photo(PHOTO), []
    for each in (tmp_path, folder):
        predictor = em.ImagePredictor(em.load(each))
        predictor.set_image(photo)
        masks.append(predictor.predict([[300, 60]], [1], multimask=False).masks[0])
    assert (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum() > 0.95


# --- the shell, and what is refused ---------------------------------------------------------------


def test_the_command_writes_a_folder_that_predict_runs(tmp_path, capsys):
    assert run(["export", "nano", "-o", str(tmp_path / "onnx")]) == 0
    assert "encoder.onnx" in capsys.readouterr().out
    where = ["--model", str(tmp_path / "onnx"), "-o", str(tmp_path / "out")]
    assert run(["predict", str(PHOTO), "-p", "300,60", *where]) == 0
    assert list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"masks": "both"}, "masks must be one of all, multi, single, got 'both'"),
        ({"precision": "int4"}, "precision must be one of float32, float16, int8, got 'int4'"),
        ({"opset": 9}, "opset must be from 13 to 20, got 9"),
    ],
)
def test_wrong_options_are_refused(exported, tmp_path, options, text):
    with pytest.raises(OptionError, match=text):
        export_onnx(exported("nano")[0], tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_models_that_cannot_go_out_are_refused(exported, tmp_path):
    model, folder = exported("nano")
    with pytest.raises(OptionError, match="is an export already"):
        export_onnx(em.load(folder), tmp_path)
    with pytest.raises(OptionError, match=r"float32 on the CPU, got torch\.float64"):
        export_onnx(build(model.spec, model.state_dict()).double(), tmp_path)


def test_folders_that_cannot_be_run_are_refused(exported, tmp_path):
    _, folder = exported("nano")
    with pytest.raises(OptionError, match="runs in the types it was exported in"):
        em.load(folder, dtype="bfloat16")
    _, multi = exported("sam2.1", masks="multi")
    with pytest.raises(OptionError, match="export all of them to run it here"):
        em.load(multi)
    (tmp_path / "everymask.json").write_text(json.dumps({"format": "another"}))
    with pytest.raises(CheckpointError, match="is not the note of an export"):
        em.load(tmp_path)
    (tmp_path / "everymask.json").write_bytes((folder / "everymask.json").read_bytes())
    with pytest.raises(CheckpointError, match="cannot be run"):
        em.load(tmp_path)


def test_a_folder_has_no_memory_for_video(exported):
    with pytest.raises(em.InputError, match="has no memory and cannot follow objects"):
        em.VideoTracker(em.load(exported("nano")[1]))


def test_models_of_one_name_with_other_weights_do_not_share_features(exported, tmp_path):
    from everymask.models.features import fingerprint

    model, folder = exported("edgetam")
    other = replace(model.spec, fallback=None)
    export_onnx(build(other, seeded_state({k: x.shape for k, x in model.state_dict().items()}, 5)), tmp_path)
    assert fingerprint(em.load(folder)) != fingerprint(em.load(tmp_path))
