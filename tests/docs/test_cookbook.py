"""Every job of the cookbook, run as it stands on made files: small ones, with a coarse grid."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from everymask.cli import main as cli
from everymask.everything import findings, generate
from tests.docs.pages import ROOT, examples
from tests.docs.test_shell_examples import commands

PAGE = "docs/cookbook.md"
NOT_RUN = {"studio", "batch"}  # a server, and Ray: tests/studio and tests/batching run them


def discs(seed: int, size: int = 96) -> tuple[np.ndarray, list[np.ndarray]]:
    """A grey picture uint8 [S, S] with three bright discs, and their masks."""
    rng = np.random.default_rng(seed)
    picture = np.full((size, size), 50, np.uint8) + rng.integers(0, 9, (size, size), np.uint8)
    masks = []
    for x, y in ((24, 24), (70, 30), (40, 72)):
        mask = np.zeros((size, size), np.uint8)
        cv2.circle(mask, (x + int(rng.integers(-4, 4)), y), 12, 1, -1)
        picture[mask > 0] = 190
        masks.append(mask)
    return picture, masks


@pytest.fixture
def files(tmp_path, monkeypatch):
    rasterio = pytest.importorskip("rasterio")
    from everymask.maskset import Mask, MaskSet

    (tmp_path / "photos").mkdir()
    photo = Image.open(ROOT / "everymask/assets/photo.jpg")
    photo.save(tmp_path / "photos/a.jpg")
    photo.save(tmp_path / "shop.jpg")
    picture, _ = discs(0)
    cv2.imwrite(str(tmp_path / "cells.tif"), picture.astype(np.uint16) * 16)
    place = rasterio.Affine(10, 0, 500_000, 0, -10, 5_400_000)
    with rasterio.open(
        tmp_path / "field.tif", "w", "GTiff", 96, 96, 3, crs="EPSG:32633", dtype="uint8", transform=place
    ) as file:
        file.write(np.stack([picture] * 3))
    writer = cv2.VideoWriter(str(tmp_path / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (160, 120))
    for frame in range(4):
        shown = np.full((120, 160, 3), 40, np.uint8)
        cv2.circle(shown, (40 + 4 * frame, 60), 15, (30, 200, 240), -1)
        writer.write(shown)
    writer.release()
    (tmp_path / "slides").mkdir()
    images, annotations = [], []
    for number in range(1, 3):
        picture, masks = discs(number)
        Image.fromarray(picture).convert("RGB").save(tmp_path / f"slides/s{number}.png")
        images.append({"id": number, "file_name": f"s{number}.png", "height": 96, "width": 96})
        known = MaskSet([Mask.from_segmentation(mask) for mask in masks])
        annotations += known.to_coco(image_id=number, first_id=len(annotations) + 1)
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cell"}]}
    (tmp_path / "slides/annotations.json").write_text(json.dumps(content), "utf-8")
    monkeypatch.chdir(tmp_path)
    for module in (generate, findings):
        fine = module.grids
        coarse = lambda options, fine=fine: fine(dataclasses.replace(options, points_per_side=4))  # noqa: E731
        monkeypatch.setattr(module, "grids", coarse)
    return tmp_path


def test_every_job_of_the_cookbook_runs_as_it_stands(files, capsys):
    for words in commands(PAGE):
        if words[0] not in NOT_RUN:
            assert cli.run(words) == 0, f"everymask {' '.join(words)}\n{capsys.readouterr().err}"
    for code in examples(PAGE, "python"):
        exec(compile(code, PAGE, "exec"), {})
    expected = [
        "yolo/yolo/data.yaml",
        "cells/labelmap",
        "transparent/cutouts",
        "white/cutouts",
        "fields/geojson",
        "tuned.toml",
        "tuned.html",
        "without.png",
        "review/label-studio.json",
        "reviewed/coco.json",
        "mine.safetensors",
        "compared/index.html",
        "sizes.csv",
    ]
    assert [name for name in expected if not (files / name).exists()] == []
