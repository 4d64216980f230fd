"""everymask demo: masks, a picture, a file and a pointer to what comes next."""

from __future__ import annotations

import shlex

import numpy as np
from PIL import Image

from everymask import formats
from everymask.cli import demo
from everymask.cli import main as cli
from everymask.errors import EverymaskError
from tests.cli.fake_engine import FakeSegmenter


def test_demo_writes_masks_and_says_where_to_look(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "open_segmenter", lambda model, device, o, r: FakeSegmenter(o, r))
    monkeypatch.chdir(tmp_path)
    assert cli.run(["demo"]) == 0
    said = capsys.readouterr().out
    masks = formats.read_masks(tmp_path / "out" / "demo" / "coco.json")
    assert f"masks     {len(masks)} in " in said
    assert "out/demo/overlay/cat.jpg   <- look at this first" in said
    assert "everymask models list" in said
    assert max(len(line) for line in said.splitlines()) <= 90
    with Image.open(tmp_path / "out" / "demo" / "overlay" / "cat.jpg") as picture:
        assert picture.size == masks.photo_hw[::-1]
    assert cli.run(["demo"]) == 0, "a second time is no error"
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["demo"], "nothing in the way of real runs"


def test_demo_without_a_mask_says_what_to_try(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "open_segmenter", lambda model, device, o, r: FakeSegmenter(o, r))
    monkeypatch.setattr(demo, "read_photo", lambda path: np.zeros((8, 8, 3), np.uint8))
    assert cli.run(["demo", "-o", str(tmp_path)]) == 0
    assert "none passed the filters" in capsys.readouterr().out


def test_next_steps_run_as_printed(tmp_path, monkeypatch, capsys):
    from everymask.cli.segment import command as segment
    from everymask.cli.shared import downloads
    from tests.fakes import FakeModel

    for module in (demo, segment):
        monkeypatch.setattr(module, "open_segmenter", lambda model, device, o, r: FakeSegmenter(o, r))
    monkeypatch.setattr(downloads, "load_visibly", lambda model, device: FakeModel("sam2"))
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert cli.run(["demo", "-o", "my demo"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "photo     my demo/cat.jpg, 451 x 300 pixels, CC0"
    steps = [line[10:] for line in said if line[10:].startswith("everymask ")]
    assert len(steps) == 4
    for step in steps:
        assert cli.run(shlex.split(step)[1:]) == 0
    assert (tmp_path / "my demo" / "click" / "overlay" / "cat.jpg").exists()
    assert (tmp_path / "my demo" / "every" / "cutouts" / "cat").is_dir()


def test_the_photo_is_shown_before_the_model_is_loaded(tmp_path, monkeypatch, capsys):
    def tell(*_):
        raise EverymaskError(capsys.readouterr().out)

    monkeypatch.setattr(demo, "open_segmenter", tell)
    assert cli.run(["demo", "-o", str(tmp_path)]) == 1
    assert "error: photo     " in capsys.readouterr().err
