"""What users of such tools reported outside formats and rasters (those: ``formats/test_files_of_others.py``,
``media/test_rasters.py``): each row a fault of a kind, and the exact answer. More of checkpoints stand in
``models/test_weights.py``, of prompts in ``test_prompts.py``, of names in ``cli/test_inputs.py``."""

import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import everymask as em
from everymask.cli import main as cli
from everymask.cli.main import parser_of
from everymask.cli.shared.inputs import find_photos
from everymask.errors import EverymaskError
from everymask.formats import read_photos
from everymask.models.weights import to_official


@pytest.fixture(scope="module")
def nano():
    return em.load("nano", device="cpu")


@pytest.fixture(scope="module")
def weights(nano):
    return to_official(nano)


# --- checkpoints: what trainers and downloads leave

WRAPPED = {
    "model_state_dict, net., module.": lambda state: {
        "epoch": 3,
        "model_state_dict": {f"net.module.{k}": v for k, v in state.items()},
    },
    "the shadow of a moving average": lambda state: {"ema": {"shadow": state}},
    "a student of distillation": lambda state: {f"student.{k}": v for k, v in state.items()},
    "Lightning and compile": lambda state: {
        "state_dict": {f"model._orig_mod.{k}": v for k, v in state.items()},
        "callbacks": {},
    },
    "float64": lambda state: {k: v.double() for k, v in state.items()},
}


@pytest.mark.parametrize("case", WRAPPED)
def test_weights_are_found_in_whatever_is_around_them(tmp_path, weights, case):
    torch.save(WRAPPED[case](weights), tmp_path / "a.pt")
    assert em.load(tmp_path / "a.pt", device="cpu").spec.name == "nano"


NO_WEIGHTS = {
    "a list": ([1, 2], "holds a list, expected a dictionary of tensors; save model.state_dict() alone"),
    "nothing": (
        {},
        "holds an empty dictionary, expected a dictionary of tensors; save model.state_dict() alone",
    ),
    "one tensor": (
        torch.zeros(3),
        "holds a Tensor, expected a dictionary of tensors; save model.state_dict() alone",
    ),
    "an error page": (
        b"<!DOCTYPE html><html>404",
        "it is a web page; the download was answered with an error page",
    ),
    "a Git LFS pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 1\n",
        "it is a Git LFS pointer; run 'git lfs pull'",
    ),
    "a header longer than the file": (
        b"\xff" * 8 + b"{}",
        "is not a weights file: expected a torch zip file, a pickle or safetensors",
    ),
}


@pytest.mark.parametrize("case", NO_WEIGHTS)
def test_a_file_without_weights_says_what_it_is(tmp_path, case):
    content, message = NO_WEIGHTS[case]
    path = tmp_path / "a.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(em.CheckpointError, match=re.escape(message)):
        em.load(path)


AROUND = "without these keys: they belong to something around the model"
WITHIN = "it has adapters: merge them where they were trained"
WITH_MORE = {
    "a head too many": ({"head.weight": (3, 3)}, AROUND),
    "two heads": ({"classifier.0.weight": (5, 5), "classifier.0.bias": (5,)}, AROUND),
    "a depth decoder": ({"depth_decoder.conv.weight": (1, 8, 1, 1)}, AROUND),
    "adapters": ({f"image_encoder.adapters.{n}.down.weight": (4, 8) for n in range(6)}, WITHIN),
    "LoRA": ({"image_encoder.blocks.0.attn.qkv.lora_A.default.weight": (4, 8)}, WITHIN),
}


@pytest.mark.parametrize("case", WITH_MORE)
def test_more_than_the_model_is_named_and_told_to_go(tmp_path, weights, case):
    shapes, advice = WITH_MORE[case]
    more = {key: torch.zeros(shape) for key, shape in shapes.items()}
    torch.save({**weights, **more}, tmp_path / "a.pt")
    with pytest.raises(EverymaskError) as caught:
        em.load(tmp_path / "a.pt", device="cpu")
    said = str(caught.value)
    assert next(iter(more)) in said
    assert advice in said
    assert "\n" not in said


NOT_NUMBERS = {
    "NaN": (float("nan"), "no_mem_embed"),
    "infinity": (float("inf"), "sam_mask_decoder.iou_token.weight"),
    "minus infinity": (float("-inf"), "obj_ptr_tpos_proj.weight"),
    "NaN in one place of the trunk": (float("nan"), None),
}


@pytest.mark.parametrize("case", NOT_NUMBERS)
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path, weights, case):
    value, key = NOT_NUMBERS[case]
    key = key if key in weights else next(k for k in weights if k.startswith("image_encoder"))
    broken = {k: v.clone() for k, v in weights.items()}
    broken[key].view(-1)[0] = value
    torch.save(broken, tmp_path / "a.pt")
    with pytest.raises(
        em.CheckpointError, match=rf"hold NaN or infinity in 1 of \d+ tensors \({re.escape(key)}\)"
    ):
        em.load(tmp_path / "a.pt", device="cpu")


def _changed(state, ending, change):
    """The weights with the first tensor of this ending changed, and its key."""
    key = next(each for each in state if each.endswith(ending))
    return {**state, key: change(state[key])}


NO_FLOATS = {
    "whole numbers": (
        lambda s: _changed(s, "q_proj.weight", lambda v: (v * 100).to(torch.int32)),
        "q_proj.weight' as torch.int32; expected float32, float16 or bfloat16",
    ),
    "booleans": (
        lambda s: _changed(s, "q_proj.weight", lambda v: v > 0),
        "q_proj.weight' as torch.bool; expected float32, float16 or bfloat16",
    ),
    "counts of 64 bits": (
        lambda s: _changed(s, "q_proj.bias", lambda v: v.long()),
        "q_proj.bias' as torch.int64; expected float32",
    ),
    "no values at all": (
        lambda s: _changed(s, "q_proj.weight", lambda v: v.to("meta")),
        "q_proj.weight' without its values (a tensor of the device 'meta')",
    ),
    "GPTQ": (
        lambda s: {**s, "a.qweight": torch.zeros(2, 2, dtype=torch.int32), "a.scales": torch.zeros(2)},
        "holds 'a.qweight': the weights are quantised or packed",
    ),
    "bitsandbytes": (
        lambda s: {**s, "a.weight.absmax": torch.zeros(2)},
        "holds 'a.weight.absmax': the weights are quantised or packed",
    ),
    "a student and its teacher": (
        lambda s: {f"{who}.{k}": v for who in ("student", "teacher") for k, v in s.items()},
        "holds 2 models, under 'student.', 'teacher.'; save one of them alone",
    ),
    "float64 beyond float32": (
        lambda s: _changed(s, "q_proj.weight", lambda v: v.double() * 1e300),
        "hold NaN or infinity in 1 of",
    ),
}


@pytest.mark.parametrize("case", NO_FLOATS)
def test_weights_that_are_no_floats_are_one_line(tmp_path, weights, case):
    change, message = NO_FLOATS[case]
    torch.save(change(weights), tmp_path / "a.pt")
    with pytest.raises(em.CheckpointError, match=re.escape(message)) as caught:
        em.load(tmp_path / "a.pt", device="cpu")
    assert "\n" not in str(caught.value)


BESIDE = {
    "a text of NumPy": np.str_("best"),
    "a date": np.datetime64("2026-01-01"),
    "an array of texts": np.array(["a", "b"]),
    "a complex number": np.complex64(1),
    "a number of 16 bits": np.float16(0.5),
    "a small count": np.int8(3),
}


@pytest.mark.parametrize("case", BESIDE)
def test_values_of_numpy_beside_the_weights_do_no_harm(tmp_path, weights, case):
    torch.save({"model": weights, "note": BESIDE[case]}, tmp_path / "a.pt")
    assert em.load(tmp_path / "a.pt", device="cpu").spec.name == "nano"


# --- prompts and arguments of another type

PHOTO = np.zeros((30, 40, 3), np.uint8)
CALLS = {
    "masked points": (
        lambda p, m: p.predict(points=np.ma.masked_array([[1, 2]], mask=[[0, 1]]), labels=[1]),
        "points must be given in full, got a masked array; take out what is masked",
    ),
    "a masked mask": (
        lambda p, m: p.predict(mask=np.ma.masked_array(PHOTO[..., 0] == 0, mask=PHOTO[..., 0] == 0)),
        "mask must be given in full, got a masked array; pass mask.filled(0)",
    ),
    "logits beyond any": (
        lambda p, m: p.predict(mask=np.full(m.logits_size, -1e30)),
        "mask logits must be within 1e+06, got 1e+30",
    ),
    "a box beyond any": (
        lambda p, m: p.predict(box=[0, 0, 1e300, 1e300]),
        "box must be in pixels, got 1e+300",
    ),
    "a tensor without values": (
        lambda p, m: p.predict(box=torch.zeros(4, device="meta")),
        "a tensor among the prompts has no array of values",
    ),
    "a Mask as mask": (
        lambda p, m: p.predict(mask=em.Mask.from_segmentation(PHOTO[..., 0] == 0)),
        "got values of type object; of a Mask pass mask.segmentation",
    ),
    "a path as mask": (
        lambda p, m: p.predict(mask="a.png"),
        "of a file pass everymask.read_masks(path)[0].segmentation",
    ),
    "labels in words": (
        lambda p, m: p.predict(points=[[1, 2]], labels=["fg"]),
        "labels must have shape (1,), one label for each point, got values of type <U2",
    ),
    "half a label": (
        lambda p, m: p.predict(points=[[1, 2]], labels=[0.5]),
        "labels must be 1 (object), 0 (not the object) or -1 (padding), got 0.5",
    ),
    "a set as box": (
        lambda p, m: p.predict(box={1, 2, 3, 4}),
        "box must have shape (4,) or (P, 4), got values of type object",
    ),
    "a tensor as photo": (
        lambda p, m: em.segment(torch.zeros(3, 20, 30), m),
        "got Tensor; of a torch tensor pass photo.permute(1, 2, 0).numpy()",
    ),
    "nothing as photo": (
        lambda p, m: em.segment(None, m),
        "a photo must be a path, an RGB array of shape (H, W, 3) or a PIL picture, got NoneType",
    ),
    "nothing as model": (lambda p, m: em.load(None), "expected a model's name or a path, got NoneType"),
    "nothing as mask file": (lambda p, m: em.read_masks(None), "masks are read from a path, got NoneType"),
    "a tile in words": (
        lambda p, m: em.segment(PHOTO, m, tile="64"),
        "the side of a tile must be a whole number of pixels, got '64'",
    ),
    "half a tile": (
        lambda p, m: em.segment(PHOTO, m, tile=64.5),
        "the side of a tile must be a whole number of pixels, got 64.5",
    ),
    "overlap of no tiles": (
        lambda p, m: em.segment(PHOTO, m, tile_overlap=8),
        "tile_overlap is what tiles share; say how large they are too: tile=1024",
    ),
    "one number as bands": (
        lambda p, m: em.read_photo("a.tif", bands=3),
        "bands must be one or three numbers from 1, such as (4, 3, 2), got 3",
    ),
    "a photo of less than nothing": (
        lambda p, m: em.MaskSet([], (-1, 3)),
        "photo_hw must be (height, width) in pixels, got (-1, 3)",
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_an_argument_of_another_kind_is_told_what_to_pass(nano, case):
    call, message = CALLS[case]
    predictor = em.ImagePredictor(nano)
    predictor.set_image(PHOTO)
    with pytest.raises(EverymaskError) as caught:
        call(predictor, nano)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


Y, X = np.mgrid[:120, :160]
OBJECTS = {
    "a disc": (X - 70) ** 2 + (Y - 60) ** 2 < 30**2,
    "a box": (abs(X - 90) < 40) & (abs(Y - 50) < 25),
    "an ellipse": ((X - 80) / 50) ** 2 + ((Y - 70) / 25) ** 2 < 1,
    "a small one at the edge": (X < 30) & (abs(Y - 60) < 20),
}


@pytest.mark.parametrize("case", OBJECTS)
def test_a_perfect_mask_alone_gives_its_object_not_the_rest(nano, case):
    mask = OBJECTS[case]
    predictor = em.ImagePredictor(nano)
    predictor.set_image(np.where(mask[..., None], (220, 60, 40), (40, 90, 60)).astype(np.uint8))
    for given in (mask, mask.astype(float), mask.astype(np.uint8) * 255):
        found = predictor.predict(mask=given, multimask=False).masks[0]
        assert (found & mask).sum() / (found | mask).sum() > 0.8


# --- names and folders that people have

NAMES = [
    "-rf.png",
    "a b.png",
    "percent%41.png",
    "semi;colon.png",
    "new\nline.png",
    "naïve café.png",
    "con.png",
    ".hidden.png",
    "UPPER.PNG",
    "dots..png",
]


@pytest.mark.parametrize("name", NAMES)
def test_photos_of_any_name_get_their_masks(tmp_path, monkeypatch, name):
    from everymask.cli.segment import command
    from tests.cli.fake_engine import FakeSegmenter

    monkeypatch.setattr(
        command, "open_segmenter", lambda model, device, options, reading: FakeSegmenter(options, reading)
    )
    monkeypatch.chdir(tmp_path)
    pixels = PHOTO.copy()
    pixels[5:10, 5:12] = 200
    Path("in").mkdir()
    Image.fromarray(pixels).save(Path("in", name))
    hidden = name.startswith(".")
    assert (
        cli.run(["segment", f"in/{name}" if hidden else "in", "-f", "coco", "-f", "yolo", "-f", "voc"]) == 0
    )
    (record,) = read_photos("out/coco.json")
    assert record.photo == name
    assert [mask.area for mask in record.masks] == [35]
    assert (
        len(list(Path("out/yolo/labels").rglob("*.txt")))
        == len(list(Path("out/voc/SegmentationObject").rglob("*.png")))
        == 1
    )


# --- folders that lead round in circles, names that are no text

CIRCLES = {
    "a link to the folder itself": {"self": "."},
    "a link to a folder above": {"sub/up": ".."},
    "two folders that link to one another": {"sub/there": "../other", "other/back": "../sub"},
    "a link that is its own target": {"own": "own"},
    "a chain of links that ends nowhere": {"one": "two", "two": "three", "three": "gone"},
}


@pytest.mark.parametrize("case", CIRCLES)
def test_a_folder_that_leads_round_in_a_circle_is_searched_once(tmp_path, case):
    for name in ("a.png", "sub/b.png", "other/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    for link, target in CIRCLES[case].items():
        (tmp_path / link).symlink_to(target)
    found = {photo.path.resolve().name for photo in find_photos([str(tmp_path)], recursive=True)}
    assert found == {"a.png", "b.png", "c.png"}
    assert len(find_photos([str(tmp_path)], recursive=True)) <= 5  # a link may show a folder once more


NO_TEXT = {
    b"caf\xe9.png": "caf%E9.png",
    b"\xff\xfe.png": "%FF%FE.png",
    b"cut \xe2\x82.png": "cut %E2%82.png",
    b"\xc3\xa9t\xe9.png": "ét%E9.png",
}


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
@pytest.mark.parametrize("name", NO_TEXT)
def test_a_file_name_that_is_no_text_has_a_printable_one_however_it_is_meant(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    odd = os.fsdecode(name)
    Path("in", odd).write_bytes(b"")
    for words, listed in ((["in"], ()), (["in/*.png"], ()), ([f"in/{odd}"], ()), (["-"], [f"in/{odd}\n"])):
        (photo,) = find_photos(words, listed=listed)
        assert (photo.name, photo.path.name) == (NO_TEXT[name], odd)
        photo.name.encode("utf-8")


# --- where earlier runs have been


@pytest.fixture
def three_photos(tmp_path, monkeypatch):
    """``in`` with three photos, a stand-in for the model, and a run of a command line."""
    from everymask.cli.segment import command
    from tests.cli.fake_engine import FakeSegmenter

    monkeypatch.setattr(
        command, "open_segmenter", lambda model, device, options, reading: FakeSegmenter(options, reading)
    )
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a.png", "b.png", "sub/c.png")):
        pixels = PHOTO.copy()
        pixels[5:10, 5 : 12 + number] = 200
        Path("in", name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(Path("in", name))
    return lambda *words: cli.run([str(word) for word in words])


@pytest.mark.parametrize("output", ["in", "in/out", "in/.out", "in/sub", "in/sub/deeper"])
def test_what_a_run_wrote_into_its_input_is_not_taken_for_photos(three_photos, output):
    words = ("segment", "in", "-r", "-f", "coco", "-f", "labelmap", "--overlay", "--cutouts")
    assert three_photos(*words, "-o", output) == 0
    assert three_photos(*words, "-o", "second") == 0
    assert [record.photo for record in read_photos("second/coco.json")] == ["a.png", "b.png", "sub/c.png"]


MOVES = {
    "renamed": lambda: (Path("in").rename("other"), "other")[1],
    "moved below": lambda: (Path("far").mkdir(), Path("in").rename("far/in"), "far/in")[2],
    "meant by its whole path": lambda: Path("in").absolute(),
    "meant with a slash": lambda: "in/",
    "meant round about": lambda: "in/sub/..",
}


@pytest.mark.parametrize("case", MOVES)
def test_photos_are_the_same_wherever_their_folder_has_gone(three_photos, capsys, case):
    assert three_photos("segment", "in", "-r", "-f", "coco") == 0
    before = Path("out/coco.json").read_bytes()
    capsys.readouterr()
    assert three_photos("segment", MOVES[case](), "-r", "-f", "coco") == 0
    assert "3 photos (3 before)" in capsys.readouterr().err
    assert Path("out/coco.json").read_bytes() == before


# --- advice: what a message tells to type has to exist


def _photo_with_masks(path, name="coco", **more):
    em.MaskSet([em.Mask.from_segmentation(np.eye(30, 40, dtype=bool))]).save(path, format=name, **more)


ADVICE = {
    "LabelMe without a size": lambda: (
        Path("a.json").write_text('{"shapes": [], "imagePath": "a.jpg", "imageData": null}'),
        ("convert", "a.json", "-f", "coco", "-o", "o"),
    ),
    "Label Studio without sizes": lambda: (
        Path("a.json").write_text(
            '[{"data": {"image": "a.jpg"}, "annotations": [{"result": [{"type": "polygonlabels", "value": '
            '{"points": [[1, 1], [9, 1], [9, 9]], "polygonlabels": ["a"]}}]}]}]'
        ),
        ("convert", "a.json", "-f", "coco", "-o", "o"),
    ),
    "YOLO without photos": lambda: (
        Path("a.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5"),
        ("convert", "a.txt", "-f", "coco", "-o", "o"),
    ),
    "overlays without photos": lambda: (
        _photo_with_masks("a.json", photo="a.jpg"),
        ("convert", "a.json", "--overlay", "-o", "o"),
    ),
    "a file of several pages": lambda: (
        Image.fromarray(PHOTO).save("a.tif", save_all=True, append_images=[Image.fromarray(PHOTO)]),
        ("predict", "a.tif", "-p", "3,3"),
    ),
    "a photo of five bands": lambda: (_bands("a.tif", 5), ("predict", "a.tif", "-p", "3,3")),
    "no photos but in subfolders": lambda: (
        Path("in/sub").mkdir(parents=True),
        ("segment", "in", "-f", "coco"),
    ),
    "an output that is there": lambda: (
        Image.fromarray(PHOTO).save("a.png"),
        Path("out").mkdir(),
        Path("out/coco.json").write_text("{}"),
        ("predict", "a.png", "-p", "3,3", "-f", "coco"),
    ),
}


def _bands(path, count):
    import rasterio

    profile = {"driver": "GTiff", "width": 40, "height": 30, "count": count, "dtype": "uint16"}
    with rasterio.open(path, "w", **profile, transform=rasterio.Affine(1, 0, 5, 0, -1, 5)) as file:
        file.write(np.zeros((count, 30, 40), np.uint16))


@pytest.mark.parametrize("case", ADVICE)
def test_a_message_names_only_flags_that_its_command_has(tmp_path, monkeypatch, capsys, case):
    monkeypatch.chdir(tmp_path)
    *_, words = ADVICE[case]()
    assert cli.run(list(words)) != 0
    said = capsys.readouterr().err.splitlines()[0]
    assert said.startswith(("error: ", "failed: "))
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", said))
    assert flags, said
    assert flags <= {flag for parameter in parser_of(words[0]).params for flag in parameter.opts}
    assert "PIL" not in said
