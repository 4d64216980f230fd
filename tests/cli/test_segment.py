"""everymask segment with a stand-in for the model: what is written, resumed, refused and said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from everymask import formats
from everymask.cli import main as cli
from everymask.cli.segment import command as segment
from tests.cli.fake_engine import FakeSegmenter


def blobs(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    """A dark photo with a few bright rectangles."""
    random = np.random.default_rng(seed)
    photo = np.full((height, width, 3), 20, dtype=np.uint8)
    for _ in range(3):
        top, left = random.integers(0, height - 8), random.integers(0, width - 8)
        photo[top : top + 6, left : left + 6] = random.integers(150, 255, 3)
    return photo


def save_photo(path, seed: int = 0, **size) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blobs(seed, **size)).save(path)


@pytest.fixture
def engine(monkeypatch):
    """The fakes that the command line opened, in order."""
    opened: list[FakeSegmenter] = []

    def open_segmenter(model, device, options, reading):
        opened.append(FakeSegmenter(options, reading))
        return opened[-1]

    monkeypatch.setattr(segment, "open_segmenter", open_segmenter)
    return opened


@pytest.fixture
def photos(tmp_path, monkeypatch, engine):
    """A folder with three photos and one below; the present folder is its parent."""
    for index, name in enumerate(("a.png", "b.png", "c.png", "sub/a.png")):
        save_photo(tmp_path / "in" / name, index)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> int:
    return cli.run([str(word) for word in words])


def files(folder) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and ".everymask" not in path.parts
    )


def contents(folder) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder) if name != "report.json"}


def test_coco_and_overlays_are_written_when_nothing_is_asked_for(photos, capsys):
    assert run("segment", "in") == 0
    assert files(photos / "out") == [
        "coco.json",
        "overlay/a.jpg",
        "overlay/b.jpg",
        "overlay/c.jpg",
        "report.json",
    ]
    said = capsys.readouterr()
    assert said.out == ""
    assert "3 photos, " in said.err
    assert "wrote out/coco.json" in said.err


def test_every_format_at_once_with_subfolders_mirrored(photos):
    wanted = [word for name in formats.FORMATS for word in ("--format", name)]
    assert run("segment", "in", "-r", "-o", "all", *wanted, "--cutouts", "--ids", "--overlay") == 0
    found = files(photos / "all")
    assert {
        "amg/sub/a/metadata.csv",
        "amg-rle/sub/a.json",
        "coco.json",
        "cutouts/sub/a/1.png",
        "cvat.xml",
        "geojson/sub/a.geojson",
        "geopackage/sub/a.gpkg",
        "label-studio.json",
        "labelmap/sub/a.png",
        "labelmap-tiff/sub/a.tif",
        "labelme/sub/a.json",
        "masks.parquet",
        "overlay/sub/a.jpg",
        "sa1b/sub/a.json",
        "yolo/data.yaml",
        "yolo/labels/sub/a.txt",
    } <= set(found)
    expected = formats.read_masks(photos / "all" / "coco.json", photo="sub/a.png").segmentations()
    for name in ("amg/sub/a", "sa1b/sub/a.json", "geojson/sub/a.geojson", "labelmap/sub/a.png"):
        assert np.array_equal(formats.read_masks(photos / "all" / name).segmentations(), expected)
    assert formats.read_photos(photos / "all" / "masks.parquet")[0].model_hash == FakeSegmenter.model_hash
    cut = np.asarray(Image.open(photos / "all" / "cutouts" / "sub" / "a" / "1.png"))
    assert (cut[..., 3] > 0).sum() == expected[0].sum()


def test_options_reach_the_generator_and_only_those_given(photos, engine):
    run("segment", "in", "--points-per-side", "8", "--no-multimask-output", "--effort", "fast")
    expected = {"points_per_side": 8, "multimask_output": False, "effort": "fast", "range": "percentile"}
    assert engine[0].settings == {"model": "fake", "page": None, **expected}


def test_finished_photos_are_not_done_again(photos, engine, capsys):
    run("segment", "in")
    before = contents(photos / "out")
    assert run("segment", "in") == 0
    assert (engine[0].calls, engine[1].calls) == (3, 0)
    assert contents(photos / "out") == before
    assert "3 photos (3 before)" in capsys.readouterr().err


def test_a_new_photo_and_a_changed_one_are_done(photos, engine):
    run("segment", "in")
    save_photo(photos / "in" / "d.png", 7)
    save_photo(photos / "in" / "a.png", 8, width=40)
    assert run("segment", "in") == 0
    assert engine[1].calls == 2
    back = {each.photo: each.photo_hw for each in formats.read_photos(photos / "out" / "coco.json")}
    assert back == {"a.png": (24, 40), "b.png": (24, 32), "c.png": (24, 32), "d.png": (24, 32)}


def test_a_further_format_needs_no_model(photos, engine):
    run("segment", "in", "--format", "coco")
    assert run("segment", "in", "--format", "labelme", "--overlay") == 0
    assert engine[1].calls == 0
    assert {"labelme/a.json", "overlay/c.jpg"} <= set(files(photos / "out"))


def test_a_lost_output_is_written_again(photos, engine):
    run("segment", "in", "--format", "sa1b")
    before = contents(photos / "out")
    (photos / "out" / "sa1b" / "b.json").unlink()
    run("segment", "in", "--format", "sa1b")
    assert contents(photos / "out") == before
    assert engine[1].calls == 0


def test_another_overlap_policy_rewrites_the_files(photos, engine):
    run("segment", "in", "--format", "sa1b")
    assert run("segment", "in", "--format", "sa1b", "--overlap", "disjoint") == 0
    assert engine[1].calls == 0


def test_overwrite_does_everything_again(photos, engine):
    run("segment", "in")
    assert run("segment", "in", "--overwrite") == 0
    assert engine[1].calls == 3


def test_other_settings_are_refused_and_named(photos, capsys):
    run("segment", "in", "--points-per-side", "8")
    assert run("segment", "in", "--points-per-side", "16") == 2
    assert (
        "error: out holds masks made with other settings (points_per_side: 8 -> 16); "
        "pass --overwrite to make them anew, or choose another -o" in capsys.readouterr().err
    )
    assert run("segment", "in", "--points-per-side", "16", "--overwrite") == 0


def test_a_second_run_into_a_folder_adds_to_it(photos):
    run("segment", "in/a.png", "--format", "coco")
    run("segment", "in/b.png", "--format", "coco")
    assert [each.photo for each in formats.read_photos(photos / "out" / "coco.json")] == ["a.png", "b.png"]


def test_equal_stems_and_names_do_not_collide(photos):
    save_photo(photos / "in" / "a.bmp", 11)
    assert run("segment", "in", "in/sub/a.png", "--format", "sa1b") == 0
    names = {
        path: json.loads((photos / "out" / path).read_text())["image"] for path in files(photos / "out")[1:]
    }
    assert len(names) == 5
    assert len({image["file_name"] for image in names.values()}) == 5


def test_failures_are_named_and_the_rest_is_done(photos, capsys):
    (photos / "in" / "b.png").write_bytes(b"no picture")
    (photos / "in" / "empty.jpg").write_bytes(b"")
    assert run("segment", "in", "--json") == 1
    said = capsys.readouterr()
    assert "failed: b.png: " in said.err
    assert "failed: empty.jpg: 'in/empty.jpg' is empty (0 bytes)" in said.err
    assert "2 photos failed; see out/report.json" in said.err
    summary = json.loads(said.out)
    assert (summary["done"], summary["kept"]) == (2, 0)
    assert [each["photo"] for each in summary["failed"]] == ["b.png", "empty.jpg"]
    report = json.loads((photos / "out" / "report.json").read_text())
    assert [each["photo"] for each in report["photos"]] == ["a.png", "c.png"]
    assert [each["source"] for each in report["failed"]] == [
        str(photos / "in" / "b.png"),
        str(photos / "in" / "empty.jpg"),
    ]
    save_photo(photos / "in" / "b.png", 1)
    (photos / "in" / "empty.jpg").unlink()
    assert run("segment", "in") == 0


def test_an_unexpected_error_fails_one_photo_and_is_kept_in_the_report(photos, engine, monkeypatch, capsys):
    original = FakeSegmenter.__call__

    def sometimes(self, photo, watch, valid=None):
        if self.calls == 1:
            self.calls += 1
            raise RuntimeError("the library fell over")
        return original(self, photo, watch, valid)

    monkeypatch.setattr(FakeSegmenter, "__call__", sometimes)
    assert run("segment", "in") == 1
    assert "failed: b.png: unexpected RuntimeError: the library fell over" in capsys.readouterr().err
    assert "Traceback" in json.loads((photos / "out" / "report.json").read_text())["failed"][0]["details"]


def test_losses_are_summed_over_the_run(photos, capsys):
    assert run("segment", "in", "--format", "yolo", "--format", "coco", "--json") == 0
    said = capsys.readouterr()
    assert "yolo cannot hold all: " in said.err
    assert "coco cannot" not in said.err
    (loss,) = json.loads(said.out)["losses"]["yolo"]
    assert loss["kind"] == "fields"
    assert loss["masks"] == json.loads(said.out)["masks"]


def test_dry_run_writes_nothing(photos, engine, capsys):
    assert run("segment", "in", "--dry-run", "--format", "sa1b", "--format", "coco") == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["to do: in/a.png", "    out/sa1b/a.json"]
    assert not (photos / "out").exists()
    assert engine == []


def test_a_list_on_stdin(photos, monkeypatch):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("in/a.png\nin/sub/a.png\n"))
    assert run("segment", "-", "--format", "coco") == 0
    assert [each.photo for each in formats.read_photos(photos / "out" / "coco.json")] == [
        "a.png",
        "sub/a.png",
    ]


def test_outputs_inside_the_input_folder_are_no_inputs(photos):
    assert run("segment", "in", "-r", "-o", "in", "--overlay", "--format", "labelmap") == 0
    assert run("segment", "in", "-r", "-o", "in", "--overlay", "--format", "labelmap", "--json") == 0
    assert len(json.loads((photos / "in" / "report.json").read_text())["photos"]) == 4


def test_sixteen_bit_photos_by_a_range(photos, engine):
    cv2.imwrite(str(photos / "deep.png"), np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000)
    assert run("segment", "deep.png", "--range", "0,65535") == 0
    assert engine[0].settings["range"] == (0.0, 65535.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none"], "error: 'none' is neither a file nor a folder"),
        (["in/sub", "-o", "x", "--format", "koko"], "error: there is no format 'koko'; the formats are amg,"),
        (["in", "--overlap", "drop"], "error: --overlap must be one of keep, disjoint, nested, got 'drop'"),
        (["in", "--rings", "x"], "error: --rings must be one of bridge, largest, got 'x'"),
        (["in", "--range", "wide"], "error: range must be"),
        (["in", "--range", "a,b"], "error: --range must be percentile, minmax, dtype or LOW,HIGH, got 'a,b'"),
        (["in", "--points-per-side", "many"], "error: Invalid value for '--points-per-side': "),
        (["in", "--point-grids", "none.json"], "error: --point-grids: none.json is no list of grids"),
        ([], "error: Missing argument"),
        (["in", "--color"], "error: No such option: --color"),
        (["empty"], "error: no pictures in empty; --recursive looks deeper"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(photos, capsys, words, message):
    (photos / "empty").mkdir()
    assert run("segment", *words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(message)
    assert "Traceback" not in said.err
    assert not (photos / "out").exists()


def test_a_foreign_file_is_not_replaced_unasked(photos, capsys):
    (photos / "out").mkdir()
    (photos / "out" / "coco.json").write_text("mine")
    assert run("segment", "in") == 2
    assert "out/coco.json is there and not from an earlier run" in capsys.readouterr().err
    assert (photos / "out" / "coco.json").read_text() == "mine"
    assert run("segment", "in", "--overwrite") == 0


def test_two_runs_at_once_into_one_folder_are_refused(photos, capsys):
    from everymask.cli.segment.journal import Journal

    with Journal(photos / "out").locked():
        assert run("segment", "in") == 2
    assert "another everymask run is writing to out" in capsys.readouterr().err
    assert run("segment", "in") == 0


def test_ctrl_c_says_how_to_go_on(photos, monkeypatch, capsys):
    original = FakeSegmenter.__call__

    def interrupted(self, photo, watch, valid=None):
        if self.calls == 2:
            raise KeyboardInterrupt
        return original(self, photo, watch, valid)

    monkeypatch.setattr(FakeSegmenter, "__call__", interrupted)
    assert run("segment", "in") == 130
    assert "stopped with 2 of 3 photos done; the same command goes on" in capsys.readouterr().err
    monkeypatch.setattr(FakeSegmenter, "__call__", original)
    assert run("segment", "in") == 0


def test_a_geotiff_stays_on_the_map(photos):
    rasterio = pytest.importorskip("rasterio")
    profile = {
        "driver": "GTiff",
        "height": 24,
        "width": 32,
        "count": 3,
        "dtype": "uint8",
        "crs": "EPSG:32632",
    }
    transform = rasterio.Affine(10, 0, 500_000, 0, -10, 5_400_000)
    with rasterio.open(photos / "scene.tif", "w", **profile, transform=transform) as file:
        file.write(blobs(3).transpose(2, 0, 1))
    assert run("segment", "scene.tif", "--format", "geojson", "--format", "labelmap-tiff") == 0
    (record,) = formats.read_photos(photos / "out" / "geojson" / "scene.geojson")
    assert record.georeference.affine[2] == 500_000
    with rasterio.open(photos / "out" / "labelmap-tiff" / "scene.tif") as file:
        assert file.crs.to_epsg() == 32632
        assert file.transform == transform


# --- names and folders that other people have ---------------------------------------------------------


def test_a_name_that_is_not_utf_8_is_done_like_the_others(photos, engine, capsys):
    odd = photos / "in" / os.fsdecode(b"caf\xe9.png")
    save_photo(odd, 7)
    assert run("segment", "in", "-f", "coco", "-f", "cvat", "-f", "amg-rle") == 0
    coco = json.loads((photos / "out" / "coco.json").read_text("utf-8"))
    assert [image["file_name"] for image in coco["images"]] == ["a.png", "b.png", "c.png", "caf%E9.png"]
    assert (photos / "out" / "amg-rle" / "caf%E9.json").exists()
    assert run("segment", "in", "-f", "coco", "-f", "cvat", "-f", "amg-rle") == 0
    assert "4 photos (4 before)" in capsys.readouterr().err
    assert run("segment", "in", "--dry-run") == 0


def test_a_renamed_input_folder_keeps_names_and_finished_photos(photos, engine, capsys):
    run("segment", "in", "-r", "-f", "coco")
    before = (photos / "out" / "coco.json").read_bytes()
    (photos / "in").rename(photos / "renamed")
    assert run("segment", "renamed", "-r", "-f", "coco") == 0
    assert "4 photos (4 before)" in capsys.readouterr().err
    assert (photos / "out" / "coco.json").read_bytes() == before


def test_outputs_of_earlier_runs_are_no_photos(photos, engine):
    run("segment", "in", "-r", "-o", "in/first", "-f", "coco", "-f", "labelmap", "--overlay", "--cutouts")
    assert run("segment", "in", "-r", "-o", "second", "-f", "coco") == 0
    coco = json.loads((photos / "second" / "coco.json").read_text("utf-8"))
    assert [image["file_name"] for image in coco["images"]] == ["a.png", "b.png", "c.png", "sub/a.png"]


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_traceback(tmp_path, closed):
    here = {**os.environ, "PYTHONPATH": str(Path(formats.__file__).parents[2])}
    command = f'"{sys.executable}" -m everymask segment - --dry-run {closed} >out.txt'
    command = command.replace(">&- 2>&- >out.txt", ">&- 2>&-")
    ran = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=here, capture_output=True, text=True)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    if closed == "<&-":
        assert ran.stderr == (
            "error: - reads paths of photos from stdin, one a line, and there were none; pipe them in\n"
        )


def test_yolo_trains_as_it_is_written_also_when_photos_share_a_stem(photos, engine):
    supervision = pytest.importorskip("supervision")
    save_photo(photos / "in" / "a.jpg", 9)
    assert run("segment", "in", "-r", "-f", "yolo") == 0
    out = photos / "out" / "yolo"
    images, labels = (
        {path.relative_to(out / kind).with_suffix("").as_posix() for path in (out / kind).rglob("*.*")}
        for kind in ("images", "labels")
    )
    assert images == labels == {"a", "a_png", "b", "c", "sub/a"}
    assert (out / "images" / "b.png").read_bytes() == (photos / "in" / "b.png").read_bytes()
    data = supervision.DetectionDataset.from_yolo(
        str(out / "images"), str(out / "labels"), str(out / "data.yaml"), force_masks=True
    )
    assert len(data) == 4, "the photos of the folder itself"
    assert data.classes == ["object"]
    assert all(len(found) for _, _, found in data)
    assert run("convert", "out/yolo", "-f", "coco", "-o", "back") == 0, "the photos are beside the labels"


def test_an_option_that_was_given_before_and_is_not_now_is_named(photos, engine, capsys):
    assert run("segment", "in", "-f", "coco", "--range", "minmax", "--points-per-side", "8") == 0
    index = photos / "out" / ".everymask" / "finished.jsonl"
    index.write_text(
        index.read_text("utf-8").replace('"settings": {', '"settings": {"bands": [4, 3, 2], '), "utf-8"
    )
    assert run("segment", "in", "-f", "coco", "--range", "minmax", "--points-per-side", "8") == 2
    assert "holds masks made with other settings (bands: [4, 3, 2] -> None)" in capsys.readouterr().err
