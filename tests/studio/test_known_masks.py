"""Masks that are there before the first click: of every format that is read, named or beside the photo."""

from __future__ import annotations

from pathlib import Path

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
    write_file,
)
from everymask.studio.known_masks import known_masks

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


def test_what_merely_lies_beside_a_photo_is_left_alone(tmp_path: Path):
    photos = [photo(tmp_path / "cat.jpg")]
    (tmp_path / "cat.txt").write_text("a cat on a mat\n", encoding="utf-8")
    (tmp_path / "cat.json").write_text("{", encoding="utf-8")
    (tmp_path / "cat").mkdir()
    assert known_masks(photos, []) == {}
