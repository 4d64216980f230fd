"""everymask predict: what the flags say about which object, and what comes out."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from everymask import formats
from everymask.cli import main as cli
from everymask.cli.predict.prompts import read_object_prompts
from everymask.cli.shared import downloads
from everymask.cli.shared.rough_masks import read_rough_mask
from everymask.errors import PromptError
from tests.fakes import FakeModel


def run(*words: str) -> int:
    return cli.run(list(words))


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """A photo of 64 x 64 pixels in the present folder, and the fake model in place of a real one."""
    monkeypatch.setattr(downloads, "load_visibly", lambda model, device: FakeModel("sam2"))
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64), (90, 120, 30)).save("photo.png")
    return tmp_path


def found(folder, name="coco.json"):
    return formats.read_masks(folder / "out" / name)


def test_one_click_gives_the_best_of_three_masks(photo, capsys):
    assert run("predict", "photo.png", "--point", "20,30") == 0
    (mask,) = found(photo)
    assert mask.segmentation[30, 20]
    assert not mask.segmentation[50, 50]
    assert mask.predicted_iou == pytest.approx(0.9)
    assert mask.point_coords == ((20.0, 30.0),)
    assert (photo / "out" / "overlay" / "photo.jpg").exists()
    said = capsys.readouterr()
    assert said.out == ""
    assert "object 1: " in said.err


def test_multimask_writes_all_candidates_best_first(photo):
    assert run("predict", "photo.png", "-p", "20,30", "--multimask", "--format", "coco") == 0
    scores = [mask.predicted_iou for mask in found(photo)]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)


def test_points_and_a_box_speak_of_one_object(photo):
    assert run("predict", "photo.png", "-p", "20,30", "-p", "25,30,0", "-b", "10,20,30,40") == 0
    assert len(found(photo)) == 1


def test_clicks_are_asked_one_by_one_and_a_click_not_obeyed_is_said(photo, capsys):
    """The fake's mask is a disc around each click on the object, added to the answer before."""
    assert run("predict", "photo.png", "-p", "20,30", "-p", "60,60,0", "-p", "20,31,0", "-f", "coco") == 0
    said = capsys.readouterr().err
    assert "warning: object 1 does not obey the click 20,31,0: it still holds that place; click once" in said
    assert "60,60" not in said


def test_several_boxes_are_several_objects(photo):
    assert run("predict", "photo.png", "-b", "2,2,20,20", "-b", "40,40,60,60", "--format", "sa1b") == 0
    first, second = formats.read_masks(photo / "out" / "sa1b" / "photo.json")
    assert first.segmentation[10, 10]
    assert not first.segmentation[50, 50]
    assert second.segmentation[50, 50]


def test_ids_say_which_object_is_meant(photo):
    assert run("predict", "photo.png", "-p", "10,10@cup", "-p", "50,50@2", "--format", "labelme") == 0
    masks = formats.read_masks(photo / "out" / "labelme" / "photo.json")
    assert [mask.label for mask in masks] == ["object cup", "object 2"]


def test_a_mask_from_a_file_is_a_prompt(photo):
    pixels = np.zeros((64, 64), dtype=np.uint8)
    pixels[10:30, 10:30] = 1
    Image.fromarray(pixels).save("rough.png")
    assert run("predict", "photo.png", "--mask", "rough.png") == 0
    assert found(photo)[0].segmentation[20, 20]


def test_json_goes_to_stdout(photo, capsys):
    assert run("predict", "photo.png", "-p", "20,30", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["masks"][0]["object"] == "object 1"
    assert facts["written"] == ["out/overlay/photo.jpg", "out/coco.json"]


def test_what_predict_wrote_the_next_predict_replaces(photo):
    assert run("predict", "photo.png", "-p", "20,30", "--cutouts", "-f", "coco") == 0
    assert run("predict", "photo.png", "-p", "40,30", "--cutouts", "-f", "coco") == 0
    assert found(photo)[0].segmentation[30, 40]
    assert [path.name for path in (photo / "out" / "cutouts" / "photo").iterdir()] == ["1.png"]


def test_files_of_others_and_files_changed_since_are_not_replaced_unasked(photo, capsys, monkeypatch):
    run("predict", "photo.png", "-p", "20,30")
    (photo / "out" / "coco.json").write_text("changed")
    with monkeypatch.context() as patch:
        patch.setattr("everymask.cli.predict.command.ask", None)  # said before the model is even loaded
        assert run("predict", "photo.png", "-p", "20,30") == 2
        said = capsys.readouterr().err
        assert "out/coco.json is there already; pass --overwrite to replace it" in said
        assert run("predict", "photo.png", "-p", "200,30") == 2
        said = capsys.readouterr().err
        assert "outside" in said, "what is wrong with the input is said first"
        assert said.endswith("; points are (x, y) in photo pixels\n"), "not what only Python can do"
    assert (photo / "out" / "coco.json").read_text() == "changed"
    assert run("predict", "photo.png", "-p", "20,30", "--overwrite") == 0


def test_the_second_time_a_photo_is_not_encoded_again(photo, monkeypatch):
    models = []
    monkeypatch.setattr(
        downloads, "load_visibly", lambda model, device: models.append(FakeModel("sam2")) or models[-1]
    )
    for point in ("20,30", "40,30"):
        assert run("predict", "photo.png", "-p", point, "-f", "coco") == 0
    assert [model.encoded_batches for model in models] == [[1], []]
    monkeypatch.setenv("EVERYMASK_FEATURE_CACHE", "0")
    assert run("predict", "photo.png", "-p", "20,30", "-f", "coco") == 0
    assert models[-1].encoded_batches == [1]


def test_objects_get_the_names_they_are_given(photo):
    words = ("-p", "10,10@1=big dog", "-p", "50,50@2", "-p", "30,30@3", "--label", "cat", "--label", "cup@3")
    assert run("predict", "photo.png", *words, "--overlay", "--labels", "-f", "labelme") == 2
    words = (*words[:6], "--label", "cat@2", "--label", "cup@3")
    assert run("predict", "photo.png", *words, "--overlay", "--labels", "-f", "labelme") == 0
    masks = formats.read_masks(photo / "out" / "labelme" / "photo.json")
    assert [mask.label for mask in masks] == ["big dog", "cat", "cup"]


def test_filters_are_those_of_mask_sets_and_an_empty_result_is_said(photo, capsys):
    words = ("predict", "photo.png", "-p", "20,30", "--multimask", "-f", "coco")
    assert run(*words, "--top", "1", "--sort", "area:asc") == 0
    assert len(found(photo)) == 1
    assert run(*words, "--min-score", "0.99") == 0
    assert len(found(photo)) == 0
    assert "warning: none of 3 masks is left by --min-score 0.99; loosen it" in capsys.readouterr().err
    assert run(*words, "--sort", "colour") == 2
    assert "--sort must be area, score or stability" in capsys.readouterr().err


def test_candidates_are_drawn_side_by_side(photo):
    assert run("predict", "photo.png", "-p", "20,30", "--multimask", "--overlay") == 0
    with Image.open(photo / "out" / "overlay" / "photo.jpg") as picture:
        assert picture.width > 3 * 64
        assert picture.height < 2 * 64


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing is asked for; give --point X,Y or --box X0,Y0,X1,Y1 or --mask FILE"),
        (["-p", "1"], "--point must be X,Y or X,Y,0|1 in pixels, got '1'"),
        (["-p", "1,x"], "--point must be X,Y or X,Y,0|1 in pixels, got '1,x'"),
        (["-p", "1,2,3"], "the third number of --point is 1 (object) or 0 (not), got '1,2,3'"),
        (["-b", "1,2,3"], "--box must be X0,Y0,X1,Y1 in pixels, got '1,2,3'"),
        (["-b", "1,2,3,4@1", "-b", "5,6,7,8@1"], "object 1 has two boxes; give each object one"),
        (
            ["-b", "1,2,3,4", "-b", "5,6,7,8", "-p", "1,1"],
            "with 2 boxes a point or mask must say whose it is",
        ),
        (["-p", "100,10"], "outside"),
        (["--mask", "none.png"], "there is no picture at 'none.png'"),
    ],
)
def test_wrong_prompts_are_one_line_and_status_2(photo, capsys, words, message):
    assert run("predict", "photo.png", *words) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1


def test_a_missing_photo_is_one_line(photo, capsys):
    assert run("predict", "none.png", "-p", "1,1") == 2
    assert capsys.readouterr().err == "error: there is no picture at 'none.png'\n"


def test_boxes_count_as_objects_for_points_with_ids():
    prompts = read_object_prompts(["5,5@2"], ["0,0,4,4", "3,3,9,9"], [])
    assert prompts["1"].points == []
    assert prompts["2"].points == [(5.0, 5.0)]
    assert prompts["2"].box == [3, 3, 9, 9]


DISC = (np.indices((60, 80)) - np.array([[[30]], [[40]]])).astype(float)
DISC = np.hypot(*DISC) < 20


@pytest.mark.parametrize(
    ("pixels", "suffix"),
    [
        (DISC * np.uint8(255), ".png"),
        (DISC, ".png"),
        (DISC * np.uint8(1), ".png"),
        (DISC * np.uint16(3), ".png"),
        (DISC * np.uint16(65535), ".tif"),
        (DISC * np.float32(1), ".tif"),
        (DISC * np.uint8(255), ".jpg"),
        (DISC[..., None] * np.array([200, 30, 0], np.uint8), ".png"),
        (cv2.GaussianBlur(DISC * np.uint8(255), (0, 0), 1.5), ".png"),
        (np.dstack([np.full((60, 80, 3), 90, np.uint8), DISC * np.uint8(255)]), ".png"),
    ],
    ids=["grey", "bool", "one", "three", "deep", "float", "jpeg", "red", "soft", "transparent"],
)
def test_a_picture_that_shows_a_mask_is_read_as_it(tmp_path, pixels, suffix):
    Image.fromarray(pixels).save(tmp_path / f"mask{suffix}")
    read = read_rough_mask(tmp_path / f"mask{suffix}", (60, 80))
    assert (read != DISC).sum() <= (12 if suffix == ".jpg" or len(np.unique(pixels)) > 100 else 0)


RAMP = np.tile(np.arange(80, dtype=np.uint8) * 3, (60, 1))


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.where(DISC, np.uint8(200), np.uint8(30)), "has no black: its values are 30 to 200; a mask"),
        (RAMP, "holds several values or colours between black and 237, as a photo or a label map has them"),
        (DISC + np.uint8(2) * (RAMP > 200), "holds several values or colours between black and 2"),
        (
            DISC[..., None] * np.where(RAMP[..., None] < 120, [255, 0, 0], [0, 255, 0]).astype(np.uint8),
            "holds several values or colours between black and 255",
        ),
        (np.where(DISC, np.float32(1), np.float32(np.nan)), "holds NaN or infinity"),
    ],
    ids=["no-black", "ramp", "label-map", "two-colours", "nan"],
)
def test_a_picture_that_shows_no_mask_is_refused(tmp_path, pixels, words):
    Image.fromarray(pixels).save(tmp_path / "mask.tif")
    with pytest.raises(PromptError, match=re.escape(words)) as told:
        read_rough_mask(tmp_path / "mask.tif", (60, 80))
    assert str(told.value).startswith(f"--mask {tmp_path / 'mask.tif'} ")


def test_a_rough_mask_must_be_one_and_fit(tmp_path):
    Image.new("L", (4, 3), 255).save(tmp_path / "mask.png")
    with pytest.raises(PromptError, match=r"is 4 x 3, the photo 9 x 8"):
        read_rough_mask(tmp_path / "mask.png", (8, 9))
    (tmp_path / "mask.json").write_text("[]")
    with pytest.raises(PromptError, match="must hold one mask, it holds 0"):
        read_rough_mask(tmp_path / "mask.json", (8, 9))
