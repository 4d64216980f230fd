"""Something else where something was, on a small random pipeline: no network, nothing else changed."""

import json
import shutil
import socket
from dataclasses import replace

import cv2
import numpy as np
import pytest

import everymask as em
from everymask.cli.main import run
from everymask.errors import CheckpointError, MissingExtraError, OfflineError, OptionError, PromptError
from everymask.inpaint import diffusion
from everymask.inpaint.diffusion import Diffusion, Painting
from everymask.inpaint.pipelines import PIPELINES
from tests.parity.torchvision_standin import hidden

with hidden():
    pytest.importorskip("diffusers")
    tiny = pytest.importorskip("tests.inpaint.tiny_pipeline", reason="needs transformers")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("somebody went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with hidden():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with hidden():
        return tiny.pipeline(tmp_path_factory.mktemp("pipeline") / "tiny")


def photo_and_mask(shape=(90, 130, 3), dtype=np.uint8):
    photo = np.random.default_rng(0).integers(100, 250, shape).astype(dtype)
    mask = np.zeros(shape[:2], bool)
    mask[40:60, 50:80] = True
    return photo, mask


@pytest.mark.parametrize("shape", [(90, 130), (90, 130, 1), (90, 130, 3), (90, 130, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_mask_alone_changes_at_every_depth(folder, shape, dtype):
    photo, mask = photo_and_mask(shape, dtype)
    result = em.replace(photo, mask, "a chair", str(folder), steps=2, grow=0)
    assert (result.shape, result.dtype) == (photo.shape, photo.dtype)
    np.testing.assert_array_equal(result[~mask], photo[~mask])
    assert (result[mask] != photo[mask]).any()


def test_a_seed_paints_the_same_picture_and_the_text_and_others_another(folder):
    photo, mask = photo_and_mask()
    known = {"model": str(folder), "steps": 2, "grow": 0}
    first = em.replace(photo, mask, "a chair", seed=3, **known)
    np.testing.assert_array_equal(em.replace(photo, mask, "a chair", seed=3, **known), first)
    assert (em.replace(photo, mask, "a chair", seed=4, **known) != first).any()
    assert (em.replace(photo, mask, "zzz", seed=3, **known) != first).any()
    assert (em.replace(photo, mask, "a chair", seed=3, negative="q", **known) != first).any()
    assert (em.replace(photo, mask, "a chair", seed=3, strength=0.6, **known) != first).any()


def test_what_is_painted_is_what_diffusers_paints(folder):
    import torch
    from PIL import Image

    engine = Diffusion(str(folder), Painting("a chair", steps=2, seed=5))
    rgb, _ = photo_and_mask((64, 64, 3))
    hole = np.zeros((64, 64), bool)
    hole[20:40, 20:40] = True
    with hidden():
        theirs = engine.pipeline(
            prompt="a chair",
            image=Image.fromarray(rgb),
            mask_image=Image.fromarray(hole.astype(np.uint8) * 255),
            height=64,
            width=64,
            num_inference_steps=2,
            strength=1.0,
            guidance_scale=7.5,
            generator=torch.Generator("cpu").manual_seed(5),
            output_type="np",
        ).images[0]
    np.testing.assert_allclose(engine.fill_rgb(rgb, hole), theirs * 255, atol=1e-3)


def test_crops_are_painted_at_the_pipelines_own_size(folder):
    engine = Diffusion(str(folder), Painting("a chair"))
    assert engine.size_for(300, 300) == (64, 64)
    assert engine.size_for(150, 300) == (32, 64)
    assert engine.size_for(5, 300) == (16, 64)


def test_weights_come_by_our_own_download_without_the_safety_checker(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "mirror" / "sd15_inpaint")
    index = tmp_path / "mirror" / "sd15_inpaint" / "model_index.json"
    listed = json.loads(index.read_text())
    checker = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    index.write_text(json.dumps({**listed, "safety_checker": checker, "requires_safety_checker": True}))
    there = {str(path.relative_to(index.parent)) for path in index.parent.rglob("*") if path.is_file()} - {
        PIPELINES["sd15_inpaint"].weights
    }
    files = replace(PIPELINES["sd15_inpaint"], parts=tuple(sorted(there)))
    monkeypatch.setitem(diffusion.PIPELINES, "sd15_inpaint", files)
    monkeypatch.setenv("EVERYMASK_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "home"))
    photo, mask = photo_and_mask()
    assert em.replace(photo, mask, "a chair", steps=1).shape == photo.shape
    assert files.is_here
    assert (files.folder / "unet" / "diffusion_pytorch_model.safetensors.sha256").is_file()


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"prompt": "  "}, OptionError, "must say what is to be there"),
        ({"steps": 0}, OptionError, "steps must be at least 1"),
        ({"strength": 0}, OptionError, "strength must be over 0"),
        ({"seed": -1}, OptionError, "seed must be a whole number from 0"),
        ({"guidance": -1.0}, OptionError, "guidance must be at least 0"),
        ({"grow": -1}, OptionError, "grow must be at least 0"),
        ({"model": "magic"}, OptionError, "must be one of sd15_inpaint, or a folder with model_index.json"),
        ({"mask": np.zeros((90, 130), bool)}, PromptError, "the mask is empty"),
    ],
)
def test_what_is_wrong_is_told(options, error, said):
    photo, mask = photo_and_mask()
    with pytest.raises(error, match=said):
        em.replace(photo, **{"mask": mask, "prompt": "a chair", **options})


def test_missing_weights_network_extra_and_broken_folders_are_one_line(tmp_path, monkeypatch):
    photo, mask = photo_and_mask()
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path))
    monkeypatch.setenv("EVERYMASK_OFFLINE", "1")
    with pytest.raises(OfflineError, match="sd15_inpaint is not in the cache"):
        em.replace(photo, mask, "a chair")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model_index.json").write_text('{"_class_name": "Nothing"}')
    with pytest.raises(CheckpointError, match="is no pipeline that diffusers opens") as told:
        em.replace(photo, mask, "a chair", str(tmp_path / "broken"))
    assert "\n" not in str(told.value)
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'everymask\[diffusion\]'"):
        em.replace(photo, mask, "a chair")


def test_the_command_replaces_what_a_mask_covers(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photo, mask = photo_and_mask()
    cv2.imwrite("photo.png", photo)
    cv2.imwrite("m.png", mask.astype(np.uint8) * 255)
    command = ["replace", "photo.png", "--mask", "m.png", "--with", "a chair", "--painter", str(folder)]
    assert run([*command, "--steps", "1", "--grow", "0", "-o", "new.png", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["area"] == 600
    before, after = cv2.imread("photo.png"), cv2.imread("new.png")
    np.testing.assert_array_equal(before[~mask], after[~mask])
    assert (before[mask] != after[mask]).any()
    assert run(["replace", "photo.png", "--with", "a chair", "--painter", str(folder)]) == 2
    assert "nothing to replace; give --point" in capsys.readouterr().err
    assert run(["replace", "photo.png", "--mask", "m.png", "--with", " "]) == 2
    assert "must say what is to be there" in capsys.readouterr().err
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EVERYMASK_OFFLINE", "1")
    monkeypatch.setattr("everymask.cli.erase.picture.asked_for", None)  # told before any work is done
    assert run(["replace", "photo.png", "--mask", "m.png", "--with", "a chair"]) == 1
    assert "sd15_inpaint is not in the cache" in capsys.readouterr().err
