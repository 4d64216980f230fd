"""A folder for YOLO trainers: split by name, the same from run to run, found from anywhere."""

import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from everymask import formats
from everymask.cli import main as cli
from everymask.errors import FormatError, OptionError
from everymask.formats.yolo_folder import YoloFolder
from everymask.maskset import Mask, MaskSet


@pytest.fixture
def annotated(tmp_path, monkeypatch):
    """Thirty photos and their masks in one COCO file; the present folder is theirs."""
    (tmp_path / "in/sub").mkdir(parents=True)
    photos = []
    for number in range(30):
        name = f"{'sub/' if number % 3 == 0 else ''}photo{number}.jpg"
        Image.new("RGB", (30, 20), (number, 0, 0)).save(tmp_path / "in" / name)
        pixels = np.zeros((20, 30), bool)
        pixels[5:10, number % 20 : number % 20 + 6] = True
        label = "cat" if number % 2 else "dog"
        photos.append(formats.PhotoMasks(name, MaskSet([Mask.from_segmentation(pixels, label=label)])))
    options = formats.WriteOptions(formats.categories_of(photos))
    formats.write_file(formats.find_format("coco"), tmp_path / "coco.json", photos, options)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def convert(*words):
    return cli.run(["convert", "coco.json", "-f", "yolo", "--photos", "in", *words])


def files(folder, side):
    return {
        path.relative_to(folder / side).with_suffix("").as_posix() for path in folder.rglob(f"{side}/**/*.*")
    }


def test_photos_and_labels_lie_on_the_same_side_and_nothing_on_both(annotated):
    assert convert("--val", "0.3", "-o", "out") == 0
    out = annotated / "out/yolo"
    sides = {side: files(out / "images", side) for side in ("train", "val")}
    assert sides == {side: files(out / "labels", side) for side in ("train", "val")}
    assert not sides["train"] & sides["val"]
    assert len(sides["train"] | sides["val"]) == 30
    assert 4 <= len(sides["val"]) <= 15
    content = yaml.safe_load((out / "data.yaml").read_text())
    assert content == {"train": "images/train", "val": "images/val", "nc": 2, "names": {0: "cat", 1: "dog"}}


def test_a_photo_stays_on_its_side_whatever_others_come():
    few, more = YoloFolder(Path("a"), 0.2), YoloFolder(Path("b"), 0.4)
    names = [f"photo{number}" for number in range(500)]
    val = {name for name in names if few.side(name) == "val"}
    assert 70 < len(val) < 130
    assert val <= {name for name in names if more.side(name) == "val"}


def test_supervision_reads_both_sides_and_finds_the_photos_from_anywhere(annotated, monkeypatch):
    sv = pytest.importorskip("supervision")
    assert convert("--val", "0.3", "-o", "out") == 0
    out = annotated / "out/yolo"
    monkeypatch.chdir(os.sep)
    content = yaml.safe_load((out / "data.yaml").read_text())
    found = 0
    for side in ("train", "val"):
        # a trainer takes the folder of pictures from the file's own folder and swaps "images" for "labels"
        images = out / content[side]
        data = sv.DetectionDataset.from_yolo(
            images_directory_path=str(images),
            annotations_directory_path=str(images).replace("/images/", "/labels/"),
            data_yaml_path=str(out / "data.yaml"),
            force_masks=True,
        )
        for path, _, detections in data:
            number = int(Path(path).stem.removeprefix("photo"))
            assert data.classes[detections.class_id[0]] == ("cat" if number % 2 else "dog")
            assert detections.mask.sum() == 30
            found += 1
    assert found == len(list(out.glob("images/*/*.jpg")))


def test_another_share_moves_photos_and_leaves_none_behind(annotated):
    assert convert("--val", "0.2", "-o", "out") == 0
    assert convert("--val", "0.6", "-o", "out", "--overwrite") == 0
    out = annotated / "out/yolo"
    for kind in ("images", "labels"):
        assert len([path for path in (out / kind).rglob("*.*") if path.is_file()]) == 30
    back = {}
    assert cli.run(["convert", "out/yolo", "-f", "coco", "-o", "back"]) == 0
    back = formats.read_photos("back/coco.json")
    assert len(back) == 30
    assert {mask.label for photo in back for mask in photo.masks} == {"cat", "dog"}


NAMES = {
    "one photo": ["plain.jpg"],
    "one stem twice": ["a.jpg", "a.png"],
    "dots and spaces": ["x.y.jpg", "x y.jpg", "x.jpg"],
    "in folders": ["a.jpg", "sub/a.jpg", "sub/deep/a.jpg"],
    "capitals": ["A.JPG", "b.Png"],
}


@pytest.mark.parametrize("case", NAMES)
def test_a_label_is_called_like_its_photo_wherever_a_trainer_looks(tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    photos = []
    for number, name in enumerate(NAMES[case]):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20), (80 * number, 0, 0)).save(tmp_path / "in" / name)
        pixels = np.zeros((20, 30), bool)
        pixels[5:10, 8 * number : 8 * number + 6] = True
        photos.append(formats.PhotoMasks(name, MaskSet([Mask.from_segmentation(pixels, label="cat")])))
    options = formats.WriteOptions(formats.categories_of(photos))
    formats.write_file(formats.find_format("coco"), tmp_path / "coco.json", photos, options)
    assert convert("-o", "out") == 0
    out = tmp_path / "out/yolo"
    pictures = sorted((out / "images").rglob("*.*"))
    assert len(pictures) == len(NAMES[case])
    for picture in pictures:
        label = (out / "labels" / picture.relative_to(out / "images")).with_suffix(".txt")
        x = float(label.read_text().split()[1]) * 30
        with Image.open(picture) as shown:  # a photo's red says where its mask begins
            assert round(x / 8) == round(shown.getpixel((0, 0))[0] / 80)


def test_a_folder_is_split_or_not(annotated, capsys):
    assert convert("-o", "out") == 0
    assert convert("--val", "0.2", "-o", "out", "--overwrite") == 2
    assert "is not split into training and validation, and this run asks otherwise" in capsys.readouterr().err


def test_with_one_photo_both_sides_are_the_same(tmp_path):
    Image.new("RGB", (4, 3)).save(tmp_path / "a.jpg")
    folder = YoloFolder(tmp_path / "yolo", 0.2)
    folder.put("a", tmp_path / "a.jpg", ["cat"])
    content = yaml.safe_load((tmp_path / "yolo/data.yaml").read_text())
    assert content["train"] == content["val"] == f"images/{folder.side('a')}"


def test_a_data_yaml_of_somebody_else_is_left_alone(tmp_path):
    own = "path: /data/mine\ntrain: images\nval: images\nnames: [cat]\n"
    (tmp_path / "data.yaml").write_text(own)
    YoloFolder(tmp_path).put("a", None, ["cat"])
    assert (tmp_path / "data.yaml").read_text() == own
    with pytest.raises(FormatError, match="already has the classes cat, these masks have dog"):
        YoloFolder(tmp_path).put("a", None, ["dog"])


@pytest.mark.parametrize("share", [1, -0.1, 2])
def test_shares_that_leave_no_photo_to_train_on_are_refused(tmp_path, share, capsys):
    with pytest.raises(OptionError, match="share of photos for validation must be from 0 to below 1"):
        YoloFolder(tmp_path, share)
    assert cli.run(["segment", "x", "-f", "yolo", "--val", str(share)]) == 2
    assert "--val must be a share from 0 to below 1" in capsys.readouterr().err
