"""``everymask why``."""

import json

import numpy as np
import pytest
from PIL import Image

from everymask.cli.main import run
from everymask.cli.why import distinct, lines, read_place
from everymask.errors import PromptError
from everymask.everything.why import Reason


@pytest.fixture
def photo(tmp_path):
    pixels = np.full((60, 80, 3), 60, np.uint8)
    pixels[20:45, 30:60] = (200, 60, 40)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def test_reasons_picture_and_findings(photo, tmp_path, capsys):
    kept, picture = tmp_path / "photo.findings", tmp_path / "why.png"
    options = ["--points-per-side", "4", "--findings", str(kept), "--device", "cpu"]
    assert run(["why", str(photo), "45,30", "2,2", "--picture", str(picture), *options]) == 0
    first = capsys.readouterr().out
    assert first.startswith("(45, 30): in ")
    assert "\n  1. " in first
    assert "\n(2, 2): " in first
    with Image.open(picture) as drawn:
        assert drawn.width > 400
    # The second time nothing is asked of the model: the findings are there.
    assert run(["why", str(photo), "45,30", "2,2", *options]) == 0
    assert capsys.readouterr().out == first
    assert run(["why", str(photo), "45,30", "--json", "--pred-iou-thresh", "1", *options]) == 0
    facts = json.loads(capsys.readouterr().out)[0]["candidates"]
    assert {each["rule"] for each in facts} == {"pred_iou_thresh"}
    assert all(each["remedy"]["changes"]["pred_iou_thresh"] < 1 for each in facts)
    assert all(each["text"].endswith("needs more than 1.00") for each in facts)


def test_findings_of_other_points_are_refused(photo, tmp_path, capsys):
    kept = ["--findings", str(tmp_path / "a.findings"), "--device", "cpu"]
    assert run(["why", str(photo), "45,30", "--points-per-side", "2", *kept]) == 0
    assert run(["why", str(photo), "45,30", "--points-per-side", "3", *kept]) == 2
    said = capsys.readouterr().err
    assert "points_per_side decides what the model is asked" in said
    assert "name another file" in said


def test_places_that_are_none_are_refused(photo, capsys):
    with pytest.raises(PromptError, match="X,Y in pixels, got '3'"):
        read_place("3")
    assert run(["why", str(photo), "300,5", "--points-per-side", "1", "--device", "cpu"]) == 2
    assert "a place must lie in the photo" in capsys.readouterr().err


def test_candidates_like_one_listed_are_counted_not_listed():
    def reason(number, box, mask=None):
        return Reason(number, mask, (0, 0), (0, 0, 9, 9), box, 0.5, 0.5, "kept", 0, 0, "", lambda: None)

    one, like = reason(1, (0, 0, 10, 10)), reason(2, (0, 0, 10, 9))
    other, mask = reason(3, (0, 0, 4, 4)), reason(4, (0, 0, 10, 9), mask=2)
    assert distinct([one, like, other, mask]) == [(one, 1), (other, 0), (mask, 0)]
    assert distinct([]) == []
    assert lines((1, 2), [], [])[0].startswith("(1, 2): no candidate holds this place or comes near it")


def test_a_place_where_a_raster_has_no_data_says_so(tmp_path, capsys):
    rasterio = pytest.importorskip("rasterio")
    bands = np.full((3, 60, 80), 90, np.uint8)
    bands[:, 20:45, 10:30] = np.array([200, 60, 40])[:, None, None]
    bands[:, :, 40:] = 0
    path = tmp_path / "field.tif"
    profile = {"driver": "GTiff", "count": 3, "height": 60, "width": 80, "dtype": "uint8", "nodata": 0}
    profile["transform"] = rasterio.Affine(10, 0, 500_000, 0, -10, 5_400_000)
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(bands)
    options = ["--points-per-side", "4", "--device", "cpu"]
    assert run(["why", str(path), "60,30", "20,30", *options]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == (
        "(60, 30): the photo has no data here (nodata): nothing is asked, and no mask has this pixel"
    )
    assert said[1].startswith("(20, 30): ")
    assert run(["why", str(path), "60,30", "--json", *options]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told == {"place": [60.0, 30.0], "data": False, "candidates": []}
