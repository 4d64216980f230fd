import os
import pickle
import re
import zipfile
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from everymask.errors import CheckpointError, KeyMismatchError, UnknownModelError, UnsafeCheckpointError
from everymask.models.load import build, empty
from everymask.models.specs import MODELS
from everymask.models.weights import fill_weights, read_weights, recognise, to_official
from everymask.nn.encoders.convnet import ConvSpec
from everymask.nn.encoders.hiera import HieraSpec

TINY = replace(
    MODELS["nano"],
    name="mine",
    image_size=64,
    embed_dim=32,
    trunk=ConvSpec(dims=(8, 8, 16, 16), depths=(1, 1, 1, 1), attention_heads=2),
    decoder=replace(MODELS["nano"].decoder, heads=4, mlp_dim=16, iou_hidden_dim=16),
    memory=replace(MODELS["nano"].memory, dim=16, layers=1, mlp_dim=16),
)


@pytest.fixture(scope="module")
def state():
    return to_official(build(TINY))


# --- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict", "model_state_dict"])
def test_wrapped_weights_are_unwrapped(tmp_path, wrapper):
    weights = {"a.weight": torch.ones(2)}
    content = weights if wrapper is None else {wrapper: weights, "epoch": 3}
    torch.save(content, tmp_path / "a.pt")
    assert list(read_weights(tmp_path / "a.pt")) == ["a.weight"]


def test_data_parallel_prefixes_are_dropped(tmp_path):
    torch.save({"module.a": torch.ones(1), "module.b": torch.ones(1)}, tmp_path / "a.pt")
    assert list(read_weights(tmp_path / "a.pt")) == ["a", "b"]


def test_a_file_is_told_by_its_content_not_its_name(tmp_path):
    save_file({"a": torch.arange(3.0)}, tmp_path / "really_safetensors.pt")
    torch.save({"a": torch.arange(3.0)}, tmp_path / "really_torch.safetensors")
    for name in ("really_safetensors.pt", "really_torch.safetensors"):
        assert read_weights(tmp_path / name)["a"].tolist() == [0, 1, 2]


def test_the_old_torch_format_is_read(tmp_path):
    torch.save({"a": torch.arange(3.0)}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    assert read_weights(tmp_path / "a.pth")["a"].tolist() == [0, 1, 2]


class Malicious:
    def __reduce__(self):
        return os.system, ("echo this must never run > /dev/null",)


def write(path, content):
    path.write_bytes(content)


def write_zip_without_tensors(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def write_torchscript(path):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scripting is deprecated; people still have such files
        torch.jit.script(torch.nn.Linear(1, 1)).save(path)


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def write_cut_torch(path):
    torch.save({"a": torch.ones(1000)}, path)
    cut(path, 0.6)


def write_cut_safetensors(path):
    save_file({"a": torch.ones(1000)}, path)
    cut(path, 0.6)


WRONG_FILES = {
    "absent": (
        lambda path: None,
        CheckpointError,
        r"there is no weights file at .*a\.pt; check the path",
    ),
    "folder": (
        lambda path: path.mkdir(),
        CheckpointError,
        r"expected a weights file, got the folder .*a\.pt; name the file in it",
    ),
    "empty": (
        lambda path: write(path, b""),
        CheckpointError,
        r"a\.pt is not a weights file: it is empty; download it again",
    ),
    "web page": (
        lambda path: write(path, b"<!DOCTYPE html><html>404</html>"),
        CheckpointError,
        r"a\.pt is not a weights file: it is a web page; the download was answered with an error page, "
        "download it again",
    ),
    "git lfs pointer": (
        lambda path: write(path, b"version https://git-lfs.github.com/spec/v1\noid sha256:00"),
        CheckpointError,
        r"a\.pt is not a weights file: it is a Git LFS pointer; run 'git lfs pull', or download the file "
        "itself",
    ),
    "picture": (
        lambda path: write(path, b"\x89PNG\r\n\x1a\n" + bytes(60)),
        CheckpointError,
        r"a\.pt is not a weights file: expected a torch zip file, a pickle or safetensors; "
        "it may be another kind of file, or damaged",
    ),
    "torch file cut short": (
        write_cut_torch,
        CheckpointError,
        r"a\.pt is damaged or cut short; download it again",
    ),
    "safetensors cut short": (
        write_cut_safetensors,
        CheckpointError,
        r"a\.pt is damaged \(.*\); download it again",
    ),
    "zip without tensors": (
        write_zip_without_tensors,
        CheckpointError,
        r"a\.pt is damaged or cut short; download it again",
    ),
    "code in a torch file": (
        lambda path: torch.save({"model": Malicious()}, path),
        UnsafeCheckpointError,
        r"a\.pt carries code \(\w+\.system\) and was not opened; get a file of plain tensors from its "
        "authors, or save its state_dict where you trust it",
    ),
    "code in a plain pickle": (
        lambda path: write(path, pickle.dumps(Malicious(), protocol=2)),
        UnsafeCheckpointError,
        r"a\.pt carries code \(\w+\.system\) and was not opened; .*",
    ),
    "code in a newer pickle": (
        lambda path: write(path, pickle.dumps(Malicious(), protocol=4)),
        UnsafeCheckpointError,
        r"a\.pt carries code \(a pickle that torch's safe reader does not understand\) and was .*",
    ),
    "a whole module": (
        lambda path: torch.save(torch.nn.Linear(1, 1), path),
        UnsafeCheckpointError,
        r"a\.pt carries code \(torch\.nn\.modules\.linear\.Linear\) and was not opened; .*",
    ),
    "torchscript": (
        write_torchscript,
        UnsafeCheckpointError,
        r"a\.pt carries code \(a TorchScript archive\) and was not opened; .*",
    ),
    "a list": (
        lambda path: torch.save([torch.ones(1)], path),
        CheckpointError,
        r"a\.pt holds a list, expected a dictionary of tensors; save model\.state_dict\(\)",
    ),
    "no weights at all": (
        lambda path: torch.save({}, path),
        CheckpointError,
        r"a\.pt holds an empty dictionary, expected a dictionary of tensors; save model\.state_dict\(\)",
    ),
    "more than tensors": (
        lambda path: torch.save({"a": torch.ones(1), "epoch": 3}, path),
        CheckpointError,
        r"a\.pt holds a int under 'epoch', expected only tensors; save model\.state_dict\(\) alone",
    ),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_wrong_files_are_refused(tmp_path, case):
    make, error, text = WRONG_FILES[case]
    make(tmp_path / "a.pt")
    with pytest.raises(error) as caught:
        read_weights(tmp_path / "a.pt")
    assert re.fullmatch(text, str(caught.value)), str(caught.value)
    assert type(caught.value) is error


def test_code_in_a_file_does_not_run(tmp_path):
    mark = tmp_path / "it_ran"

    class Touch:
        def __reduce__(self):
            return open, (str(mark), "w")

    torch.save({"model": Touch()}, tmp_path / "a.pt")
    with pytest.raises(UnsafeCheckpointError):
        read_weights(tmp_path / "a.pt")
    assert not mark.exists()


# --- filling --------------------------------------------------------------------------------------


def test_weights_survive_the_way_through_a_file(tmp_path, state):
    torch.save(state, tmp_path / "a.pt")
    back = to_official(build(TINY, read_weights(tmp_path / "a.pt")))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)


def without(state, *keys):
    return {key: value for key, value in state.items() if key not in keys}


def test_missing_keys_are_named(state):
    with pytest.raises(KeyMismatchError) as caught:
        fill_weights(empty(TINY), without(state, "no_mem_embed", "obj_ptr_proj.layers.0.bias"))
    assert str(caught.value) == (
        "the weights do not fit mine: 2 missing (no_mem_embed, obj_ptr_proj.layers.0.bias); load the file by "
        "its path alone to have its model recognised, or download it again"
    )


def test_left_over_keys_are_named_and_long_lists_shortened(state):
    extra = {f"extra.{index}": torch.ones(1) for index in range(9)}
    with pytest.raises(
        KeyMismatchError, match=r"mine: 9 left over \(extra\.0, extra\.1, extra\.2, extra\.3 and 5 more\);"
    ):
        fill_weights(empty(TINY), {**state, **extra})


def test_other_shapes_are_named_with_both_shapes(state):
    wrong = {**state, "no_mem_embed": torch.ones(1, 1, 256)}
    expected = r"1 of another shape \(no_mem_embed: expected \(1, 1, 32\), got \(1, 1, 256\)\)"
    with pytest.raises(KeyMismatchError, match=expected):
        fill_weights(empty(TINY), wrong)


def test_all_faults_are_told_at_once(state):
    wrong = {**without(state, "no_mem_embed"), "no_obj_ptr": torch.ones(3), "extra": torch.ones(1)}
    with pytest.raises(
        KeyMismatchError, match=r"1 missing \(.*\); 1 left over \(.*\); 1 of another shape \(.*\)"
    ):
        fill_weights(empty(TINY), wrong)


def test_a_refused_model_keeps_its_weights(state):
    model = empty(TINY)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(KeyMismatchError):
        fill_weights(model, without(state, "no_mem_embed"))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


# --- recognising ----------------------------------------------------------------------------------


def test_nano_is_recognised():
    assert recognise(to_official(empty(MODELS["nano"]))) is MODELS["nano"]


def test_mobile_sam_is_recognised():
    assert recognise(to_official(empty(MODELS["mobile_sam"]))) is MODELS["mobile_sam"]


def test_sam_2_and_2_1_are_told_apart(state):
    small = HieraSpec(96, 1, (1, 2, 7, 2), (5, 7, 9), (7, 7))
    old, new = MODELS["sam2_hiera_tiny"], MODELS["sam2.1_hiera_tiny"]
    assert old.trunk == new.trunk == small
    assert recognise(to_official(empty(old))) is old
    assert recognise(to_official(empty(new))) is new


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (
            ["a", "b"],
            r"no model of the table fits these 2 tensors \(a, b\); expected weights of one of nano, .*",
        ),
        (
            ["image_encoder.pos_embed", "mask_decoder.hf_token.weight"],
            "these are HQ-SAM weights, which everymask does not run yet",
        ),
        (
            ["sam_mask_decoder.iou_token.weight", "spatial_perceiver.latents"],
            "these are EdgeTAM weights, which everymask does not run yet",
        ),
        (
            ["shared_image_embedding.positional_embedding", "vision_encoder.pos_embed"],
            "these are weights in the layout of transformers; get the lab's original file",
        ),
    ],
)
def test_other_weights_are_not_mistaken_for_ours(keys, text):
    with pytest.raises(UnknownModelError, match=text):
        recognise({key: torch.ones(1) for key in keys})


def test_a_model_of_other_sizes_is_not_recognised(state):
    with pytest.raises(UnknownModelError, match="no model of the table fits"):
        recognise(state)
