"""everymask segment on scenes: in tiles, resumed by tile, large ones never as a whole."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from PIL import Image

from everymask import formats
from everymask.cli import main as cli
from everymask.cli.segment import command, scenes
from everymask.masks.rle import Rle, decode, encode
from everymask.media import scenes as media_scenes
from everymask.media.photos import read_photo
from everymask.media.scenes import open_scene
from tests.cli.fake_engine import FakeSegmenter

rasterio = pytest.importorskip("rasterio")


class Engine(FakeSegmenter):
    """The stand-in, which knows what pixels have data and can be stopped."""

    stop_at = 0

    def __call__(self, photo, watch, valid=None):
        if self.calls + 1 == Engine.stop_at:
            raise KeyboardInterrupt
        masks = super().__call__(photo, watch)
        assert valid is None or valid.shape == photo.shape[:2]
        return masks


@pytest.fixture
def engines(monkeypatch):
    opened: list[Engine] = []

    def open_segmenter(model, device, options, reading):
        opened.append(Engine(options, reading))
        return opened[-1]

    monkeypatch.setattr(command, "open_segmenter", open_segmenter)
    monkeypatch.setattr(Engine, "stop_at", 0)
    return opened


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """A GeoTIFF of 16 bits with bright blobs, one of them long, and a strip without data."""
    values = np.random.default_rng(0).integers(900, 1100, (3, 160, 240)).astype(np.uint16)
    for x0, y0, x1, y1 in ((10, 10, 20, 18), (60, 50, 72, 66), (100, 100, 110, 108), (20, 130, 230, 140)):
        values[:, y0:y1, x0:x1] = 9000
    values[:, :, 232:] = 0
    profile = {"driver": "GTiff", "count": 3, "height": 160, "width": 240, "dtype": "uint16", "nodata": 0}
    affine = rasterio.Affine(10, 0, 500_000, 0, -10, 5_400_000)
    with rasterio.open(tmp_path / "scene.tif", "w", crs="EPSG:32632", transform=affine, **profile) as file:
        file.write(values)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "scene.tif"


def run(*words):
    return cli.run([str(word) for word in words])


def masks_in(path):
    (record,) = formats.read_photos(path)
    return record


def pixels_of(masks):
    return sorted(mask.segmentation.tobytes() for mask in masks)


def test_a_scene_in_tiles_has_the_masks_of_the_whole_at_its_place_on_the_map(scene, engines, capsys):
    assert run("segment", "scene.tif", "-o", "whole", "-f", "coco") == 0
    asked = [
        "-f",
        "coco",
        "-f",
        "geojson",
        "-f",
        "geopackage",
        "-f",
        "parquet",
        "-f",
        "sa1b",
        "--overlay",
        "--cutouts",
    ]
    assert run("segment", "scene.tif", "-o", "tiled", "--tile", "64", "--tile-overlap", "20", *asked) == 0
    said = capsys.readouterr().err
    assert "scene.tif: 20 tiles, 1 objects joined across tiles" in said
    whole = masks_in("whole/coco.json").masks
    assert len(whole) == 4
    for name in ("coco.json", "geojson/scene.geojson", "geopackage/scene.gpkg", "masks.parquet"):
        record = masks_in(f"tiled/{name}")
        assert pixels_of(record.masks) == pixels_of(whole), name
    assert masks_in("tiled/geojson/scene.geojson").georeference.affine[2] == 500_000
    assert len(list(scene.parent.glob("tiled/cutouts/scene/*.png"))) == 4
    assert not (scene.parent / "tiled/.everymask/tiles/scene").is_dir() or not any(
        (scene.parent / "tiled/.everymask/tiles/scene").iterdir()
    ), "tiles are kept while they are needed"


def test_a_large_scene_is_never_read_as_a_whole(scene, engines, monkeypatch, capsys):
    assert run("segment", "scene.tif", "-o", "whole", "-f", "geojson", "--cutouts") == 0
    for module in (scenes, media_scenes):
        monkeypatch.setattr(module, "LARGE", 10_000)
    monkeypatch.setattr(scenes, "PICTURE_SIDE", 120)
    monkeypatch.setattr("everymask.cli.segment.run.read_pixels", None)
    monkeypatch.setattr("everymask.cli.segment.run.read_photo", None)
    read = media_scenes.RasterScene.read
    monkeypatch.setattr(media_scenes.RasterScene, "read", lambda self, box: read(self, small_box(box)))
    asked = ("-f", "geojson", "--cutouts", "--tile", "64", "--tile-overlap", "20")
    assert run("segment", "scene.tif", "-o", "out", *asked) == 0
    whole, tiled = (masks_in(f"{name}/geojson/scene.geojson").masks for name in ("whole", "out"))
    assert pixels_of(tiled) == pixels_of(whole)
    report = json.loads((scene.parent / "out/report.json").read_text())
    plain = json.loads((scene.parent / "whole/report.json").read_text())
    assert report["photos"][0]["coverage"] == pytest.approx(plain["photos"][0]["coverage"], abs=0.01)
    for number in range(1, 5):
        with Image.open(f"out/cutouts/scene/{number}.png") as picture:
            assert picture.size in {(10, 8), (12, 16), (210, 10)}
    assert run("segment", "scene.tif", "-o", "out", *asked, "--overlay", "--min-area", "100") == 0
    with Image.open("out/overlay/scene.jpg") as picture:
        assert picture.size == (120, 80)
    assert engines[-1].calls == 0, "the masks were kept"
    assert "coverage 6%" in capsys.readouterr().err


def small_box(box):
    x0, y0, x1, y1 = box
    assert (x1 - x0) * (y1 - y0) <= 64 * 64
    return box


@pytest.mark.parametrize("output", ["-f labelmap", "-f yolo", "-f amg", "--colour-map"])
def test_what_holds_whole_pictures_is_refused_for_large_scenes(scene, engines, monkeypatch, capsys, output):
    monkeypatch.setattr(media_scenes, "LARGE", 10_000)
    monkeypatch.setattr(scenes, "LARGE", 10_000)
    assert run("segment", "scene.tif", "-o", "out", *output.split()) == 1
    assert "holds whole pictures, and this one has 240 x 160 pixels; write one of coco, parquet" in (
        capsys.readouterr().err
    )
    assert engines[-1].calls == 0


def test_a_stopped_scene_goes_on_with_the_next_tile(scene, engines, monkeypatch, capsys):
    asked = ("segment", "scene.tif", "-o", "out", "-f", "coco", "--tile", "64", "--tile-overlap", "20")
    monkeypatch.setattr(Engine, "stop_at", 8)
    assert run(*asked) == 130
    monkeypatch.setattr(Engine, "stop_at", 0)
    assert run(*asked) == 0
    assert engines[0].calls == 7
    assert engines[1].calls == 20 - 7
    assert run("segment", "scene.tif", "-o", "once", *asked[4:]) == 0
    assert pixels_of(masks_in("out/coco.json").masks) == pixels_of(masks_in("once/coco.json").masks)


def test_other_tiles_are_other_settings(scene, engines, capsys):
    assert run("segment", "scene.tif", "-o", "out", "-f", "coco", "--tile", "64") == 0
    assert run("segment", "scene.tif", "-o", "out", "-f", "coco", "--tile", "96") == 2
    assert "made with other settings (tile: 64 -> 96)" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "message"), [
    ("--tile 8", "a tile must be at least 32 pixels a side, got 8"),
    ("--tile 64 --tile-overlap 40", "tiles of 64 pixels may overlap by 0 to 32 pixels, got 40"),
])  # fmt: skip
def test_tiles_that_leave_no_room_are_refused_before_work(scene, engines, capsys, words, message):
    assert run("segment", "scene.tif", *words.split()) == 2
    assert message in capsys.readouterr().err
    assert not engines


def test_windows_of_a_scene_are_those_of_the_whole_photo(scene):
    whole = read_photo(scene)
    opened = open_scene(scene)
    try:
        window = opened.read((100, 20, 240, 90))
        assert np.array_equal(window.values, whole[20:90, 100:240])
        assert window.valid.sum() == 70 * 132
        assert opened.read((0, 0, 64, 64)).valid is None
        small = opened.overview(60)
        assert small.values.shape == (40, 60, 3)
        assert np.array_equal(small.values, whole[2::4, 2::4])
        assert np.array_equal(small.valid, np.broadcast_to(np.arange(2, 240, 4) < 232, (40, 60)))
    finally:
        opened.close()


def test_a_photo_that_no_raster_library_is_for_can_be_cut_too(scene, engines):
    photo = np.full((100, 150, 3), 20, np.uint8)
    photo[40:60, 10:140] = 220
    Image.fromarray(photo).save("a.png")
    assert run("segment", "a.png", "-o", "out", "-f", "labelmap", "--tile", "64") == 0
    (mask,) = masks_in("out/labelmap/a.png").masks
    assert np.array_equal(mask.segmentation, photo[..., 0] > 100)


@pytest.mark.parametrize("seed", range(20))
def test_a_mask_reduced_by_its_runs_has_the_pixels_that_are_sampled(seed):
    chance = np.random.default_rng(seed)
    height, width = (int(side) for side in chance.integers(1, 40, 2))
    hw = int(chance.integers(1, height + 1)), int(chance.integers(1, width + 1))
    pixels = chance.random((height, width)) < chance.random()
    if seed % 3:
        pixels &= (np.arange(height)[:, None] > height // 2) & (np.arange(width) < width // 2)
    found = decode(scenes.reduced_runs(encode(pixels), hw))
    rows, columns = (
        media_scenes.sampled(length, count) for length, count in zip((height, width), hw, strict=True)
    )
    assert np.array_equal(found, pixels[rows][:, columns])


def test_a_small_mask_of_a_large_scene_is_reduced_in_memory_of_its_own_size():
    import tracemalloc

    side = 40_000
    rows = media_scenes.sampled(side, 4096)
    start = side * int(rows[2000])  # of a column that is looked at
    runs = Rle((side, side), np.array([start + 500, 3_000, side * side - start - 3_500]))
    tracemalloc.start()
    small = scenes.reduced_runs(runs, (4096, 4096))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert small.area == ((rows >= 500) & (rows < 3_500)).sum() > 300
    assert most < 1_000_000


@pytest.mark.parametrize("at_once", [1, 9_000, 2**30])
@pytest.mark.parametrize("hw", [(300, 500), (700, 333), (129, 1025)])
def test_an_overview_in_pieces_has_the_pixels_that_are_sampled(tmp_path, monkeypatch, hw, at_once):
    monkeypatch.setattr(media_scenes, "AT_ONCE", at_once)
    values = np.random.default_rng(0).integers(0, 255, (3, *hw), np.uint8)
    profile = {"driver": "GTiff", "height": hw[0], "width": hw[1], "count": 3, "dtype": "uint8", "nodata": 7}
    profile |= {"tiled": True, "blockxsize": 64, "blockysize": 32, "crs": "EPSG:32632"}
    with rasterio.open(
        tmp_path / "a.tif", "w", **profile, transform=rasterio.Affine(1, 0, 5, 0, -1, 5)
    ) as file:
        file.write(values)
    with contextlib.closing(open_scene(tmp_path / "a.tif")) as opened:
        small = opened.overview(100)
    rows, columns = (
        media_scenes.sampled(whole, some)
        for whole, some in zip(hw, media_scenes.reduced_hw(hw, 100), strict=True)
    )
    expected = values[:, rows][:, :, columns].transpose(1, 2, 0)
    known = (expected != 7).all(axis=2)
    assert np.array_equal(small.valid, known)
    assert np.array_equal(small.values, expected * known[..., None])
