import csv
import re

import numpy as np
import pytest

import everymask as em
from everymask.errors import OptionError
from everymask.explore.compare import compare
from everymask.explore.structures import grouped
from everymask.models.load import load


@pytest.fixture(scope="module")
def photo():
    rng = np.random.default_rng(3)
    picture = np.full((60, 90, 3), 70, np.uint8)
    for _ in range(5):
        x, y = rng.integers(0, 70), rng.integers(0, 40)
        picture[y : y + 18, x : x + 18] = rng.integers(0, 255, 3)
    return picture


@pytest.fixture(scope="module")
def model():
    return load("nano", device="cpu")


def test_every_combination_equals_a_run_of_its_own(photo, model):
    comparison = compare(
        photo, model, points_per_side=[3, 4], pred_iou_thresh=[0.0, 0.6], stability_score_thresh=0.3
    )
    assert len(comparison.settings) == 4
    for setting in comparison.settings:
        expected = em.AutomaticMaskGenerator(model, **setting.options).generate(photo)
        assert [m.rle for m in setting.masks] == [m.rle for m in expected]
    assert comparison.per_row == 1
    assert {row["points_per_side"] for row in comparison.table} == {3, 4}


def test_settings_that_ask_the_model_the_same_go_together():
    settings = [
        {"points_per_side": 8, "pred_iou_thresh": 0.5},
        {"points_per_side": 16, "pred_iou_thresh": 0.5},
        {"points_per_side": 8, "pred_iou_thresh": 0.7},
    ]
    assert grouped(settings) == [({"points_per_side": 8}, [0, 2]), ({"points_per_side": 16}, [1])]


def test_thresholds_below_what_findings_keep_are_answered_too(photo, model):
    comparison = compare(photo, model, points_per_side=3, mask_threshold=[-20.0, 0.0])
    expected = em.AutomaticMaskGenerator(model, points_per_side=3, mask_threshold=-20.0).generate(photo)
    assert [m.rle for m in comparison.settings[0].masks] == [m.rle for m in expected]


def test_sheet_table_and_page_are_written(photo, model, tmp_path):
    comparison = compare(photo, model, points_per_side=[2, 3, 4])
    assert comparison.per_row == 3
    paths = comparison.save(tmp_path / "out")
    assert [path.name for path in paths] == ["sheet.png", "table.csv", "index.html"]
    assert em.read_photo(paths[0]).shape[1] > 3 * 90
    rows = list(csv.DictReader(paths[1].read_text("utf-8").splitlines()))
    assert [row["points_per_side"] for row in rows] == ["2", "3", "4"]
    assert int(rows[0]["masks"]) == len(comparison.settings[0].masks)
    page = paths[2].read_text("utf-8")
    assert page.count("data:image/png;base64,") == 3
    assert not re.search(r"https?://|src=\"[^d]", page)


def test_wrong_options_are_said_before_the_model_is_asked(photo, model):
    with pytest.raises(OptionError, match="pred_iou_thresh must be between 0 and 1, got 7"):
        compare(photo, model, points_per_side=[2], pred_iou_thresh=[0.5, 7])
    with pytest.raises(OptionError, match=r"did you mean points_per_side\?"):
        compare(photo, model, points_per_sid=[2])
    with pytest.raises(OptionError, match="needs at least one value, got none"):
        compare(photo, model, points_per_side=[])
    values = [n / 20 for n in range(11)]
    with pytest.raises(OptionError, match="121 combinations are more than a sheet can show"):
        compare(photo, model, pred_iou_thresh=values, stability_score_thresh=values)
