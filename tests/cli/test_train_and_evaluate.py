"""`everymask train` and `everymask evaluate` from files to files, with the bundled model."""

import json

import numpy as np
import pytest
from PIL import Image

from everymask import formats
from everymask.cli.main import run


@pytest.fixture
def folder(tmp_path):
    labels = np.zeros((48, 64), np.uint8)
    labels[10:40, 12:40] = 1
    photo = np.where(labels[..., None] > 0, 210, 60).astype(np.uint8).repeat(3, -1)
    Image.fromarray(photo).save(tmp_path / "a.png")
    Image.fromarray(labels).save(tmp_path / "a_0.png")
    return tmp_path


def test_evaluate_prints_one_json_document(folder, capsys):
    assert run(["evaluate", str(folder), "--grid", "2", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["photos"] == 1
    assert scores["regions"] == 1, "0 stands for nothing"
    assert 0 <= scores["click_top"] <= scores["click_best"] <= 1
    assert {"box_iou", "abo", "coverage", "edge_f", "rank_correlation"} <= set(scores)


def test_evaluate_takes_masks_of_any_format_and_several_clicks(folder, tmp_path, capsys):
    (masks,) = formats.read_photos(folder / "a_0.png")
    formats.save(masks.masks, tmp_path / "c.json", format="coco", photo="a.png")
    (folder / "a_0.png").unlink()
    words = ["evaluate", str(folder), "--masks", str(tmp_path / "c.json"), "--no-everything", "--clicks", "2"]
    assert run([*words, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (scores["regions"], len(scores["one_by_one"]), len(scores["at_once"])) == (1, 2, 2)
    assert run(words) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("one_by_one"))
    assert line.split()[1:3] == [f"{value:.3f}" for value in scores["one_by_one"]]


def test_evaluate_says_when_there_is_nothing_to_measure(folder, capsys):
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(folder / "a_0.png")
    assert run(["evaluate", str(folder)]) == 2
    assert "no mask of these 1 photos has 1% of its photo" in capsys.readouterr().err


def test_evaluate_without_everything_mode_leaves_it_out(folder, capsys):
    assert run(["evaluate", str(folder), "--no-everything"]) == 0
    out = capsys.readouterr().out
    assert "click_best" in out
    assert "abo" not in out


def test_evaluate_of_an_empty_folder_is_one_line(tmp_path, capsys):
    assert run(["evaluate", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "there is no photo in" in line


def test_train_writes_weights_that_evaluate_reads(folder, capsys):
    weights = folder / "mine.safetensors"
    status = run(
        ["train", str(folder), "--steps", "1", "--prompts", "2", "--batch", "1", "--out", str(weights)]
    )
    assert status == 0
    assert capsys.readouterr().out.strip() == str(weights)
    assert run(["evaluate", str(folder), "--model", str(weights), "--no-everything", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["regions"] == 1


def test_train_without_masks_is_one_line(tmp_path, capsys):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    assert run(["train", str(tmp_path), "--steps", "1"]) == 2
    assert "found no pair" in capsys.readouterr().err
