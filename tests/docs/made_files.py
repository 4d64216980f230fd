"""The files that the cookbook's jobs are about: small ones, made here."""

import json
from pathlib import Path

import cv2
import numpy as np
import rasterio
from PIL import Image

from everymask.maskset import Mask, MaskSet
from tests.docs.pages import ROOT


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


def make_files(folder: Path) -> None:
    """Put photos, a 16-bit picture, a GeoTIFF, a clip and photos with masks into a folder."""
    (folder / "photos").mkdir()
    photo = Image.open(ROOT / "everymask/assets/photo.jpg")
    photo.save(folder / "photos/a.jpg")
    photo.save(folder / "shop.jpg")
    picture, _ = discs(0)
    cv2.imwrite(str(folder / "cells.tif"), picture.astype(np.uint16) * 16)
    place = rasterio.Affine(10, 0, 500_000, 0, -10, 5_400_000)
    with rasterio.open(
        folder / "field.tif", "w", "GTiff", 96, 96, 3, crs="EPSG:32633", dtype="uint8", transform=place
    ) as file:
        file.write(np.stack([picture] * 3))
    writer = cv2.VideoWriter(str(folder / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (160, 120))
    for frame in range(4):
        shown = np.full((120, 160, 3), 40, np.uint8)
        cv2.circle(shown, (40 + 4 * frame, 60), 15, (30, 200, 240), -1)
        writer.write(shown)
    writer.release()
    (folder / "slides").mkdir()
    images, annotations = [], []
    for number in range(1, 3):
        picture, masks = discs(number)
        Image.fromarray(picture).convert("RGB").save(folder / f"slides/s{number}.png")
        images.append({"id": number, "file_name": f"s{number}.png", "height": 96, "width": 96})
        known = MaskSet([Mask.from_segmentation(mask) for mask in masks])
        annotations += known.to_coco(image_id=number, first_id=len(annotations) + 1)
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cell"}]}
    (folder / "slides/annotations.json").write_text(json.dumps(content), "utf-8")
