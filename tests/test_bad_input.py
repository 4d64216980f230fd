# ruff: noqa: E501 - a message stands on one line, as a user sees it
"""One table of wrong input, each row with the exact text of its error.

A message says what was expected, what came and what to do; here they stand together, so that one can
read them as a user would.
"""

import struct
import zlib
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import everymask as em
from everymask.errors import (
    CheckpointError,
    EverymaskError,
    KeyMismatchError,
    OptionError,
    PictureError,
    PromptError,
    SessionError,
    UnknownModelError,
    UnsafeCheckpointError,
)
from everymask.everything.options import GeneratorOptions
from everymask.models.load import build, load
from everymask.models.specs import MODELS
from everymask.models.weights import to_official
from tests.fakes import FakeModel

PHOTO_HW = (48, 64)


@dataclass(frozen=True)
class Row:
    what: str
    call: Any
    error: type[EverymaskError]
    text: str


def predict(**given):
    """A call of predict on a photo of 48 x 64 pixels."""

    def call(folder):
        predictor = em.ImagePredictor(FakeModel("sam2"))
        predictor.set_image(np.zeros((*PHOTO_HW, 3), np.uint8))
        predictor.predict(**given)

    return call


def photo(value, **options):
    return lambda folder: em.read_photo(value, **options)


def file(name, content, read=em.read_photo):
    """A file of these bytes, read as a photo or by ``read``."""

    def call(folder):
        (folder / name).write_bytes(content)
        read(str(folder / name))

    return call


def picture(name, make, **options):
    """A file written by ``make(path)``, read as a photo."""

    def call(folder):
        make(folder / name)
        em.read_photo(folder / name, **options)

    return call


def checkpoint(name, content):
    """Anything saved by torch, then loaded as a model."""

    def call(folder):
        torch.save(content, folder / name)
        load(str(folder / name))

    return call


def other_keys(folder):
    """nano's weights with a key missing, one left over and one of another shape."""
    state = to_official(build(MODELS["nano"]))
    del state["no_mem_embed"]
    state["head.weight"] = torch.zeros(1)
    state["sam_mask_decoder.iou_token.weight"] = torch.zeros(1, 2)
    build(MODELS["nano"], state)


def options(**given):
    return lambda folder: GeneratorOptions.for_model({}, given)


def truncated(path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])


def bomb(path):
    """A PNG that says it is 40000 x 40000 pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 40000, 40000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )


def animated(path):
    frames = [Image.new("RGB", (4, 3), (value, 0, 0)) for value in (0, 128, 255)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


class Payload:
    def __reduce__(self):
        return print, ("this must never run",)


NAN = float("nan")

PROMPTS = [
    Row("nothing asked", predict(), PromptError, "no prompt was given; pass points=, box= or mask="),
    Row(
        "labels alone",
        predict(labels=[1]),
        PromptError,
        "labels came without points; pass points= as well, or drop labels=",
    ),
    Row(
        "extra column",
        predict(points=np.ones((4, 3))),
        PromptError,
        "points must have shape (N, 2) or (P, N, 2) in pixels, got (4, 3); drop the extra column",
    ),
    Row(
        "a bare point",
        predict(points=(30, 20)),
        PromptError,
        "points must have shape (N, 2) or (P, N, 2) in pixels, got (2,); wrap the single point in a list: [(x, y)]",
    ),
    Row(
        "no points",
        predict(points=[]),
        PromptError,
        "points must have shape (N, 2) or (P, N, 2) in pixels, got (0,); pass points=None for a prompt without points",
    ),
    Row(
        "words",
        predict(points=[("a", "b")]),
        PromptError,
        "points must have shape (N, 2) or (P, N, 2) in pixels, got values of type <U1",
    ),
    Row("NaN", predict(points=[(NAN, 1)]), PromptError, "points must be finite numbers, got NaN or infinity"),
    Row(
        "point outside",
        predict(points=[(30, 20), (65, 20)]),
        PromptError,
        "point (65, 20) is outside the picture of 64 x 48 pixels; points are (x, y) in photo pixels, or pass outside='keep'",
    ),
    Row(
        "points of another photo",
        predict(points=[(500, 375)]),
        PromptError,
        "point (500, 375) is outside the picture of 64 x 48 pixels; points are (x, y) in photo pixels, or pass outside='keep'",
    ),
    Row(
        "too few labels",
        predict(points=[(1, 1), (2, 2)], labels=[1]),
        PromptError,
        "labels must have shape (2,), one label for each point, got (1,)",
    ),
    Row(
        "label 2",
        predict(points=[(1, 1)], labels=[2]),
        PromptError,
        "labels must be 1 (object), 0 (not the object) or -1 (padding), got 2",
    ),
    Row(
        "lists of labels",
        predict(points=[[(1, 1)], [(2, 2), (3, 3)]], labels=[[1]]),
        PromptError,
        "labels must hold one list for each prompt, got 1 lists for 2 prompts",
    ),
    Row(
        "uneven points",
        predict(points=[(1, 2), (3, 4, 5)]),
        PromptError,
        "points must have shape (N, 2) or (P, N, 2) in pixels, got rows of unequal length",
    ),
    Row(
        "box of 3",
        predict(box=(1, 2, 3)),
        PromptError,
        "box must have shape (4,) or (P, 4), XYXY in pixels, got (3,)",
    ),
    Row(
        "box with NaN",
        predict(box=(1, 2, NAN, 4)),
        PromptError,
        "box must be finite numbers, got NaN or infinity",
    ),
    Row(
        "box as XYWH",
        predict(box=(30, 20, 15, 10)),
        PromptError,
        "box must be XYXY with x0 < x1 and y0 < y1, got (30, 20, 15, 10); turn XYWH into (x, y, x + w, y + h)",
    ),
    Row(
        "box outside",
        predict(box=(70, 10, 90, 20)),
        PromptError,
        "box (70, 10, 90, 20) does not overlap the picture of 64 x 48 pixels; boxes are XYXY in photo pixels, or pass outside='keep'",
    ),
    Row(
        "counts differ",
        predict(points=np.ones((3, 1, 2)), box=[(1, 1, 5, 5), (2, 2, 6, 6)]),
        PromptError,
        "points, box and mask must hold the same number of prompts, got points 3, box 2; give each prompt its row in all of them",
    ),
    Row(
        "mask of another size",
        predict(mask=np.zeros((20, 20), bool)),
        PromptError,
        "mask must be 16 x 16 (H x W) logits of an earlier answer or a 48 x 64 (H x W) mask of the photo, got shape (20, 20)",
    ),
    Row(
        "mask with a channel",
        predict(mask=np.zeros((48, 64, 1), bool)),
        PromptError,
        "mask must be 16 x 16 (H x W) logits of an earlier answer or a 48 x 64 (H x W) mask of the photo, got shape (48, 64, 1); take its one channel, mask[..., 0]",
    ),
    Row(
        "mask as a picture",
        predict(mask=np.zeros((48, 64, 3), np.uint8)),
        PromptError,
        "mask must be 16 x 16 (H x W) logits of an earlier answer or a 48 x 64 (H x W) mask of the photo, got shape (48, 64, 3); that is a picture: of one whose mask is white pass mask[..., 0] > 127",
    ),
    Row(
        "masks along the last axis",
        predict(mask=np.zeros((48, 64, 5), bool)),
        PromptError,
        "mask must be 16 x 16 (H x W) logits of an earlier answer or a 48 x 64 (H x W) mask of the photo, got shape (48, 64, 5); many masks go along the first axis: np.moveaxis(masks, -1, 0)",
    ),
    Row(
        "mask with swapped axes",
        predict(mask=np.zeros((64, 48), bool)),
        PromptError,
        "mask must be 16 x 16 (H x W) logits of an earlier answer or a 48 x 64 (H x W) mask of the photo, got shape (64, 48); its axes are swapped, rows come first: np.swapaxes(mask, -1, -2)",
    ),
    Row(
        "flat mask",
        predict(mask=np.zeros(64 * 48, bool)),
        PromptError,
        "mask must be 16 x 16 (H x W) logits of an earlier answer or a 48 x 64 (H x W) mask of the photo, got shape (3072,); it is flat: mask.reshape(48, 64)",
    ),
    Row(
        "small binary mask",
        predict(mask=np.zeros((16, 16), bool)),
        PromptError,
        "a binary mask must have the photo's size 48 x 64 (H x W), got 16 x 16 (H x W); resize it to the photo, or pass float logits",
    ),
    Row(
        "label map",
        predict(mask=np.arange(48 * 64).reshape(PHOTO_HW) % 7),
        PromptError,
        "an integer mask must hold only 0 and 1, or only 0 and 255, got values 0 to 6; for a label map pass (labels == your_label)",
    ),
    Row(
        "probabilities",
        predict(mask=np.linspace(0, 1, 48 * 64).reshape(PHOTO_HW)),
        PromptError,
        "a float mask of the photo's size must hold only 0 and 1, got values 0 to 1; threshold it, or pass the answer's 16 x 16 (H x W) logits",
    ),
    Row(
        "mask with NaN",
        predict(mask=np.full((16, 16), NAN)),
        PromptError,
        "mask must be finite numbers, got NaN or infinity",
    ),
    Row(
        "outside",
        predict(points=[(1, 1)], outside="clip"),
        PromptError,
        "outside must be 'refuse' or 'keep', got 'clip'",
    ),
]

PICTURES = [
    Row("no such file", photo("nowhere.jpg"), PictureError, "there is no picture at 'nowhere.jpg'"),
    Row(
        "a folder",
        lambda folder: em.read_photo(folder),
        PictureError,
        "'{folder}' is a folder, not a picture",
    ),
    Row(
        "an address",
        photo("https://example.org/a.jpg"),
        PictureError,
        "'https://example.org/a.jpg' is a web address; download the picture and pass its path",
    ),
    Row("empty file", file("a.jpg", b""), PictureError, "'{folder}/a.jpg' is empty (0 bytes)"),
    Row(
        "text named jpg",
        file("a.jpg", b"once upon a time"),
        PictureError,
        "'{folder}/a.jpg' is not a picture in a known format (it starts with b'once upo')",
    ),
    Row(
        "HEIC",
        file("a.heic", b"\0\0\0\x18ftypheic" + b"\0" * 40),
        PictureError,
        "'{folder}/a.heic' is a HEIC picture; run: pip install pillow-heif, or save it as JPEG",
    ),
    Row(
        "truncated",
        picture("a.jpg", truncated),
        PictureError,
        "'{folder}/a.jpg' cannot be decoded: image file is truncated (146 bytes not processed)",
    ),
    Row(
        "bomb",
        picture("a.png", bomb),
        PictureError,
        "'{folder}/a.png' has more than the 178,956,970 pixels that are decoded from one file; if you trust it, raise PIL.Image.MAX_IMAGE_PIXELS, or in the shell: export EVERYMASK_MAX_PIXELS=PIXELS",
    ),
    Row(
        "animation",
        picture("a.gif", animated),
        PictureError,
        "'{folder}/a.gif' holds 3 pages or frames; pass page=0 to page=2 (--page 1 to --page 3 in the shell)",
    ),
    Row(
        "page",
        picture("a.gif", animated, page=3),
        PictureError,
        "'{folder}/a.gif' has page=0 to page=2 (--page 1 to --page 3 in the shell), there is no page=3",
    ),
    Row(
        "zero size",
        photo(np.zeros((0, 5, 3), np.uint8)),
        PictureError,
        "a photo must have pixels, got shape (0, 5, 3)",
    ),
    Row(
        "5 channels",
        photo(np.zeros((40, 50, 5), np.uint8)),
        PictureError,
        "a photo must have shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got (40, 50, 5); choose three of its channels: array[..., :3]",
    ),
    Row(
        "channels first",
        photo(np.zeros((3, 40, 50), np.uint8)),
        PictureError,
        "a photo must have shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got (3, 40, 50); channels come last: array.transpose(1, 2, 0)",
    ),
    Row(
        "one line",
        photo(np.zeros(40, np.uint8)),
        PictureError,
        "a photo must have shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got (40,)",
    ),
    Row(
        "NaN pixels",
        photo(np.full((4, 5), NAN)),
        PictureError,
        "a photo must hold finite values, got NaN or infinity; in an array, use np.nan_to_num first, in a GeoTIFF set its nodata value to NaN",
    ),
    Row(
        "complex pixels",
        photo(np.zeros((4, 5), complex)),
        PictureError,
        "a photo must hold integers or floats, got values of type complex128",
    ),
    Row(
        "a number",
        photo(7),
        PictureError,
        "a photo must be a path, an RGB array of shape (H, W, 3) or a PIL picture, got int",
    ),
    Row(
        "floats to 255",
        photo(np.array([[0.0, 255.0]]), range="dtype"),
        PictureError,
        "range='dtype' wants floats from 0 to 1, got 0 to 255; pass range='minmax' or range=(low, high); in the shell --range minmax or --range LOW,HIGH",
    ),
    Row(
        "range",
        photo(np.zeros((4, 5), np.uint16), range="auto"),
        OptionError,
        "range must be 'percentile', 'minmax', 'dtype' or (low, high) with low < high, got 'auto'",
    ),
]

CHECKPOINTS = [
    Row(
        "unknown name",
        lambda folder: load("sam3"),
        UnknownModelError,
        "expected a model name ({models}), a checkpoint path or a hub id, got 'sam3'; see `everymask models list`",
    ),
    Row(
        "no such checkpoint",
        lambda folder: load(folder / "a.pt"),
        CheckpointError,
        "there is no weights file at {folder}/a.pt; check the path",
    ),
    Row(
        "a folder as weights",
        lambda folder: load(folder),
        CheckpointError,
        "expected a weights file, got the folder {folder}; name the file in it",
    ),
    Row(
        "empty weights",
        file("a.pt", b"", load),
        CheckpointError,
        "a.pt is not a weights file: it is empty; download it again",
    ),
    Row(
        "web page",
        file("a.pt", b"<!DOCTYPE html><html>not found</html>", load),
        CheckpointError,
        "a.pt is not a weights file: it is a web page; the download was answered with an error page, download it again",
    ),
    Row(
        "LFS pointer",
        file("a.pt", b"version https://git-lfs.github.com/spec/v1\n", load),
        CheckpointError,
        "a.pt is not a weights file: it is a Git LFS pointer; run 'git lfs pull', or download the file itself",
    ),
    Row(
        "text as weights",
        file("a.pt", b"once upon a time", load),
        CheckpointError,
        "a.pt is not a weights file: expected a torch zip file, a pickle or safetensors; it may be another kind of file, or damaged",
    ),
    Row(
        "cut short",
        file("a.pt", b"PK\x03\x04" + b"\0" * 60, load),
        CheckpointError,
        "a.pt is damaged or cut short; download it again",
    ),
    Row(
        "code",
        checkpoint("a.pt", {"a": Payload()}),
        UnsafeCheckpointError,
        "a.pt carries code (print) and was not opened; get a file of plain tensors from its authors, or save its state_dict where you trust it",
    ),
    Row(
        "numbers",
        checkpoint("a.pt", {"a": 1}),
        CheckpointError,
        "a.pt holds no tensors ('a': an int), expected a dictionary of tensors; save model.state_dict() alone",
    ),
    Row(
        "a list",
        checkpoint("a.pt", [torch.zeros(1)]),
        CheckpointError,
        "a.pt holds a list, expected a dictionary of tensors; save model.state_dict() alone",
    ),
    Row(
        "no known model",
        checkpoint("a.pt", {"a": torch.zeros(1)}),
        UnknownModelError,
        "no model of the table fits these 1 tensors (a); expected weights of one of {models}",
    ),
    Row(
        "other keys",
        other_keys,
        KeyMismatchError,
        "the weights do not fit nano: 1 missing (no_mem_embed); 1 left over (head.weight); 1 of another shape (sam_mask_decoder.iou_token.weight: expected (1, 128), got (1, 2)); save the whole state_dict of the model, or download the file again",
    ),
    Row(
        "device",
        lambda folder: load("nano", device="gpu"),
        OptionError,
        "device must be 'cpu', 'cuda', 'cuda:0', 'mps' or None, got 'gpu'",
    ),
    *[
        Row(
            f"device {name}",
            lambda folder, name=name: load("nano", device=name),
            OptionError,
            f"device '{name}' was asked for, but the installed torch cannot compute on one; pass device='cpu', 'cuda' or 'mps', or None for the best there is",
        )
        for name in ("meta", "vulkan", "hpu")
    ],
    Row(
        "device of a number that is not there",
        lambda folder: load("nano", device="cuda:7"),
        OptionError,
        f"device 'cuda:7' was asked for, but torch sees {torch.cuda.device_count()} CUDA devices; pass device='cpu', or install a torch build for this GPU",
    ),
    Row(
        "dtype",
        lambda folder: load("nano", dtype="int8"),
        OptionError,
        "dtype must be one of float32, bfloat16, float16, float64, as a name or torch's own, got 'int8'",
    ),
]

OPTIONS = [
    Row(
        "points per side",
        options(points_per_side=0),
        OptionError,
        "points_per_side must be at least 1, got 0",
    ),
    Row(
        "threshold",
        options(pred_iou_thresh=1.5),
        OptionError,
        "pred_iou_thresh must be between 0 and 1, got 1.5",
    ),
    Row(
        "grids and sides",
        options(points_per_side=8, point_grids=[np.zeros((1, 2))]),
        OptionError,
        "give either points_per_side or point_grids, got both; the other one is None",
    ),
    Row(
        "pixels as grid",
        options(point_grids=[np.array([[30, 20]])]),
        OptionError,
        "point_grids[0] must hold shares of the photo's sides, 0 to 1; divide pixels by (width, height)",
    ),
    Row(
        "grid for each layer",
        options(point_grids=[np.zeros((1, 2))], crop_n_layers=1),
        OptionError,
        "point_grids must have one array for the photo and one per crop layer, 2; got 1",
    ),
    Row(
        "output mode",
        options(output_mode="png"),
        OptionError,
        "output_mode must be one of binary_mask, uncompressed_rle, coco_rle, got 'png'",
    ),
    Row(
        "effort",
        options(effort="faster"),
        OptionError,
        "effort must be one of exact, bf16, fast, got 'faster'",
    ),
    Row(
        "float64",
        lambda folder: em.AutomaticMaskGenerator(em.load("nano", device="cpu", dtype="float64")),
        OptionError,
        'everything mode needs a model in float32, bfloat16 or float16, got one in float64; load it with dtype="float32"',
    ),
    Row(
        "misspelt",
        options(point_per_side=8),
        OptionError,
        "unknown option point_per_side (did you mean points_per_side?); known are {options}",
    ),
    Row(
        "model by name",
        lambda folder: em.ImagePredictor("nano"),
        OptionError,
        "ImagePredictor needs a model, got str; pass everymask.load('nano')",
    ),
    Row(
        "one photo as several",
        lambda folder: em.ImagePredictor(FakeModel()).set_images("a.jpg"),
        OptionError,
        "set_images takes a list of photos; pass one photo to set_image",
    ),
    Row(
        "no photo set",
        lambda folder: em.ImagePredictor(FakeModel()).predict([(1, 1)]),
        SessionError,
        "no photo is set; call set_image first",
    ),
    Row("photo number", predict(points=[(1, 1)], image=3), SessionError, "image must be from 0 to 0, got 3"),
]

TABLE = [*PROMPTS, *PICTURES, *CHECKPOINTS, *OPTIONS]


def spelled_out(text, folder):
    """``{folder}`` is the folder of the test's files; the lists of names grow with the package."""
    names = {"{models}": MODELS, "{options}": (option.name for option in fields(GeneratorOptions))}
    for mark, values in names.items():
        text = text.replace(mark, ", ".join(values))
    return text.replace("{folder}", str(folder))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.what)
def test_wrong_input_is_answered_with_this_text(row, tmp_path, capsys):
    with pytest.raises(EverymaskError) as raised:
        row.call(tmp_path)
    assert str(raised.value) == spelled_out(row.text, tmp_path)
    assert type(raised.value) is row.error
    assert capsys.readouterr().out == ""


def test_the_table_is_as_long_as_it_should_be():
    assert len(TABLE) >= 40
    assert len({row.what for row in TABLE}) == len(TABLE)


def test_errors_of_input_are_value_errors_too():
    """Code that catches ValueError keeps working."""
    assert issubclass(PromptError, ValueError)
    assert issubclass(PictureError, ValueError)
    assert issubclass(OptionError, ValueError)
