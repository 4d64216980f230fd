"""The examples of the pages about video run as they stand, with a very small model."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

import everymask as em
from everymask.cli.track.prompts import read_track_prompts
from everymask.compat.sam2 import config_files
from everymask.media.video_writer import VideoWriter
from everymask.models.load import build
from tests.docs.pages import examples
from tests.parity.seeded import seeded_state
from tests.video.parity import moving_scene, tiny

pytest.importorskip("av", reason="PyAV (the video extra) is not installed")

FRAMES = 5


@pytest.fixture(scope="module")
def model():
    spec = tiny(image_size=64)
    return build(spec, seeded_state({name: value.shape for name, value in build(spec).state_dict().items()}))


@pytest.fixture
def beside_a_clip(tmp_path, monkeypatch, model):
    """A folder with clip.mp4, frames/ and a checkpoint; every model's name means the small one."""
    scene = moving_scene(FRAMES, (480, 640))
    with VideoWriter(tmp_path / "clip.mp4", 25) as writer:
        for frame in scene:
            writer.write(frame)
    (tmp_path / "frames").mkdir()
    for index, frame in enumerate(scene):
        Image.fromarray(frame).save(tmp_path / "frames" / f"{index:05d}.jpg")
    torch.save({"model": model.state_dict()}, tmp_path / "sam2.1_hiera_tiny.pt")
    monkeypatch.setattr(em, "load", lambda name, **_: model)
    monkeypatch.setattr(config_files, "spec_of_name", lambda _: model.spec)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_about_video(beside_a_clip, capsys):
    names: dict[str, object] = {}
    for code in examples("docs/video.md", "python"):
        exec(compile(code, "docs/video.md", "exec"), names)
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == [str(index) for index in range(FRAMES)]
    assert all("(2, 480, 640)" in line for line in said), "two objects at the frame's size"
    assert (beside_a_clip / "clip.session").is_file()
    assert names["session"].progress.next_frame == FRAMES
    assert callable(names["build_sam2_video_predictor"])


def test_the_prompt_file_of_the_page_about_video(beside_a_clip):
    (text,) = examples("docs/video.md", "json")
    (beside_a_clip / "prompts.json").write_text(text)
    read = read_track_prompts([], [], [], beside_a_clip / "prompts.json")
    assert [prompt.to_dict() for prompt in read] == sorted(
        json.loads(text), key=lambda one: (one["frame"], one["object"])
    )


def test_the_video_part_of_the_page_about_migration(beside_a_clip):
    (code,) = [code for code in examples("docs/migration.md", "python") if "propagate_in_video" in code]
    names: dict[str, object] = {"points": np.array([[30, 40]]), "labels": np.array([1])}
    exec(compile(code, "docs/migration.md", "exec"), names)
    assert names["frame_idx"] == FRAMES - 1
    assert names["obj_ids"] == [1]
    assert names["masks"].shape == (1, 1, 480, 640)
