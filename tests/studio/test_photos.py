"""Photos as the studio shows them: tiles, contrast of deep files, pages, what is kept in memory."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from everymask import InputError
from everymask.studio.photos import Kept, Picture, levels_of
from tests.fakes import FakeModel
from tests.studio.harness import running


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_tiles_of_a_level_cover_the_photo_once():
    picture = Picture(np.full((700, 1300, 3), 90, np.uint8))
    assert picture.levels == 3
    widths = [decoded(picture.tile(0, column, 0)).shape[1] for column in range(3)]
    heights = [decoded(picture.tile(0, 0, row)).shape[0] for row in range(2)]
    assert (widths, heights) == ([512, 512, 276], [512, 188])
    assert decoded(picture.tile(1, 1, 0)).shape == (350, 138, 3)
    assert decoded(picture.tile(2, 0, 0)).shape == (175, 325, 3)
    with pytest.raises(InputError, match="has no tile 3, 0"):
        picture.tile(0, 3, 0)


def test_a_hundred_megapixels_need_few_tiles_to_be_seen_whole():
    assert levels_of((10_000, 10_000)) == 6  # 1, 2, 4, ... until 512: the last one is one tile
    side = 10_000
    for _ in range(5):
        side = (side + 1) // 2
    assert side <= 512


def test_kept_values_go_by_age_of_use_and_the_last_one_stays():
    kept: Kept[str] = Kept(5, len)
    kept.put("a", "11")
    kept.put("b", "22")
    assert kept.get("a") == "11"
    kept.put("c", "33")
    assert ["a" in kept, "b" in kept, "c" in kept] == [True, False, True]
    kept.put("d", "too much by far")
    assert ["a" in kept, "c" in kept, "d" in kept] == [False, False, True]


def test_contrast_of_a_deep_file_is_chosen_and_told(tmp_path):
    ramp = np.linspace(1000, 5000, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    with running(tmp_path, FakeModel("sam2")) as studio:
        depth = studio.get("/api/photos/1/depth")
        assert (depth["dtype"], depth["low"], depth["high"]) == ("uint16", 1000.0, 5000.0)
        assert sum(depth["histogram"]) == 64 * 64

        def darkest_and_brightest() -> list[int]:
            tile = decoded(studio.client.get("/api/photos/1/tiles/0/0/0").content)
            return [int(tile.min()), int(tile.max())]

        studio.get("/api/photos/1")
        answer = studio.client.put("/api/photos/1/view", json={"range": [0, 10000]})
        assert answer.status_code == 200
        assert darkest_and_brightest() == pytest.approx([25, 128], abs=3)
        assert studio.client.put("/api/photos/1/view", json={"range": [5, 5]}).status_code == 422
        assert darkest_and_brightest() == pytest.approx([25, 128], abs=3)


def test_pages_of_a_tiff_are_turned_and_one_of_another_size_is_refused(tmp_path):
    pages = [Image.fromarray(np.full((20, 30), value, np.uint8)) for value in (50, 200)]
    pages.append(Image.fromarray(np.zeros((9, 9), np.uint8)))
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    with running(tmp_path, FakeModel("sam2")) as studio:
        facts = studio.get("/api/photos/1")
        assert (facts["view"]["page"], facts["document"]["size"]) == (0, [20, 30])
        assert studio.get("/api/photos/1/depth")["pages"] == 3
        assert studio.client.put("/api/photos/1/view", json={"page": 1}).status_code == 200
        tile = decoded(studio.client.get("/api/photos/1/tiles/0/0/0").content)
        assert int(tile.mean()) == 200
        refused = studio.client.put("/api/photos/1/view", json={"page": 2})
        assert refused.status_code == 422
        assert "this page is of (9, 9) pixels" in refused.json()["error"]


def test_an_outline_without_tolerance_gives_the_pixels_back(tmp_path):
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "a.png")
    with running(tmp_path, FakeModel("sam2")) as studio:
        studio.act(1, type="brush", points=[[20, 20]], radius=9)
        studio.act(1, type="brush", mask=1, points=[[20, 20]], radius=4, erase=True)
        before = studio.masks(1)[0]["counts"]
        exact = studio.get("/api/photos/1/masks/1/outline")
        assert len(exact) == 2
        studio.act(1, type="polygon", mask=1, rings=exact)
        assert studio.masks(1)[0]["counts"] == before
        rough = studio.get("/api/photos/1/masks/1/outline?detail=2")
        assert sum(map(len, rough)) < sum(map(len, exact)) / 2
        assert studio.client.get("/api/photos/1/masks/9/outline").status_code == 404


def test_a_raster_shows_where_it_has_no_data_and_masks_leave_it_out(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    values = np.full((3, 120, 160), 900, np.uint16)
    values[:, 40:80, 20:60] = 3000
    values[:, :, 100:] = 65535
    profile = {"driver": "GTiff", "count": 3, "height": 120, "width": 160, "dtype": "uint16", "nodata": 65535}
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine.scale(10, -10)}
    with rasterio.open(tmp_path / "map.tif", "w", **place, **profile) as file:
        file.write(values)
    with running(tmp_path, FakeModel("sam2")) as studio:
        assert studio.get("/api/photos/1/depth")["nodata"] == pytest.approx(60 / 160)
        tile = decoded(studio.client.get("/api/photos/1/tiles/0/0/0").content).astype(int)
        without = tile[:, 104:]
        assert without.min() > 15  # hatched, not the black that the model is given
        assert without.max() < 70
        assert without.std() > 3
        outcome = studio.act(1, type="click", x=98, y=60)
        assert outcome["reply"]["candidates"]
        studio.act(1, type="accept")
        (mask,) = studio.masks(1)
        left, _, width, _ = mask["bbox"]
        assert left < 98 < 99 == left + width  # the disc around the click ends where data ends


def test_the_page_and_contrast_of_a_photo_are_there_again(tmp_path):
    pages = [Image.fromarray(np.full((20, 30), value, np.uint8)) for value in (50, 200)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    view = {"page": 1, "range": [0.0, 250.0]}
    with running(tmp_path, FakeModel("sam2")) as studio:
        studio.get("/api/photos/1")
        assert studio.client.put("/api/photos/1/view", json=view).status_code == 200
    with running(tmp_path, FakeModel("sam2")) as studio:
        assert studio.get("/api/photos/1")["view"] == view


def test_large_photos_open_without_a_warning_and_too_large_ones_say_so(tmp_path, monkeypatch):
    pixels = np.zeros((200, 300, 3), np.uint8)
    for name in ("a.tif", "b.jpg"):
        Image.fromarray(pixels).save(tmp_path / name)
    with running(tmp_path, FakeModel("sam2")) as studio:
        paths = [f"/api/photos/{photo}{what}" for photo in (1, 2) for what in ("", "/depth", "/thumbnail")]
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40_000)  # Pillow warns from here on
        assert [studio.client.get(path).status_code for path in paths] == [200] * 6
    with running(tmp_path, FakeModel("sam2"), project=tmp_path / "other.db") as studio:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
        answers = [studio.client.get(path) for path in paths]
        assert {answer.status_code for answer in answers} == {422}
        assert "more than the 2,000 pixels that are decoded from one file" in answers[0].json()["error"]
