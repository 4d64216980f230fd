import argparse
import json
import os
import pickle
import re
import zipfile
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from everymask.errors import CheckpointError, KeyMismatchError, UnknownModelError, UnsafeCheckpointError
from everymask.models.load import build, empty
from everymask.models.specs import FORMER_NANO, MODELS
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


KEYS = ("image_encoder.trunk.a", "sam_mask_decoder.b")


def wrapped(key):
    return lambda weights: {key: weights, "epoch": 3, "best": np.float64(0.5), "rates": np.zeros(2)}


def prefixed(prefix):
    return lambda weights: {prefix + key: value for key, value in weights.items()}


PREFIXES = ("module.", "_orig_mod.", "model.", "sam.", "model.sam._orig_mod.", "any.thing.")
AROUND = [
    *map(wrapped, ("model", "state_dict", "model_state_dict", "model_state", "net", "sam", "whatever")),
    *map(prefixed, PREFIXES),
    lambda weights: wrapped("state_dict")(prefixed("model.")(weights)),
    lambda weights: {"model": {"net": weights}, "optimizer": {"state": {}, "param_groups": []}},
    lambda weights: {key.replace(".", "._orig_mod.", 1): value for key, value in weights.items()},
    lambda weights: {"model": weights, "args": argparse.Namespace(lr=0.1, output=Path("a/b"))},
    lambda weights: {"model": weights, "at": PureWindowsPath("c:\\a"), "when": datetime.now(UTC)},
    lambda weights: {"model": weights, "losses": defaultdict(list, {"dice": [0.5]}), "seen": {1, 2}},
    lambda weights: {"model": weights, "config": SimpleNamespace(name="b"), "counts": Counter("aab")},
]


@pytest.mark.parametrize("around", AROUND)
def test_what_trainers_put_around_weights_goes(tmp_path, around):
    torch.save(around({key: torch.ones(2) for key in KEYS}), tmp_path / "a.pt")
    assert list(read_weights(tmp_path / "a.pt")) == list(KEYS)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_safetensors_lose_the_same_prefixes(tmp_path, prefix):
    save_file(prefixed(prefix)({key: torch.ones(2) for key in KEYS}), tmp_path / "a.safetensors")
    assert sorted(read_weights(tmp_path / "a.safetensors")) == sorted(KEYS)


def test_data_parallel_prefixes_are_dropped_from_any_weights(tmp_path):
    torch.save({"module.a": torch.ones(1), "module.b": torch.ones(1)}, tmp_path / "a.pt")
    assert list(read_weights(tmp_path / "a.pt")) == ["a", "b"]


def test_a_file_is_told_by_its_content_not_its_name(tmp_path):
    save_file({"a": torch.arange(3.0)}, tmp_path / "really_safetensors.pt")
    torch.save({"a": torch.arange(3.0)}, tmp_path / "really_torch.safetensors")
    for name in ("really_safetensors.pt", "really_torch.safetensors"):
        assert read_weights(tmp_path / name)["a"].tolist() == [0, 1, 2]


def write_shards(folder, **given):
    """KEYS in two files and their index, as ``save_pretrained`` writes what is large."""
    keys = list(KEYS)
    names = {key: f"model-0000{1 + index % 2}-of-00002.safetensors" for index, key in enumerate(keys)}
    for name in set(names.values()):
        tensors = {key: torch.full((2,), float(keys.index(key))) for key in keys if names[key] == name}
        save_file(tensors, folder / name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names | given}))


def test_a_folder_of_shards_is_read_by_its_index(tmp_path):
    write_shards(tmp_path)
    for source in (tmp_path, tmp_path / "model.safetensors.index.json"):
        state = read_weights(source)
        assert sorted(state) == sorted(KEYS)
        assert [state[key][0].item() for key in KEYS] == list(range(len(KEYS)))


def test_a_folder_stands_for_the_file_in_it(tmp_path):
    save_file({key: torch.ones(2) for key in KEYS}, tmp_path / "model.safetensors")
    assert sorted(read_weights(tmp_path)) == sorted(KEYS)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mask_decoder.extra": "model-00002-of-00002.safetensors"}, r"do not hold \(mask_decoder.extra\)"),
        ({"mask_decoder.extra": "absent.safetensors"}, "there is no weights file at .*absent"),
        ({"mask_decoder.extra": "../other.safetensors"}, "names files elsewhere"),
    ],
)
def test_shards_that_are_not_whole_are_refused(tmp_path, given, said):
    write_shards(tmp_path, **given)
    with pytest.raises(CheckpointError, match=said):
        read_weights(tmp_path)


def test_an_index_of_something_else_is_refused(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(CheckpointError, match="is not an index of weights in shards"):
        read_weights(tmp_path)


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
        r"a\.pt holds a list, expected a dictionary of tensors; save model\.state_dict\(\) alone",
    ),
    "no weights at all": (
        lambda path: torch.save({}, path),
        CheckpointError,
        r"a\.pt holds an empty dictionary, expected a dictionary of tensors; "
        r"save model\.state_dict\(\) alone",
    ),
    "more than tensors": (
        lambda path: torch.save({"a": torch.ones(1), "epoch": 3}, path),
        CheckpointError,
        r"a\.pt holds an int under 'epoch', expected only tensors; save model\.state_dict\(\) alone",
    ),
    "numbers as keys": (
        lambda path: torch.save({0: torch.ones(1), 1: torch.ones(1)}, path),
        CheckpointError,
        r"a\.pt has keys of type int \(0\), expected names such as 'image_encoder\.pos_embed'; "
        r"save model\.state_dict\(\) alone",
    ),
    "no tensors": (
        lambda path: torch.save({"epoch": 3, "loss": 0.5}, path),
        CheckpointError,
        r"a\.pt holds no tensors \('epoch': an int, 'loss': a float\), expected a dictionary of tensors; "
        r"save model\.state_dict\(\) alone",
    ),
    "int8 weights": (
        lambda path: torch.save({"image_encoder.a": torch.ones(2).to(torch.int8)}, path),
        CheckpointError,
        r"a\.pt holds 'image_encoder\.a' as torch\.int8: the weights are quantised or packed; "
        "expected float32, float16 or bfloat16, take the file from before that step",
    ),
    "sparse weights": (
        lambda path: torch.save({"image_encoder.a": torch.ones(2).to_sparse()}, path),
        CheckpointError,
        r"a\.pt holds 'image_encoder\.a' as torch\.sparse_coo: the weights are quantised or packed; .*",
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
        "the weights do not fit mine: 2 missing (no_mem_embed, obj_ptr_proj.layers.0.bias); save the "
        "whole state_dict of the model, or download the file again"
    )


def test_left_over_keys_are_named_and_long_lists_shortened(state):
    extra = {f"extra.{index}": torch.ones(1) for index in range(9)}
    with pytest.raises(
        KeyMismatchError,
        match=r"mine: 9 left over \(extra\.0, extra\.1, extra\.2, extra\.3 and 5 more\); save the file again "
        "without these keys: they belong to something around the model",
    ):
        fill_weights(empty(TINY), {**state, **extra})


@pytest.mark.parametrize(
    "key", ["blocks.0.qkv.lora_A.default.weight", "blocks.0.attn.qkv.w_a_linear_q.weight"]
)
def test_adapters_beside_the_weights_are_told_to_be_merged(state, key):
    with pytest.raises(KeyMismatchError, match=r"it has adapters: merge them where they were trained"):
        fill_weights(empty(TINY), {**state, key: torch.ones(1)})


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


def test_another_models_file_is_told_apart_from_an_incomplete_one(state):
    with pytest.raises(KeyMismatchError, match="it is another model's file: load it by its path alone"):
        fill_weights(empty(TINY), {"image_encoder.pos_embed": torch.ones(1)})


def test_other_sizes_are_told_what_to_do(state):
    with pytest.raises(
        KeyMismatchError, match=r"it was trained at other sizes: give everymask.models.build the"
    ):
        fill_weights(empty(TINY), {**state, "no_mem_embed": torch.ones(1, 1, 256)})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_hold_nan_are_refused_rather_than_answering_with_empty_masks(state, value):
    with pytest.raises(
        CheckpointError,
        match=r"the weights for mine hold NaN or infinity in 1 of \d+ tensors \(no_mem_embed\); the training "
        "that made them diverged, or the file is damaged: take an earlier checkpoint",
    ):
        fill_weights(empty(TINY), {**state, "no_mem_embed": torch.full((1, 1, 32), value)})


# --- recognising ----------------------------------------------------------------------------------


def test_nano_is_recognised():
    assert recognise(to_official(empty(MODELS["nano"]))) is MODELS["nano"]


def test_weights_tuned_from_nano_without_a_pretrained_network_are_recognised():
    assert recognise(to_official(empty(FORMER_NANO))) is FORMER_NANO


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
        *(
            (
                keys,
                rf"these {len(keys)} tensors hold 2 of adapters \({re.escape(', '.join(keys[:2]))}\), which "
                r"change a model and are none; merge them where they were trained "
                r"\(peft: model\.merge_and_unload\(\)\) and save the model's state_dict\(\)",
            )
            for keys in (
                [
                    "image_encoder.blocks.0.attn.qkv.lora_A.weight",
                    "image_encoder.blocks.0.attn.qkv.lora_B.weight",
                ],
                ["w_a_000", "w_b_000", "zzz.mask_tokens.weight"],
                [
                    "image_encoder.blocks.0.Adapter.D_fc1.weight",
                    "image_encoder.blocks.0.Adapter.D_fc2.weight",
                ],
            )
        ),
    ],
)
def test_other_weights_are_not_mistaken_for_ours(keys, text):
    with pytest.raises(UnknownModelError, match=text):
        recognise({key: torch.ones(1) for key in keys})


def test_a_sam_fine_tuned_on_smaller_pictures_is_recognised_with_its_size():
    small = replace(MODELS["sam_vit_b"], image_size=512, trunk=replace(MODELS["sam_vit_b"].trunk, grid=32))
    with torch.device("meta"):
        state = to_official(empty(small))
    assert recognise(state) == small


def test_a_model_of_other_sizes_is_not_recognised(state):
    with pytest.raises(UnknownModelError, match="no model of the table fits"):
        recognise(state)
