"""Exports over the server: folders that train as they are, and photos that keep apart."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageCms

import everymask as em
from tests.fakes import FakeModel
from tests.studio.harness import Studio, running
from tests.studio.scene import make_folder

NAMES = (*(f"{number:02}.jpg" for number in range(12)), "00.png")
SQUARE = [[20, 20], [120, 20], [120, 120], [20, 120]]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with running(make_folder(tmp_path / "photos", NAMES), FakeModel("sam2")) as studio:
        for photo in range(1, len(NAMES) + 1):
            ring = [[x + photo, y] for x, y in SQUARE]
            studio.act(photo, type="polygon", rings=[ring], label="square")
        yield studio


def exported(studio: Studio, folder: Path, **wanted: object) -> Path:
    """An export, unpacked."""
    made = studio.client.post("/api/exports", json=wanted)
    assert made.status_code == 201, made.text
    content = studio.client.get(f"/api/exports/{made.json()['id']}.zip").content
    zipfile.ZipFile(io.BytesIO(content)).extractall(folder)
    return folder


def stems(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir()}


def test_yolo_keeps_a_share_of_photos_for_validation(studio: Studio, tmp_path: Path):
    folder = exported(studio, tmp_path / "out", formats=["yolo"], val=0.3) / "yolo"
    told = yaml.safe_load((folder / "data.yaml").read_text())
    assert (told["train"], told["val"], told["names"]) == ("images/train", "images/val", {0: "square"})
    train, val = stems(folder / "images" / "train"), stems(folder / "images" / "val")
    assert train
    assert val
    assert not train & val
    assert len(train | val) == len(NAMES)
    assert stems(folder / "labels" / "train") == train
    assert stems(folder / "labels" / "val") == val
    whole = exported(studio, tmp_path / "whole", formats=["yolo"]) / "yolo"
    assert yaml.safe_load((whole / "data.yaml").read_text())["val"] == "images"
    assert len(stems(whole / "labels")) == len(NAMES)
    refused = studio.client.post("/api/exports", json={"formats": ["yolo"], "val": 1})
    assert refused.status_code == 422


def test_pictures_keep_the_colour_profile_of_the_photo(tmp_path: Path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    folder = make_folder(tmp_path / "photos", ("a.png",))
    with Image.open(folder / "a.png") as photo:
        pixels = photo.convert("RGB")
    pixels.save(folder / "a.png", icc_profile=profile)
    with running(folder, FakeModel("sam2")) as studio:
        studio.act(1, type="polygon", rings=[list(SQUARE)])
        made = exported(studio, tmp_path / "out", formats=["labelme"], overlay=True, cutouts=True)
        erased = studio.client.post("/api/photos/1/erase", json={"masks": [1]}).json()
        content = studio.client.get(f"/api/erased/{erased['id']}").content
    pictures = [*made.glob("overlay/*.jpg"), *made.glob("cutouts/*/*.png"), io.BytesIO(content)]
    assert len(pictures) == 3
    for picture in pictures:
        with Image.open(picture) as shown:
            assert shown.info["icc_profile"] == profile


def test_photos_of_one_stem_do_not_overwrite_each_other(studio: Studio, tmp_path: Path):
    folder = exported(studio, tmp_path, formats=["labelme", "yolo"], overlay=True, cutouts=True)
    for place in ("labelme", "yolo/labels", "yolo/images", "overlay", "cutouts"):
        assert len(stems(folder / place)) == len(NAMES), place
    lefts = {
        em.read_masks(path, photo_hw=(240, 320))[0].bbox[0] for path in (folder / "labelme").glob("00*.json")
    }
    photos = [row["name"] for row in studio.get("/api/session")["photos"]]
    assert lefts == {20 + 1 + photos.index(name) for name in ("00.jpg", "00.png")}


def test_cut_outs_have_the_soft_edge_of_the_mask_or_else_of_the_export(studio: Studio, tmp_path: Path):
    studio.act(4, type="feather", masks=[1], px=20)
    studio.act(5, type="polygon", rings=[[[0, 100], [60, 100], [60, 200], [0, 200]]])  # at the photo's border
    made = exported(studio, tmp_path / "out", photos=[3, 4, 5], cutouts=True, feather_px=5)
    stem = {photo: Path(studio.get(f"/api/photos/{photo}")["name"]).stem for photo in (3, 4, 5)}

    def middle_row(photo: int, number: int = 1) -> np.ndarray:
        piece = np.asarray(Image.open(made / "cutouts" / stem[photo] / f"{number}.png"))[..., 3]
        return piece[len(piece) // 2].astype(int)

    def depth(row: np.ndarray) -> int:
        return int((row < 255).argmin())  # where the first pixel is that hides everything

    assert (depth(middle_row(3)), depth(middle_row(4))) == (5, 20)
    assert (np.diff(middle_row(4)[:20]) > 0).all()
    assert middle_row(5, 2)[0] == 255  # where the photo ends there is no edge
    (mask,) = em.read_masks(made / "coco.json", photo=studio.get("/api/photos/4")["name"])
    assert mask.attributes["feather_px"] == 20
