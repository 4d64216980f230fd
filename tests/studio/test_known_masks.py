"""Masks that are there before the first click: of every format that is read, named or beside the photo."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import everymask as em
from everymask.errors import FormatError
from everymask.formats import (
    FORMATS,
    Format,
    PhotoMasks,
    WriteOptions,
    categories_of,
    find_format,
    save,
    write_file,
)
from everymask.formats.classes import Classes
from everymask.studio.known_masks import known_masks
from tests.fakes import FakeModel
from tests.studio.harness import Studio, running
from tests.studio.page import DROP, Page
from tests.studio.scene import BOX, disk_mask

HEIGHT, WIDTH = 60, 80
NOT_BESIDE = {"labelmap", "labelmap-tiff"}
"""A picture beside a photo is a photo."""


def box(x: int, y: int) -> np.ndarray:
    pixels = np.zeros((HEIGHT, WIDTH), bool)
    pixels[y : y + 20, x : x + 30] = True
    return pixels


BOXES = (box(5, 5), box(40, 30))


def photo(path: Path) -> tuple[Path, str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT), (40, 70, 120)).save(path)
    return path, path.name


def written(folder: Path, format_: Format, stem: str = "cat") -> Path:
    """A file (or folder) with two boxes on the photo ``stem``.jpg."""
    folder.mkdir(parents=True, exist_ok=True)
    masks = em.MaskSet([em.Mask.from_segmentation(each, label="thing") for each in BOXES])
    record = PhotoMasks(f"{stem}.jpg", masks, source=folder / f"{stem}.jpg")
    target = folder / f"{stem}{format_.suffix}"
    write_file(format_, target, [record], WriteOptions(categories_of([record])))
    return target


def is_there(known: dict[str, PhotoMasks], name: str = "cat.jpg") -> bool:
    found = sorted(known[name].masks, key=lambda mask: mask.bbox)
    return len(found) == 2 and all(
        (each.segmentation & own).sum() >= 0.9 * own.sum() for each, own in zip(found, BOXES, strict=True)
    )


@pytest.mark.parametrize("name", FORMATS)
def test_masks_of_every_format_are_loaded(tmp_path: Path, name: str):
    photos = [photo(tmp_path / "photos" / "cat.jpg"), photo(tmp_path / "photos" / "dog.jpg")]
    file = written(tmp_path / "masks", find_format(name))
    for named in (file, file.parent):
        known = known_masks(photos, [named])
        assert list(known) == ["cat.jpg"]
        assert is_there(known)
    written(tmp_path / "photos", find_format(name))
    assert ("cat.jpg" in known_masks(photos, [])) == (name not in NOT_BESIDE)


def test_labels_of_yolo_lie_where_the_trainer_looks(tmp_path: Path):
    photos = [photo(tmp_path / "images" / "val" / "cat.jpg")]
    written(tmp_path / "labels" / "val", find_format("yolo"))
    assert is_there(known_masks(photos, []))


def test_masks_of_no_photo_here_and_of_two_are_refused(tmp_path: Path):
    photos = [photo(tmp_path / name / "cat.jpg") for name in ("left", "right")]
    other = written(tmp_path / "other", find_format("coco"), "bird")
    with pytest.raises(FormatError, match=r"holds masks of bird\.jpg, not of left/cat\.jpg, right/cat\.jpg"):
        known_masks([(path, f"{path.parent.name}/cat.jpg") for path, _ in photos], [other])
    same = written(tmp_path / "same", find_format("labelmap"))
    with pytest.raises(FormatError, match=r"left/cat\.jpg, right/cat\.jpg are called so, open one of them"):
        known_masks([(path, f"{path.parent.name}/cat.jpg") for path, _ in photos], [same])
    (tmp_path / "bare").mkdir()
    with pytest.raises(FormatError, match="no masks to read"):
        known_masks(photos[:1], [tmp_path / "bare"])


@pytest.mark.parametrize(
    "called",
    [
        r"D:\\photos\\cat.jpg",
        "upload/1/0a1b2c3d-cat.jpg",
        "/data/local-files/?d=photos/cat.jpg",
        "s3://b/cat.jpg",
    ],
)
def test_photos_are_found_by_whatever_path_a_tool_wrote(tmp_path: Path, called: str):
    photos = [photo(tmp_path / "cat.jpg"), photo(tmp_path / "dog.jpg")]
    masks = em.MaskSet([em.Mask.from_segmentation(each) for each in BOXES])
    save(masks, tmp_path / "masks.json", "coco", photo=called)
    assert is_there(known_masks(photos, [tmp_path / "masks.json"]))


def test_what_merely_lies_beside_a_photo_is_left_alone(tmp_path: Path):
    photos = [photo(tmp_path / "cat.jpg")]
    (tmp_path / "cat.txt").write_text("a cat on a mat\n", encoding="utf-8")
    (tmp_path / "cat.json").write_text("{", encoding="utf-8")
    (tmp_path / "cat").mkdir()
    assert known_masks(photos, []) == {}


def dropped(studio: Studio, name: str, content: bytes) -> httpx.Response:
    return studio.client.post("/api/masks", params={"name": name}, content=content)


def test_masks_of_a_file_that_is_dropped_join_those_of_its_photos(tmp_path: Path):
    folder = tmp_path / "photos"
    for name in ("cat.jpg", "dog.jpg"):
        photo(folder / name)
    masks = em.MaskSet(
        [em.Mask.from_segmentation(each, label="thing", attributes={"a": 1}) for each in BOXES]
    )
    records = [PhotoMasks(name, masks, classes=Classes({"thing": 7})) for name in ("cat.jpg", "bird.jpg")]
    write_file(find_format("coco"), tmp_path / "all.json", records, WriteOptions(Classes({"thing": 7})))
    with running(folder, FakeModel("sam2")) as studio:
        studio.act(1, type="brush", points=[[60, 50]], radius=5)
        answer = dropped(studio, "all.json", (tmp_path / "all.json").read_bytes())
        assert (answer.status_code, answer.json()["photos"]) == (201, {"1": 2})
        assert [row["name"] for row in answer.json()["classes"]] == ["thing"]
        found = studio.masks(1)
        assert [mask["label"] for mask in found] == [None, "thing", "thing"]
        assert [mask["area"] for mask in found[1:]] == [600, 600]
        assert found[1]["attributes"]["a"] == 1
        yolo = written(tmp_path / "labels", find_format("yolo"), "dog")
        assert dropped(studio, "dog.txt", yolo.read_bytes()).json()["photos"] == {"2": 2}
        version = studio.get("/api/photos/1")["version"]
        assert studio.client.post("/api/photos/1/undo", json={"version": version}).status_code == 200
        assert len(studio.masks(1)) == 1


def test_a_file_that_is_dropped_and_is_of_no_use_says_so_and_changes_nothing(tmp_path: Path):
    photo(tmp_path / "photos" / "cat.jpg")
    bird = written(tmp_path / "other", find_format("coco"), "bird").read_bytes()
    small = tmp_path / "small.json"
    record = PhotoMasks("cat.jpg", em.MaskSet([em.Mask.from_segmentation(np.ones((4, 5), bool))]))
    write_file(find_format("coco"), small, [record], WriteOptions())
    with running(tmp_path / "photos", FakeModel("sam2")) as studio:
        for name, content, why in (
            ("bird.json", bird, "bird.json holds masks of bird.jpg, not of cat.jpg"),
            ("small.json", small.read_bytes(), "was it resized or turned?"),
            ("../broken.json", b"{", "broken.json"),
            ("cat.txt", b"a cat on a mat", "cat.txt"),
        ):
            answer = dropped(studio, name, content)
            assert answer.status_code == 422, name
            assert why in answer.json()["error"]
            assert "everymask-masks-" not in answer.json()["error"]
        assert dropped(studio, "huge.json", b" " * 64_000_001).status_code == 413
        assert studio.masks(1) == []
    kept = [path.name for path in (tmp_path / "photos").iterdir()]
    assert [name for name in kept if "studio" not in name] == ["cat.jpg"]


def test_a_mask_file_dropped_onto_the_page_can_be_clicked_on(browser: Any, studio: Studio, tmp_path: Path):
    masks = em.MaskSet([em.Mask.from_segmentation(disk_mask(), label="disk")])
    masks.save(tmp_path / "a.json", "labelme", photo="a.jpg")
    page = Page(browser, studio)
    content = base64.b64encode((tmp_path / "a.json").read_bytes()).decode()
    page.tab.evaluate(DROP, ["a.json", "application/json", content])
    page.until("state.photo.masks.size === 1 && state.photos[0].masks === 1")
    page.told("1 mask of a.json on 1 photo.")
    page.until("state.classes.some((row) => row.name === 'disk')")
    page.tab.locator(".mask").click()
    page.press("r")
    page.click(*BOX[:2])
    page.press("Enter")
    assert studio.masks(1)[0]["label"] == "disk"
    page.press("Control+z", "Control+z", "Control+z", "Control+z")
    assert studio.masks(1) == []
    page.context.close()
    assert page.troubles == []
