"""Fine-tuning: a model gets better at a new kind of picture, and only the parts named change."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from everymask.errors import OptionError
from everymask.models.load import build
from everymask.models.specs import MODELS
from everymask.nn.encoders.convnet import ConvSpec
from everymask.train.data import Example
from everymask.train.finetune import finetune, write_weights
from everymask.train.scenes import Scene

TINY = replace(
    MODELS["nano"],
    image_size=64,
    embed_dim=32,
    trunk=ConvSpec(dims=(8, 8, 16, 16), depths=(1, 1, 1, 1), attention_heads=2),
    memory=None,
)


@pytest.fixture
def discs():
    ys, xs = np.mgrid[0:64, 0:64]
    labels = np.zeros((3, 64, 64), np.uint8)
    labels[:, (xs - 30) ** 2 + (ys - 34) ** 2 < 300] = 1
    photo = np.where(labels[0, ..., None] > 0, 200, 30).astype(np.uint8).repeat(3, -1)
    return [Example("disc", Scene(photo, labels), 0)]


def test_the_decoder_alone_is_trained_by_default(discs):
    torch.manual_seed(0)
    model = build(TINY)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    list(finetune(model, discs, steps=6, prompts=4))
    changed = {
        name.split(".")[0] for name, value in model.state_dict().items() if (value != before[name]).any()
    }
    assert changed == {"sam_mask_decoder"}
    assert not model.training


def test_the_loss_falls(discs):
    torch.manual_seed(0)
    reports = list(finetune(build(TINY), discs, parts="all", steps=40, prompts=4, learning_rate=3e-3))
    assert reports[-1].losses["best"] < 0.8 * reports[0].losses["best"]


def test_unknown_parts_are_refused(discs):
    with pytest.raises(OptionError, match="decoder, neck, all"):
        next(finetune(build(TINY), discs, parts="brain"))


def test_written_weights_load_again(tmp_path, discs):
    from everymask.models.weights import read_weights

    model = build(TINY)
    write_weights(model, tmp_path / "w.safetensors")
    again = build(TINY, read_weights(tmp_path / "w.safetensors"))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value)


def test_two_tall_photos_in_a_folder_train(tmp_path):
    """From files to weights in one go, as the command does it."""
    from everymask.train.data import read_examples

    labels = np.zeros((90, 50), np.uint8)
    labels[20:60, 10:40] = 1
    for name in "ab":
        Image.fromarray(np.where(labels[..., None] > 0, 220, 20).astype(np.uint8).repeat(3, -1)).save(
            tmp_path / f"{name}.png"
        )
        Image.fromarray(labels).save(tmp_path / f"{name}_0.png")
    reports = list(finetune(build(TINY), read_examples(tmp_path), steps=2, prompts=4))
    assert reports[-1].step == 2
