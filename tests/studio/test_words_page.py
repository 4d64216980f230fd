"""Words in the studio: found masks get their names, and what is selected can be taken out of the photo."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import everymask as em
from tests.fakes import FakeModel
from tests.studio.harness import Studio, running
from tests.studio.page import Page
from tests.studio.scene import disk_mask, make_folder

PHOTO = Path(em.__file__).parent / "assets" / "photo.jpg"


@pytest.fixture
def kitchen(tmp_path: Path, model: em.PromptableModel) -> Iterator[Studio]:
    shutil.copyfile(PHOTO, tmp_path / "kitchen.jpg")
    with running(tmp_path, model) as studio:
        yield studio


def test_words_find_and_the_selected_is_erased(browser: Any, kitchen: Studio):
    page = Page(browser, kitchen)
    page.tab.fill("[aria-label='Words for what to find']", "food")
    page.tab.keyboard.press("Enter")
    page.until("state.photo.masks.size > 0 && state.selected.size > 0")
    assert {mask["label"] for mask in kitchen.masks(1)} == {"food"}
    page.shot("found")
    page.tab.get_by_role("button", name="Erase the selected from the photo").click()
    shown = page.tab.locator("#erased img")
    shown.wait_for()
    for _ in range(100):
        if shown.evaluate("(image) => image.complete && image.naturalWidth > 0"):
            break
        page.tab.wait_for_timeout(50)
    page.shot("erased")
    with page.tab.expect_download() as download:
        page.tab.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "kitchen-erased.png"
    before = em.read_photo(PHOTO)
    after = np.asarray(Image.open(download.value.path()))
    assert after.shape == before.shape
    hole = np.any([mask.segmentation for mask in em_masks(kitchen)], axis=0)
    assert (after[hole] != before[hole]).any(axis=1).mean() > 0.5
    page.context.close()
    assert page.troubles == []
    assert page.foreign == []


def em_masks(studio: Studio) -> list[em.Mask]:
    """The masks of the photo."""
    size = studio.get("/api/photos/1")["document"]["size"]
    return [em.Mask({"size": size, "counts": mask["counts"]}) for mask in studio.masks(1)]


def test_erasing_keeps_the_depth_of_the_file_and_refuses_unknown_masks(tmp_path: Path):
    folder = make_folder(tmp_path / "photos", ("a.png",))
    deep = np.asarray(Image.open(folder / "a.png").convert("L")).astype(np.uint16) * 200
    Image.fromarray(deep).save(folder / "a.png")
    with running(folder, FakeModel("sam2")) as studio:
        x0, y0, x1, y1 = 30, 60, 150, 180
        studio.act(1, type="polygon", rings=[[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]])
        made = studio.client.post("/api/photos/1/erase", json={"masks": [1], "grow": 0}).json()
        content = studio.client.get(f"/api/erased/{made['id']}").content
        after = np.asarray(Image.open(io.BytesIO(content)))
        assert after.dtype == np.uint16 or after.max() > 255
        outside = np.ones(deep.shape, bool)
        outside[y0:y1, x0:x1] = False
        assert np.array_equal(after[outside], deep[outside])
        assert not np.array_equal(after[disk_mask()], deep[disk_mask()])
        assert studio.client.get(f"/api/erased/{made['id']}/preview").headers["content-type"] == "image/jpeg"
        assert studio.client.post("/api/photos/1/erase", json={"masks": [9]}).status_code == 404
        assert studio.client.get("/api/erased/77").status_code == 404
        assert studio.client.post("/api/photos/1/find", json={"words": " . "}).status_code == 422
