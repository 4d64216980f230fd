"""--options FILE: options of everything mode that were found before."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from everymask.cli.main import run
from everymask.everything.options_file import write_options


@pytest.fixture
def photo(tmp_path):
    labels = np.zeros((48, 64), np.uint8)
    labels[10:40, 12:40] = 1
    shown = np.where(labels[..., None] > 0, 210, 60).astype(np.uint8).repeat(3, -1)
    Image.fromarray(shown).save(tmp_path / "a.png")
    Image.fromarray(labels).save(tmp_path / "a_0.png")
    return tmp_path / "a.png"


@pytest.fixture
def tuned(tmp_path):
    """Options that leave nothing, found for SAM 2.1 tiny."""
    options = {"points_per_side": 2, "pred_iou_thresh": 1.0}
    return write_options(tmp_path / "tuned.toml", options, {"model": "sam2.1_hiera_tiny"})


def test_compare_varies_what_has_flags_and_keeps_the_rest(photo, tuned, tmp_path, capsys):
    words = ["compare", str(photo), "--options", str(tuned), "-o", str(tmp_path / "out")]
    assert run([*words, "--pred-iou-thresh", "0,1"]) == 0
    with (tmp_path / "out" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["points_per_side"], row["pred_iou_thresh"]) for row in rows] == [("2", "0.0"), ("2", "1.0")]
    assert int(rows[0]["masks"]) > int(rows[1]["masks"]) == 0
    assert run(["compare", str(photo), "--options", str(tuned), "-o", str(tmp_path / "more")]) == 2
    assert "nothing to compare" in capsys.readouterr().err


def test_evaluate_measures_everything_mode_with_them(photo, tuned, capsys):
    words = ["evaluate", str(photo.parent), "--json"]
    assert run([*words, "--options", str(tuned)]) == 0
    assert json.loads(capsys.readouterr().out)["masks_per_photo"] == 0
    assert run([*words, "--grid", "2"]) == 0
    assert json.loads(capsys.readouterr().out)["masks_per_photo"] > 0


@pytest.mark.parametrize("command", ["segment", "compare", "evaluate", "why"])
def test_options_of_another_model_are_said(photo, tuned, tmp_path, capsys, command):
    where = {"segment": [photo], "compare": [photo, "--min-mask-region-area", "0,9"], "why": [photo, "5,5"]}
    words = [command, *where.get(command, [photo.parent]), "--options", tuned]
    words += ["-o", tmp_path / "out"] if command in ("segment", "compare") else []
    run([str(word) for word in words])
    said = f"note: {tuned} was tuned for sam2.1_hiera_tiny; nano may want other options"
    assert said in capsys.readouterr().err


def test_options_of_the_same_model_or_of_none_are_not(photo, tmp_path, capsys):
    for about in ({"model": "nano"}, {"goal": "quality"}, None):
        path = write_options(tmp_path / "own.toml", {"points_per_side": 2}, about)
        words = ["segment", str(photo), "--options", str(path), "-o", str(tmp_path / "out"), "--overwrite"]
        assert run(words) == 0
        assert "tuned for" not in capsys.readouterr().err
