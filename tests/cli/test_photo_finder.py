"""Photos that mask files speak of are found however these write their paths, and no other is taken."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from everymask.cli import main as cli
from everymask.cli.shared.photo_finder import PhotoFinder
from everymask.errors import InputError
from everymask.formats import read_photos

SIZES = {"a.png": (30, 40), "train/b.png": (20, 24), "val/b.png": (22, 26), "val/c d.jpg": (18, 14)}


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of photos of different sizes, with what an earlier run drew of them in it."""
    monkeypatch.chdir(tmp_path)
    for name, size in {**SIZES, "out/overlay/a.png": (30, 40), "overlay/c d.jpg": (18, 14)}.items():
        Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(Path("photos", name))
    return Path("photos")


WRITTEN = {
    "a.png": "a.png",
    "a": "a.png",
    "./a.png": "a.png",
    "../elsewhere/a.png": "a.png",
    "/data/me/a.png": "a.png",
    r"C:\Users\me\a.png": "a.png",
    r"\\server\share\a.png": "a.png",
    r"..\train\b.png": "train/b.png",
    r"D:\all\val\b.png": "val/b.png",
    "https://host/files/val/b.png?size=2": "val/b.png",
    "s3://bucket/val/c%20d.jpg": "val/c d.jpg",
    "/data/upload/7/0a1b2c3d-a.png": "a.png",
    "/data/local-files/?d=train%2Fb.png": "train/b.png",
    "/data/local-files/?d=val\\b.png": "val/b.png",
    "c d.png": "val/c d.jpg",
    "nothing.png": None,
    "": None,
}


@pytest.mark.parametrize("written", WRITTEN)
def test_a_photo_is_found_by_whatever_path_a_tool_wrote(photos, written):
    found, size = PhotoFinder(photos).find(written), PhotoFinder(photos).size(written)
    expected = WRITTEN[written]
    assert found == (photos / expected if expected else None)
    assert size == (SIZES[expected] if expected else None)


def test_of_two_photos_of_one_name_the_size_decides_or_the_caller(photos):
    finder = PhotoFinder(photos)
    assert finder.find("b.png") is None
    assert finder.find("b.png", (22, 26)) == photos / "val/b.png"
    with pytest.raises(InputError, match=r"'b.png' may be 2 photos \(.*\); name the folder of the right one"):
        finder.size("b.png")
    assert PhotoFinder(photos / "train").size("b.png") == (20, 24)


RING = [[2, 2], [9, 2], [9, 8]]


def _labelme(name):
    shape = {"label": "a", "points": RING, "shape_type": "polygon"}
    return {"shapes": [shape], "imagePath": name, "imageData": None}


def _label_studio(name):
    value = {"points": [[10, 10], [50, 10], [50, 50]], "polygonlabels": ["a"]}
    return [
        {"data": {"image": name}, "annotations": [{"result": [{"type": "polygonlabels", "value": value}]}]}
    ]


def _coco(name):
    ring = [number for pair in RING for number in pair]
    row = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [ring]}
    return {
        "images": [{"id": 1, "file_name": name}],
        "annotations": [row],
        "categories": [{"id": 1, "name": "a"}],
    }


def _cvat(name):
    ring = ";".join(f"{x},{y}" for x, y in RING)
    return (
        f'<annotations><image id="0" name="{name}"><polygon label="a" points="{ring}"/></image></annotations>'
    )


MADE = {"labelme": _labelme, "label-studio": _label_studio, "coco": _coco, "cvat": _cvat}


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("name", ["a.png", r"C:\x\a.png", "../x/a.png", "/x/a.png"])
def test_a_file_without_sizes_takes_them_from_the_photos_folder(photos, capsys, kind, name):
    content = MADE[kind](name)
    path = Path("other_name.xml" if kind == "cvat" else "other_name.json")
    path.write_text(content if kind == "cvat" else json.dumps(content), "utf-8")
    assert cli.run(["convert", str(path), "-f", "coco", "-o", "without"]) == 1
    said = capsys.readouterr().err
    assert "does not say how large the photo is; give" in said
    assert "--photos FOLDER in the shell" in said
    assert cli.run(["convert", str(path), "-f", "coco", "-o", "with", "--photos", "photos"]) == 0
    (record,) = read_photos("with/coco.json")
    assert (record.photo, record.photo_hw, len(record.masks)) == ("a.png", (30, 40), 1)
    capsys.readouterr()
    assert cli.run(["convert", str(path), "-f", "coco", "-o", "no", "--photos", "photos/train"]) == 1
    assert "no photo of its name is in photos/train, which --photos names" in capsys.readouterr().err


def test_a_labelme_file_speaks_of_the_photo_beside_it(photos):
    for folder in ("train", "val"):
        Path("labels", folder).mkdir(parents=True)
        Path("labels", folder, "b.json").write_text(json.dumps(_labelme("b.png")), "utf-8")
    assert cli.run(["convert", "labels", "-f", "coco", "-o", "out", "--photos", "photos"]) == 0
    found = {record.photo: record.photo_hw for record in read_photos("out/coco.json")}
    assert found == {"train/b.png": (20, 24), "val/b.png": (22, 26)}


def test_photos_are_drawn_themselves_not_what_an_earlier_run_drew(photos):
    Path("a.json").write_text(json.dumps(_coco("a.png")), "utf-8")
    words = ["convert", "a.json", "--overlay", "-f", "coco", "--photos", "photos", "-o", "photos/out"]
    for more in ([], ["--overwrite"]):
        assert cli.run([*words, *more]) == 0
        assert [record.photo for record in read_photos("photos/out/coco.json")] == ["a.png"]
