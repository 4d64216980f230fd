"""Class numbers of a file that masks came from: kept in the project, written again by the export."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np

import everymask as em
from everymask.formats import PhotoMasks, WriteOptions, find_format, write_file
from everymask.formats.classes import Classes
from tests.fakes import FakeModel
from tests.studio.harness import Studio, running
from tests.studio.scene import make_folder


def test_class_numbers_of_a_file_come_back_in_the_export(tmp_path: Path):
    folder = make_folder(tmp_path / "photos", ("a.jpg",))
    pixels = np.pad(np.ones((60, 80), bool), ((90, 90), (50, 190)))
    masks = em.MaskSet([em.Mask.from_segmentation(pixels, label="van")])
    classes = Classes({"car": 3, "van": 8, "dog": 18})
    record = PhotoMasks("a.jpg", masks, classes=classes)
    write_file(find_format("coco"), tmp_path / "masks.json", [record], WriteOptions(classes))
    for _ in range(2):  # the second time from the project
        with running(folder, FakeModel("sam2"), masks=[tmp_path / "masks.json"]) as studio:
            assert studio.masks(1)[0]["label"] == "van"
            names = [row["name"] for row in studio.get("/api/session")["classes"]]
            assert names == ["car", "van", "dog"]
            assert exported_numbers(studio) == {"car": 3, "van": 8, "dog": 18}


def exported_numbers(studio: Studio) -> dict[str, int]:
    """Numbers by name in an export as COCO."""
    made = studio.client.post("/api/exports", json={"formats": ["coco"]}).json()
    content = studio.client.get(f"/api/exports/{made['id']}.zip").content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        categories = json.loads(archive.read("coco.json"))["categories"]
    return {each["name"]: each["id"] for each in categories}
