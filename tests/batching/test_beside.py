"""What a file says beside its pixels comes through a batch as it does through segment."""

from __future__ import annotations

import io
from functools import partial

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from PIL import Image

from everymask.batching import beside, listing, work
from everymask.batching.keys import ticket
from everymask.batching.listing import Search, find_entries
from everymask.batching.manifest import open_manifest
from everymask.batching.pipeline import _pack, _unpack
from everymask.batching.plan import Unit, make_plan
from everymask.batching.reading import fetch
from everymask.batching.storage import Place
from everymask.batching.worker import Worker
from everymask.everything.tiles import Tiling
from everymask.formats.georeference import read_georeference
from everymask.formats.photo_rows import photos_of
from everymask.media import scenes
from everymask.media.photos import read_pixels
from tests.batching.files import SETTINGS, picture, save_tar
from tests.cli.fake_engine import FakeSegmenter

WORLD = "10\n0\n0\n-10\n500005\n5399995\n"
PLACE = {"crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_400_000)}


def with_world_file(folder, name, beside):
    Image.fromarray(picture(1)).save(folder / name)
    (folder / beside).write_text(WORLD)


def by_gdal(folder, name, **further):
    profile = {"driver": "PNG" if name.endswith("png") else "GTiff", "count": 3, "height": 32, "width": 32}
    with rasterio.open(folder / name, "w", dtype="uint8", **profile, **further) as file:
        file.write(picture(1).transpose(2, 0, 1))


def masked(folder, name):
    """A TIFF with a mask in a file beside it."""
    Image.fromarray(picture(1)).save(folder / name)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(folder / name, "r+") as file:
        file.write_mask(np.broadcast_to(np.arange(32) < 20, (32, 32)))
    assert (folder / f"{name}.msk").exists()


def without_data(folder, name):
    """A PNG on a map of which GDAL's description says that 20 is no value."""
    by_gdal(folder, name, **PLACE)
    beside = folder / f"{name}.aux.xml"
    bands = "".join(
        f'<PAMRasterBand band="{band}"><NoDataValue>20</NoDataValue></PAMRasterBand>' for band in (1, 2, 3)
    )
    beside.write_text(beside.read_text().replace("</PAMDataset>", f"{bands}</PAMDataset>"))


def turned(folder, name):
    exif = Image.Exif()
    exif[0x0112], exif[0x8825] = 6, {1: "N", 2: (48.0, 0.0, 0.0), 3: "E", 4: (9.0, 0.0, 0.0)}
    Image.fromarray(picture(1)[:20]).save(folder / name, exif=exif, quality=100)


ROWS = {
    "a.jgw": lambda folder: with_world_file(folder, "a.jpg", "a.jgw"),
    "a.jpgw": lambda folder: with_world_file(folder, "a.jpg", "a.jpgw"),
    "A.JGW": lambda folder: with_world_file(folder, "A.JPG", "A.JGW"),
    "a.pgw": lambda folder: with_world_file(folder, "a.png", "a.pgw"),
    "a.b.tfw": lambda folder: with_world_file(folder, "a.b.tif", "a.b.tfw"),
    "a.wld": lambda folder: with_world_file(folder, "a.png", "a.wld"),
    "a.png.aux.xml": lambda folder: by_gdal(folder, "a.png", **PLACE),
    "nodata in a.png.aux.xml": lambda folder: without_data(folder, "a.png"),
    "keys within a GeoTIFF": lambda folder: by_gdal(folder, "a.tif", **PLACE),
    "a.tif.msk": lambda folder: masked(folder, "a.tif"),
    "EXIF orientation and GPS": lambda folder: turned(folder, "a.jpg"),
}
WITHOUT_PLACE = {"a.tif.msk", "EXIF orientation and GPS"}
WITHOUT_DATA = {"a.tif.msk", "nodata in a.png.aux.xml"}


class Noting(FakeSegmenter):
    """Remembers what it was given."""

    def __call__(self, photo, watch, valid=None):
        self.given = photo, valid
        return super().__call__(photo, watch, valid)


def rows(source):
    entries = tuple(find_entries([str(source)]))
    unit = Unit("000000-0000", entries, tuple(ticket(each.name, each.stamp) for each in entries))
    fetched = fetch(entries)
    unit, fetched = _unpack(_pack(unit, fetched), [each.content for each in fetched])  # through Ray
    engine = Noting({}, {})
    made = Worker(engine).make(unit, fetched)
    assert not made.failed
    with pq.ParquetFile(io.BytesIO(made.content)) as file:
        return list(photos_of(file, "it")), engine


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("kind", ["folder", "photo", "glob", "list", "tar", "store", "list of a store"])
@pytest.mark.parametrize("what", ROWS)
def test_a_row_has_the_place_and_the_pixels_that_segment_has(tmp_path, what, kind):
    folder = tmp_path / "in"
    folder.mkdir()
    ROWS[what](folder)
    (path,) = (each for each in folder.iterdir() if each.suffix.lower() in (".jpg", ".png", ".tif"))
    source = {"folder": folder, "photo": path, "glob": folder / "*.[jJpPtT][pPnNiI][gGfF]"}.get(kind)
    if kind == "list":
        source = tmp_path / "list.txt"
        source.write_text(f"{path}\n")
    elif kind == "tar":
        source = tmp_path / "a.tar"
        save_tar(source, {f"in/{each.name}": each.read_bytes() for each in sorted(folder.iterdir())})
    elif "store" in kind:
        memory = fsspec.filesystem("memory")
        for each in folder.iterdir():
            memory.pipe_file(f"/beside/{tmp_path.name}/{each.name}", each.read_bytes())
        source = f"memory://beside/{tmp_path.name}"
        if "list" in kind:
            address, source = f"{source}/{path.name}", tmp_path / "list.txt"
            source.write_text(f"{address}\n")
    (photo,), engine = rows(source)
    pixels, place = read_pixels(path), read_georeference(path)
    assert photo.georeference == place
    assert (place is None) == (what in WITHOUT_PLACE)
    assert np.array_equal(engine.given[0], pixels.values)
    assert np.array_equal(engine.given[1], pixels.valid)
    assert (pixels.valid is not None) == (what in WITHOUT_DATA)


def test_a_world_file_that_is_changed_or_comes_later_does_its_photo_anew(tmp_path):
    (tmp_path / "in").mkdir()
    manifest, _ = open_manifest(Place.of(tmp_path / "out"), SETTINGS)

    def planned():
        return make_plan(manifest, find_entries([str(tmp_path / "in")]))

    Image.fromarray(picture(1)).save(tmp_path / "in" / "a.jpg")
    Image.fromarray(picture(2)).save(tmp_path / "in" / "b.jpg")
    assert (planned().added, planned().added) == (2, 0)
    for text in (WORLD, WORLD.replace("10", "20")):
        (tmp_path / "in" / "a.jgw").write_text(text + "\n" * len(text.split("20")))
        plan = planned()
        assert (plan.photos, plan.added, plan.changed) == (2, 1, 1)
        beside = [e.beside for pending in plan.pending for unit in pending.units() for e in unit.entries]
        assert [[each.name for each in files] for files in beside if files] == [["a.jgw"]]


def test_a_plan_made_before_side_files_counted_is_read(tmp_path):
    Image.fromarray(picture(1)).save(tmp_path / "a.jpg")
    manifest, _ = open_manifest(Place.of(tmp_path / "out"), SETTINGS)
    make_plan(manifest, find_entries([str(tmp_path / "a.jpg")]))
    shard = manifest.place.path / "plan" / "000000.parquet"
    pq.write_table(pq.read_table(shard).drop_columns(["beside"]), shard)
    (pending,) = make_plan(manifest, ()).pending
    assert [entry.beside for unit in pending.units() for entry in unit.entries] == [()]


def test_a_scene_goes_through_in_tiles_as_segment_does_it(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "LARGE", 40 * 40)
    monkeypatch.setattr(work, "Tiling", partial(Tiling, 64))
    values = np.full((3, 90, 150), 20, np.uint8)
    values[:, 40:50, 10:140] = 200  # over all tiles of a row
    profile = {"driver": "GTiff", "count": 3, "height": 90, "width": 150, "dtype": "uint8"}
    (tmp_path / "in").mkdir()
    with rasterio.open(tmp_path / "in" / "a.tif", "w", **profile, **PLACE) as file:
        file.write(values)
    (photo,), engine = rows(tmp_path / "in")
    assert engine.given[0].shape == (64, 64, 3)
    assert np.array_equal([mask.segmentation for mask in photo.masks], [values[0] > 100])
    assert photo.georeference == read_georeference(tmp_path / "in" / "a.tif")


class CountedStore:
    """A store whose listings are counted, and which may refuse them."""

    def __init__(self, monkeypatch, refuses=()):
        self.listed, self.refuses = [], refuses
        self._files = fsspec.filesystem("memory")
        self._files.store.clear()
        monkeypatch.setattr("everymask.batching.storage.file_system", lambda protocol: self)
        monkeypatch.setattr("everymask.batching.storage.time.sleep", lambda seconds: None)

    def fill(self, *names):
        for name in names:
            self._files.pipe_file(f"/{name}", name.encode())

    def ls(self, address, **options):
        self.listed.append(address)
        if any(word in address for word in self.refuses):
            raise PermissionError(13, "Access Denied")
        return self._files.ls(address, **options)


def test_each_folder_of_a_list_is_listed_once(tmp_path, monkeypatch):
    store = CountedStore(monkeypatch)
    photos = [f"{folder}/{number}.jpg" for number in range(700) for folder in "abc"]
    store.fill(*photos, "a/7.jgw", "a/7.jpg.aux.xml", "b/69.msk", "c/699.jpg.msk")
    listed = [f"memory://{name}" for name in [*photos, "gone/1.jpg"]]
    entries = list(find_entries(["-"], listed))
    assert [each.source for each in entries] == listed
    beside = {each.name: [one.name for one in each.beside] for each in entries if each.beside}
    assert beside == {"a/7.jpg": ["7.jgw", "7.jpg.aux.xml"], "c/699.jpg": ["699.jpg.msk"]}
    assert sorted(store.listed) == [f"memory://{name}" for name in ("a", "b", "c", "gone")]
    assert not any(each.alone for each in entries)


def test_folders_with_many_side_files_are_forgotten_and_listed_again(tmp_path, monkeypatch):
    monkeypatch.setattr(beside, "REMEMBERED", 3)
    monkeypatch.setattr(listing, "LOOKED_FOR_AT_ONCE", 2)
    store = CountedStore(monkeypatch)
    names = [f"{folder}/{number}" for folder in "abc" for number in (1, 2)]
    store.fill(*(f"{name}.jpg" for name in names), *(f"{name}.jgw" for name in names), "d/1.jpg")
    listed = [f"memory://{name}.jpg" for name in [*names, "d/1", "b/1", "c/2", "a/2", "d/1"]]
    entries = list(find_entries(["-"], listed))
    assert [len(each.beside) for each in entries] == [1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 0]
    assert len(store.listed) < len(listed)
    assert store.listed.count("memory://d") == 1


def test_without_side_files_no_folder_is_listed(monkeypatch):
    store = CountedStore(monkeypatch)
    store.fill("a/1.jpg", "a/1.jgw")
    (entry,) = find_entries(["-"], ["memory://a/1.jpg"], Search(side_files=False))
    assert (entry.beside, store.listed) == ((), [])


def test_folders_that_cannot_be_listed_are_said_in_one_line(monkeypatch):
    store = CountedStore(monkeypatch, refuses=("shut",))
    store.fill("shut/1.jpg", "shut/1.jgw", "away/1.jpg", "open/1.jpg", "open/1.jgw")
    listed = [f"memory://{name}/1.jpg" for name in ("shut", "away/shut", "open")]
    with pytest.warns(UserWarning, match="listed") as told:
        entries = list(find_entries(["-"], listed))
    assert [str(each.message) for each in told] == [
        "memory://shut cannot be listed: Access Denied; world files, .aux.xml and .msk beside its photos are "
        "not looked for, nor in other folders like it"
    ]
    assert [len(each.beside) for each in entries] == [0, 0, 1]


def test_of_web_servers_a_line_says_that_side_files_are_not_looked_for(monkeypatch):
    store = CountedStore(monkeypatch)
    with pytest.warns(UserWarning, match=r"^https://example\.org/a is on a web server, which does not say"):
        (entry,) = find_entries(["-"], ["https://example.org/a/1.jpg"])
    assert (entry.beside, store.listed) == ((), [])
