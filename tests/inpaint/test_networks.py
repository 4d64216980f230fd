"""MI-GAN and LaMa, by stand-ins: ONNX files of their inputs and outputs, fetched as the real ones are."""

import hashlib
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import everymask as em
from everymask.errors import CheckpointError, ChecksumError, MissingExtraError, OfflineError
from everymask.inpaint.engines import default_engine
from everymask.models import catalog


def graph(nodes, inputs, output) -> bytes:
    made = helper.make_graph(nodes, "stand-in", inputs, [output])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def constant(name, kind, value):
    return helper.make_node("Constant", [], [name], value=helper.make_tensor(name, kind, [1], [value]))


def migan() -> bytes:
    """uint8 picture and mask of any size (255 = keep); the hole becomes 7."""
    tensor = helper.make_tensor_value_info
    seven = helper.make_node(
        "Constant", [], ["seven"], value=helper.make_tensor("c", TensorProto.UINT8, [1], [7])
    )
    kept = helper.make_node(
        "Constant", [], ["kept"], value=helper.make_tensor("k", TensorProto.UINT8, [1], [255])
    )
    equal = helper.make_node("Equal", ["mask", "kept"], ["keep"])
    where = helper.make_node("Where", ["keep", "image", "seven"], ["result"])
    inputs = [
        tensor("image", TensorProto.UINT8, [1, 3, "h", "w"]),
        tensor("mask", TensorProto.UINT8, [1, 1, "h", "w"]),
    ]
    return graph([seven, kept, equal, where], inputs, tensor("result", TensorProto.UINT8, [1, 3, "h", "w"]))


def lama() -> bytes:
    """float32 picture 0 to 1 and mask (1 = hole), 512 x 512; answers 255 x picture, and 64 in the hole."""
    tensor = helper.make_tensor_value_info
    nodes = [
        constant(name, TensorProto.FLOAT, value)
        for name, value in (("full", 255.0), ("dark", 64.0), ("half", 0.5))
    ]
    nodes += [
        helper.make_node("Mul", ["image", "full"], ["bright"]),
        helper.make_node("Greater", ["mask", "half"], ["missing"]),
        helper.make_node("Where", ["missing", "dark", "bright"], ["output"]),
    ]
    inputs = [
        tensor("image", TensorProto.FLOAT, [1, 3, 512, 512]),
        tensor("mask", TensorProto.FLOAT, [1, 1, 512, 512]),
    ]
    return graph(nodes, inputs, tensor("output", TensorProto.FLOAT, [1, 3, 512, 512]))


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror folder with both stand-ins, known to the catalog by their own hashes."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, data in (("migan", migan()), ("lama", lama())):
        entry = catalog.CATALOG[name]
        (folder / entry.file).write_bytes(data)
        known = replace(entry, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        monkeypatch.setitem(catalog.CATALOG, name, known)
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EVERYMASK_MIRROR", str(folder))
    return folder


def photo_and_mask(shape=(90, 130, 3), dtype=np.uint8):
    photo = np.random.default_rng(0).integers(100, 250, shape).astype(dtype)
    mask = np.zeros(shape[:2], bool)
    mask[40:60, 50:80] = True
    return photo, mask


@pytest.mark.parametrize(("engine", "value"), [("migan", 7), ("lama", 64)])
def test_networks_are_fetched_and_fill_the_hole_alone(mirror, engine, value):
    photo, mask = photo_and_mask()
    result = em.erase(photo, mask, engine=engine, grow=0)
    assert (result[45:55, 55:75] == value).all()
    np.testing.assert_array_equal(result[~mask], photo[~mask])


@pytest.mark.parametrize("engine", ["migan", "lama"])
@pytest.mark.parametrize("shape", [(90, 130), (90, 130, 1), (90, 130, 4), (700, 900, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_alpha_deep_and_large_photos_go_through_networks(mirror, engine, shape, dtype):
    photo, mask = photo_and_mask(shape, dtype)
    result = em.erase(photo, mask, engine=engine, grow=0)
    assert (result.shape, result.dtype) == (photo.shape, photo.dtype)
    np.testing.assert_array_equal(result[~mask], photo[~mask])


def test_what_is_here_becomes_the_default(mirror):
    assert default_engine() == "patches"
    photo, mask = photo_and_mask()
    em.erase(photo, mask, engine="migan")
    assert default_engine() == "migan"
    em.erase(photo, mask, engine="lama")
    assert default_engine() == "lama"


def test_other_bytes_offline_a_broken_file_and_a_missing_package_are_one_clear_error(mirror, monkeypatch):
    photo, mask = photo_and_mask()
    good = (mirror / "lama_fp32.onnx").read_bytes()
    (mirror / "lama_fp32.onnx").write_bytes(b"x" * len(good))
    with pytest.raises(ChecksumError, match="lama"):
        em.erase(photo, mask, engine="lama")
    broken = replace(catalog.CATALOG["lama"], sha256=hashlib.sha256(b"x" * len(good)).hexdigest())
    monkeypatch.setitem(catalog.CATALOG, "lama", broken)
    with pytest.raises(CheckpointError, match="no ONNX file"):
        em.erase(photo, mask, engine="lama")
    monkeypatch.setenv("EVERYMASK_OFFLINE", "1")
    with pytest.raises(OfflineError, match="migan is not in the cache"):
        em.erase(photo, mask, engine="migan")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'everymask\[inpaint\]'"):
        em.erase(photo, mask, engine="migan")


def test_weights_of_erasing_are_no_mask_model(mirror):
    with pytest.raises(CheckpointError, match="everymask erase"):
        em.load("migan")
