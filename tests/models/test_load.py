import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from everymask.errors import OptionError, UnknownModelError
from everymask.models.load import WithoutInitialisation, build, empty, load, locate, read_device, read_dtype
from everymask.models.specs import MODELS
from everymask.models.weights import to_official
from tests.models.test_weights import TINY


@pytest.fixture(scope="module")
def nano_file(tmp_path_factory):
    """A file in nano's architecture, weights in float16 as in the package."""
    state = {key: value.half() if value.is_floating_point() else value for key, value in _nano().items()}
    path = tmp_path_factory.mktemp("weights") / "some_name.safetensors"
    save_file(state, path)
    return path


def _nano():
    torch.manual_seed(0)
    return to_official(empty(MODELS["nano"]))


def test_a_file_is_loaded_by_what_is_in_it(nano_file):
    model = load(nano_file, device="cpu")
    assert model.spec is MODELS["nano"]
    assert model.dtype == torch.float32
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("kind", [str, Path])
def test_paths_may_be_strings_or_paths(nano_file, kind):
    assert load(kind(nano_file), device="cpu").spec.name == "nano"


def test_a_loaded_model_does_not_depend_on_its_file(nano_file, tmp_path):
    copy = tmp_path / "copy.pt"
    torch.save(_nano(), copy)
    model = load(copy, device="cpu")
    before = model.no_mem_embed.clone()
    copy.write_bytes(bytes(copy.stat().st_size))
    assert torch.equal(model.no_mem_embed, before)


def test_float16_weights_are_computed_with_in_float32(nano_file):
    model = load(nano_file, device="cpu")
    assert {value.dtype for value in model.state_dict().values() if value.is_floating_point()} == {
        torch.float32
    }


@pytest.mark.parametrize("dtype", ["bfloat16", torch.bfloat16])
def test_bfloat16_leaves_positions_and_heads_in_float32(nano_file, dtype):
    model = load(nano_file, device="cpu", dtype=dtype)
    assert model.dtype == torch.bfloat16
    assert model.prompts.pe_layer.positional_encoding_gaussian_matrix.dtype == torch.float32
    for head in (model.decoder.iou_prediction_head, model.decoder.pred_obj_score_head):
        assert {parameter.dtype for parameter in head.parameters()} == {torch.float32}


def test_parts_kept_in_float32_are_not_rounded():
    state = to_official(_tiny())
    model = build(TINY, state, dtype=torch.bfloat16).cast(torch.bfloat16)
    kept = ("pe_layer.", "output_hypernetworks_mlps.", "iou_prediction_head.", "pred_obj_score_head.")
    for key, value in to_official(model).items():
        if any(part in key for part in kept):
            assert torch.equal(value, state[key]), key


@torch.inference_mode()
def test_bfloat16_answers_are_float32_and_near(nano_file):
    fine, coarse = (build(TINY, to_official(_tiny()), dtype=d) for d in (torch.float32, torch.bfloat16))
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(1, 3, 64, 64, generator=generator)
    points = torch.rand(5, 1, 2, generator=generator) * 64
    answers = []
    for model in (fine, coarse):
        prompts = model.encode_prompts(*model.arrange(points, torch.ones(5, 1), None))
        answers.append(model.decode(model.encode_image(pixels), prompts))
    assert answers[1].mask_logits.dtype == answers[1].iou.dtype == torch.float32
    spread = answers[0].mask_logits.std()
    assert (answers[1].mask_logits - answers[0].mask_logits).abs().max() < 0.2 * spread
    assert (answers[1].iou - answers[0].iou).abs().max() < 0.02


def _tiny():
    torch.manual_seed(1)
    return empty(TINY)


def test_a_spec_of_ones_own_is_built_with_its_weights():
    state = to_official(_tiny())
    model = build(TINY, state)
    assert model.spec is TINY
    assert torch.equal(model.no_mem_embed, state["no_mem_embed"])


def test_no_weight_is_left_uninitialised():
    """With initialisation skipped, every tensor must come from the state: random ones tell."""
    states = [to_official(build(TINY, {k: torch.full_like(v, 0.5) for k, v in to_official(_tiny()).items()}))]
    for value in states[0].values():
        assert (value == (0.5 if value.is_floating_point() else 0)).all()


def test_initialisation_is_skipped_only_within_the_block():
    with WithoutInitialisation():
        torch.nn.Linear(1000, 10)
    weight = torch.nn.Linear(1000, 10).weight
    assert 0.01 < weight.std() < 0.03


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            "sam3",
            r"expected a model name \(nano, sam_vit_b, .*\), a checkpoint path or a hub id, got 'sam3'; "
            "see `everymask models list`",
        ),
        ("", r"expected a model name \(nano, .*\), a checkpoint path or a hub id, got ''; .*"),
    ],
)
def test_unknown_names_are_refused(source, text):
    with pytest.raises(UnknownModelError, match=text):
        load(source, device="cpu")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"device": "gpu"}, "device must be 'cpu', 'cuda', 'cuda:0', 'mps' or None, got 'gpu'"),
        ({"device": "cuda:99"}, r"device 'cuda:99' was asked for, but torch sees \d CUDA devices; pass .*"),
        ({"dtype": "int8"}, "dtype must be one of float32, bfloat16, float16, float64, .* got 'int8'"),
        ({"dtype": torch.int64}, "dtype must be one of float32, .* got torch.int64"),
    ],
)
def test_wrong_options_are_refused(options, text):
    with pytest.raises(OptionError, match=text):
        load("nano", **options)


def test_a_name_is_looked_up_before_a_download(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "everymask.models.load.pull", lambda name, progress=None: asked.append(name) or Path("x")
    )
    assert locate("facebook/sam2.1-hiera-tiny") == (Path("x"), MODELS["sam2.1_hiera_tiny"])
    assert locate("sam_vit_b") == (Path("x"), MODELS["sam_vit_b"])
    assert locate("someone/finetuned-sam2") == (Path("x"), None)
    assert asked == ["sam2.1_hiera_tiny", "sam_vit_b", "someone/finetuned-sam2"]


def test_a_path_wins_over_a_download(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sam_vit_b_01ec64.pth").write_bytes(b"x")
    assert locate("sam_vit_b_01ec64.pth") == (Path("sam_vit_b_01ec64.pth"), None)


def test_types_have_names():
    assert read_dtype(None) == read_dtype("float32") == torch.float32
    assert read_device("cpu") == torch.device("cpu")


def test_specs_are_plain_data():
    from dataclasses import asdict

    for name, spec in MODELS.items():
        assert spec.name == name
        assert json.loads(json.dumps(asdict(spec)))["name"] == name


def test_built_models_do_not_share_weights():
    state = to_official(_tiny())
    first, second = build(TINY, state), build(TINY, state)
    first.no_mem_embed.data.fill_(9.0)
    assert not torch.equal(first.no_mem_embed, second.no_mem_embed)
    assert not torch.equal(first.no_mem_embed, state["no_mem_embed"])


def test_consumed_weights_are_moved_into_the_model():
    state = to_official(_tiny())
    place = state["no_mem_embed"].data_ptr()
    model = build(TINY, state, consume=True)
    assert not state
    assert model.no_mem_embed.data_ptr() == place
