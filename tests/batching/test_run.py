"""``em.batch`` and ``everymask batch`` on Ray: the masks of segment, once each; every failure a line.

Ray is started once for all tests here, small and without anything that listens to the outside.
"""

from __future__ import annotations

import json
import logging
import random
import shutil
import socket
import sys
import types
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import everymask as em
from everymask.batching import cluster, pipeline
from everymask.batching import run as running_batch
from everymask.batching.cluster import import_ray, running
from everymask.batching.estimate import Estimate, Sample, measure
from everymask.batching.listing import find_entries
from everymask.batching.pipeline import BrokenOff
from everymask.batching.storage import Place
from everymask.cli import main as cli
from everymask.cli.batch import estimate_lines
from everymask.errors import BatchError, MissingExtraError, OptionError, PromptError
from everymask.everything.objects import Objects
from everymask.formats import read_photos
from everymask.formats.clip_rows import clips_of
from tests.batching.files import picture, png, save_clip, save_photos
from tests.batching.here import made_here, no_ray, prepared_here
from tests.cli.fake_engine import FakeSegmenter

OPTIONS = {"points_per_side": 2, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}


@pytest.fixture(scope="module")
def ray():
    """Ray on this machine, for the tests of this file."""
    module = import_ray()
    module.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        object_store_memory=80_000_000,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    yield module
    module.shutdown()


@pytest.fixture
def one_thread():
    """Actors compute with one thread here; with more, torch rounds sums otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rows_in(home) -> list[dict]:
    """All rows of a manifest's parts, by photo, without what differs from run to run."""
    tables = [pq.read_table(path) for path in sorted(home.glob("parts/*.parquet"))]
    rows = [row for table in tables for row in table.drop_columns(["seconds", "worker"]).to_pylist()]
    return sorted(rows, key=lambda row: row["photo"])


@pytest.mark.filterwarnings("ignore")  # Ray's own, in the process that drives it
def test_rows_are_those_of_segment_and_come_once(ray, one_thread, tmp_path):
    save_photos(tmp_path / "in", 3, side=64)
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    summary = em.batch(tmp_path / "in", tmp_path / "out", actors=1, photos_per_part=2, **OPTIONS)
    assert (summary.photos, summary.done, summary.kept, summary.failures) == (4, 4, 0, 1)
    rows = rows_in(Path(summary.manifest))
    assert [row["photo"] for row in rows] == ["broken.png", *(f"p{number:03d}.png" for number in range(3))]
    assert "not a picture in a known format" in rows[0]["error"]
    assert len(list((tmp_path / "out").glob("batch-*/parts/*.parquet"))) == 2
    for part in sorted((tmp_path / "out").glob("batch-*/parts/*.parquet")):
        for photo in read_photos(part):
            expected = em.segment(tmp_path / "in" / photo.photo, **OPTIONS)
            assert len(expected) > 0
            assert photo.masks.to_dicts("coco_rle") == expected.to_dicts("coco_rle")


@pytest.mark.filterwarnings("ignore")
def test_clips_and_evaluations_go_through_ray_as_photos_do(ray, one_thread, tmp_path):
    pytest.importorskip("av", reason="needs PyAV")
    save_clip(tmp_path / "clips" / "a.mkv", frames=2)
    tracked = em.batch(
        tmp_path / "clips", tmp_path / "out", actors=1, work="track", look_every=0, most_objects=1
    )
    assert (tracked.done, tracked.failures) == (1, 0)
    (part,) = Path(tracked.manifest).glob("parts/*.parquet")
    (clip,) = clips_of(part)
    assert sorted(clip.frames) == [0, 1]
    save_photos(tmp_path / "in", 1, side=64)
    Image.fromarray((picture(0, 64)[..., 0] > 100).astype(np.uint16)).save(tmp_path / "in" / "p000_0.png")
    measured = em.batch(tmp_path / "in", tmp_path / "out", actors=1, work="evaluate", only_prompts=True)
    assert (measured.done, measured.failures) == (1, 0)
    assert 0 <= measured.scores["click_best"] <= 1


def test_the_same_command_does_what_is_missing(tmp_path, monkeypatch, capsys):
    save_photos(tmp_path / "in", 5)
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    words = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--photos-per-part", "2"]
    with no_ray(monkeypatch):
        assert cli.run(words) == 1
        said = capsys.readouterr().err
        assert "failed: broken.png: 'broken.png' is not a picture in a known format" in said
        assert "6 photos, " in said
        assert "1 photo failed; their rows and " in said
        (home,) = (tmp_path / "out").glob("batch-*")
        before = rows_in(home)
        assert len(before) == 6

        # a new photo and a mended one are done, and only these
        save_photos(tmp_path / "in", 1, first=5)
        (tmp_path / "in" / "broken.png").write_bytes(png(8))
        assert cli.run([*words, "--json"]) == 0
        said = capsys.readouterr()
        facts = json.loads(said.out)
        assert (facts["photos"], facts["kept"], facts["done"], facts["failures"]) == (7, 5, 2, 0)
        assert "note: 1 photo changed since they were planned and are done anew" in said.err
        after = rows_in(home)
        assert [row["photo"] for row in after] == [*(row["photo"] for row in before), "p005.png"]
        assert after[1:6] == before[1:]
        assert after[0]["error"] is None

        # once more: nothing
        assert cli.run([*words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["done"] == 0
        assert rows_in(home) == after
        assert json.loads((home / "report.json").read_text("utf-8"))["settings"]["model"] == "nano"


def test_rows_hold_the_masks_that_a_filter_keeps_as_those_of_segment(tmp_path, monkeypatch, capsys):
    save_photos(tmp_path / "in", 3)
    words = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    with no_ray(monkeypatch):
        assert cli.run(words) == 0
        (everything,) = (tmp_path / "out").glob("batch-*")
        areas = [[mask["area"] for mask in row["masks"]] for row in rows_in(everything)]
        most = sorted(area for each in areas for area in each)[1]
        capsys.readouterr()
        assert cli.run([*words, "--max-area", str(most), "--sort", "area:asc"]) == 0
        said = capsys.readouterr().err
    assert "keep: None -> --max-area" in said
    (kept,) = set((tmp_path / "out").glob("batch-*")) - {everything}
    found = [[mask["area"] for mask in row["masks"]] for row in rows_in(kept)]
    assert found == [sorted(area for area in each if area <= most) for each in areas]
    assert 0 < sum(map(len, found)) < sum(map(len, areas))
    with no_ray(monkeypatch):
        assert cli.run([*words, "--min-area", "1e6"]) == 0
    assert "warning: no mask is left by --min-area 1000000; loosen it" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--top", "0"], ["--min-area", "9", "--max-area", "8"], ["--sort", "x"]])
def test_a_filter_that_is_none_ends_a_batch_before_it_begins(tmp_path, words, capsys):
    save_photos(tmp_path / "in", 1)
    assert cli.run(["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *words]) == 2
    assert capsys.readouterr().err.startswith(f"error: {words[0] if words[0] != '--sort' else '--sort must'}")
    assert not (tmp_path / "out").exists()


def test_failures_are_done_again_when_asked(tmp_path, monkeypatch, capsys):
    save_photos(tmp_path / "in", 3)
    words = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--json"]
    with no_ray(monkeypatch, Broken({}, {})):
        assert cli.run(words) == 1
        (home,) = (tmp_path / "out").glob("batch-*")
        assert [row["error"] for row in rows_in(home)] == [None, "out of luck", None]
    with no_ray(monkeypatch):
        capsys.readouterr()
        assert cli.run(words) == 0
        assert json.loads(capsys.readouterr().out)["done"] == 0
        assert cli.run([*words, "--retry-failed"]) == 0
        assert json.loads(capsys.readouterr().out)["done"] == 1
        assert [row["error"] for row in rows_in(home)] == [None, None, None]
        assert cli.run([*words, "--retry-failed"]) == 0
        assert json.loads(capsys.readouterr().out)["done"] == 0


class Broken(FakeSegmenter):
    """Fails on one photo."""

    def __call__(self, photo, watch, valid=None):
        if np.array_equal(photo, picture(1)):
            raise MemoryError("out of luck")
        return super().__call__(photo, watch)


class Killed(BaseException):
    """As if the driver were killed."""


@pytest.mark.parametrize("seed", range(2))
def test_rows_of_a_run_killed_again_and_again_are_those_of_one_that_was_not(tmp_path, monkeypatch, seed):
    """Wherever it is killed: while planning, reading, making, landing, noting."""
    save_photos(tmp_path / "in", 10)
    quiet = tmp_path / "quiet"
    with no_ray(monkeypatch):
        em.batch(tmp_path / "in", quiet, photos_per_part=3)
    chance = random.Random(seed)
    kills = [chance.randrange(1, 40) for _ in range(20)]
    survived = 0
    for steps in kills:
        with no_ray(monkeypatch), monkeypatch.context() as patch:
            left = [steps]

            def dying(action, left=left):
                def act(*arguments, **options):
                    left[0] -= 1
                    if left[0] == 0:
                        raise Killed
                    done = action(*arguments, **options)
                    left[0] -= 1
                    if left[0] == 0:
                        raise Killed
                    return done

                return act

            for name in ("write", "create", "read", "remove"):
                patch.setattr(Place, name, dying(getattr(Place, name)))
            try:
                em.batch(tmp_path / "in", tmp_path / "out", photos_per_part=3)
                survived += 1
            except Killed:
                pass
    assert survived < 20
    with no_ray(monkeypatch):
        em.batch(tmp_path / "in", tmp_path / "out", photos_per_part=3)
    (undisturbed,), (disturbed,) = quiet.glob("batch-*"), (tmp_path / "out").glob("batch-*")
    assert rows_in(disturbed) == rows_in(undisturbed)
    assert not list(disturbed.glob("air/*"))
    assert not list(disturbed.rglob(".*"))


def test_a_disk_that_is_full_ends_the_run_in_a_line_and_keeps_what_landed(tmp_path, monkeypatch, capsys):
    save_photos(tmp_path / "in", 6)
    words = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--photos-per-part", "2"]
    real, left = Place.write, [3]

    def full(place, content):
        if "/parts/" in place.address:
            left[0] -= 1
            if left[0] == 0:
                raise OSError(28, "No space left on device", place.address)
        real(place, content)

    with no_ray(monkeypatch), monkeypatch.context() as patch:
        patch.setattr(Place, "write", full)
        assert cli.run(words) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: cannot write ")
    assert "No space left on device" in said
    (home,) = (tmp_path / "out").glob("batch-*")
    assert len(rows_in(home)) == 4
    with no_ray(monkeypatch):
        assert cli.run(words) == 0
    assert len(rows_in(home)) == 6


class Told(running_batch.Silent):
    """Hears that a run broke off."""

    def __init__(self) -> None:
        self.broken: list[str] = []

    def broken_off(self, why: str) -> None:
        self.broken.append(why)


@pytest.mark.parametrize("times", [2, 3])
def test_a_ray_that_breaks_off_is_started_anew_for_what_has_not_landed(tmp_path, monkeypatch, times):
    save_photos(tmp_path / "in", 4)
    left = [times]

    def breaking(*arguments):
        if left[0]:
            left[0] -= 1
            raise BrokenOff("the run broke off in Ray: a process died")
        yield from made_here(*arguments)

    with no_ray(monkeypatch), monkeypatch.context() as patch:
        patch.setattr(running_batch, "made_parts", breaking)
        if times == 3:
            with pytest.raises(BrokenOff, match="a process died"):
                em.batch(tmp_path / "in", tmp_path / "out", photos_per_part=4)
            return
        watch = Told()
        summary = em.batch(tmp_path / "in", tmp_path / "out", photos_per_part=4, watch=watch)
    assert watch.broken == ["the run broke off in Ray: a process died"] * 2
    assert (summary.photos, summary.done) == (4, 4)
    assert len(summary.notes) == 2
    assert len(rows_in(Path(summary.manifest))) == 4


@pytest.mark.parametrize(("package", "expected"), [("ray.data.context", BrokenOff), ("elsewhere", KeyError)])
def test_what_ray_raises_when_it_loses_a_node_is_broken_off(package, expected):
    ray = types.ModuleType("ray")
    ray.exceptions = types.SimpleNamespace(RayError=type("RayError", (Exception,), {}))
    lost = {"__name__": package}
    exec("def iter_batches(**options):\n    raise KeyError('dataset_1')", lost)
    with pytest.raises(expected, match="dataset_1"):
        list(pipeline._told(ray, types.SimpleNamespace(iter_batches=lost["iter_batches"])))


def test_counters_are_served_while_it_runs(tmp_path, monkeypatch):
    save_photos(tmp_path / "in", 3)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    seen = []

    class Looking(running_batch.Silent):
        def made(self, part):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
                seen.append(page.read().decode())

    with no_ray(monkeypatch):
        em.batch(tmp_path / "in", tmp_path / "out", photos_per_part=2, metrics_port=port, watch=Looking())
    assert "everymask_photos_planned 3.0" in seen[0]
    assert 'everymask_photos_total{worker="here"} 2.0' in seen[0]
    assert 'everymask_photos_total{worker="here"} 3.0' in seen[1]
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics")


def test_an_estimate_draws_a_sample_and_reckons_the_whole(tmp_path):
    save_photos(tmp_path / "in", 30)
    sample = Sample()
    assert len(list(sample.passing(find_entries([str(tmp_path / "in")])))) == 30
    assert len({entry.name for entry in sample.drawn}) == 11
    measured = measure(FakeSegmenter({}, {}), {}, sample.drawn)
    assert (measured.photos, measured.failed) == (10, ())
    assert measured.work_seconds > 0
    told = Estimate(1_000_000, 400_000, sample.bytes, replace(measured, work_seconds=1.2), 10, price=3.0)
    assert told.hours == pytest.approx(600_000 * 1.2 / 10 / 3600)
    assert told.cost == pytest.approx(60.0)
    assert estimate_lines(told)[-1] == "about 60.00 at 3 an hour"
    assert "10 actors: about 20 h 00 min" in estimate_lines(told)[2]


@pytest.fixture
def photos(tmp_path):
    save_photos(tmp_path / "in", 3)
    return str(tmp_path / "in")


def test_a_missing_ray_is_said_before_anything_is_written(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'everymask\[batch\]'"):
        em.batch(photos, tmp_path / "out")
    assert cli.run(["batch", photos, "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith("error: everymask batch needs the package 'ray'")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def no_ray_yet(monkeypatch):
    """As if no Ray ran in this process."""
    monkeypatch.setattr(import_ray(), "is_initialized", lambda: False)


def test_an_address_where_nobody_listens_is_said_at_once(no_ray_yet):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(BatchError, match=f"no Ray cluster answers at {address}: "), running(address):
            pass


@pytest.mark.parametrize(
    ("address", "said"),
    [("ray://head:10001", "Ray Data does not work with"), ("head", "takes auto or HOST:PORT")],
)
def test_an_address_of_another_kind_is_explained(no_ray_yet, address, said):
    with pytest.raises((BatchError, OptionError), match=said), running(address):
        pass


def test_a_cluster_of_other_versions_is_said_in_a_line(no_ray_yet, monkeypatch):
    def init(**_):
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.1\n    Python: 3.9")

    monkeypatch.setattr(import_ray(), "init", init)
    with (
        pytest.raises(BatchError, match=r"runs other versions than this machine: .* Ray: 2\.1 Python: 3\.9"),
        running("auto"),
    ):
        pass


def test_a_ray_that_does_not_start_is_said_in_a_line(no_ray_yet, monkeypatch):
    tries = []

    def init(**_):
        tries.append("init")
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(import_ray(), "init", init)
    monkeypatch.setattr(import_ray(), "shutdown", lambda: tries.append("shutdown"))
    with pytest.raises(BatchError, match="Ray does not start here: The current node timed"), running(None):
        pass
    assert tries == ["init", "shutdown"] * 3


def test_the_dashboard_of_a_ray_that_is_started_here_is_told(no_ray_yet, monkeypatch):
    asked, heard = [], []

    def init(**options):
        asked.append(options["include_dashboard"])
        return types.SimpleNamespace(dashboard_url="127.0.0.1:8265")

    monkeypatch.setattr(import_ray(), "init", init)
    monkeypatch.setattr(import_ray(), "shutdown", lambda: None)
    with running(None, heard.append), running(None):
        pass
    assert asked == [True, False]
    assert heard == ["http://127.0.0.1:8265"]


@pytest.mark.parametrize(
    ("ray", "error", "said"),
    [
        ("auto", OptionError, "a cluster that runs has a dashboard of its own"),
        (None, MissingExtraError, r"pip install 'ray\[default\]'"),
    ],
)
def test_a_dashboard_that_cannot_be_shown_is_said_before_anything_is_done(
    tmp_path, monkeypatch, ray, error, said
):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(error, match=said):
        em.batch(tmp_path / "in", tmp_path / "out", ray=ray, dashboard=True)
    assert not (tmp_path / "out").exists()


def test_a_ray_that_starts_at_the_second_try_is_used(no_ray_yet, monkeypatch):
    left = [1]

    def init(**_):
        if left:
            left.pop()
            raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(import_ray(), "init", init)
    monkeypatch.setattr(import_ray(), "shutdown", lambda: None)
    with running(None) as module:
        assert module is import_ray()
    assert not left


def test_two_runs_in_one_output_are_kept_apart(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(running_batch, "prepare", prepared_here)
    job = running_batch.Job.prepare(
        photos, tmp_path / "out", "nano", {}, running_batch.Objects(), OPTIONS, running_batch.Search()
    )
    manifest, _ = running_batch.open_manifest(job.output, job.settings)
    with (
        running_batch.alone(manifest),
        pytest.raises(BatchError, match="another run is at work"),
        running_batch.alone(manifest),
    ):
        pass


def test_a_folder_without_photos_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(running_batch, "prepare", prepared_here)
    (tmp_path / "in").mkdir()
    assert cli.run(["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 2
    assert "no pictures in" in capsys.readouterr().err


def test_a_wrong_option_is_said_before_anything_is_written(photos, tmp_path, capsys):
    assert cli.run(["batch", photos, "-o", str(tmp_path / "out"), "--range", "wrong"]) == 2
    assert cli.run(["batch", photos, "-o", str(tmp_path / "out"), "--pred-iou-thresh", "7"]) == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore")  # Ray's own, in the process that drives it
def test_a_dry_run_measures_where_an_actor_would_work_and_writes_nothing(ray, tmp_path, capsys):
    save_photos(tmp_path / "in", 12, side=64)
    (tmp_path / "in" / "p003.png").write_bytes(b"no picture")
    words = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--points-per-side", "2", "--json"]
    assert cli.run([*words, "--dry-run", "--price", "2"]) == 0
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert (facts["photos"], facts["done"], facts["measured"], facts["actors"]) == (12, 0, 10, 1)
    assert facts["seconds_per_photo"] > 0
    assert facts["hours"] == pytest.approx(12 * facts["seconds_per_photo"] / 3600, abs=1e-3)
    assert "12 photos, " in said.err
    assert "1 actor: about " in said.err
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore")  # Ray's own, in the process that drives it
def test_words_say_which_masks_a_batch_finds(ray, one_thread, tmp_path):
    """The masks of ``em.find``, with their labels, and a manifest of its own."""
    save_photos(tmp_path / "in", 2, side=64)
    shutil.copy(Path(em.__file__).parent / "assets" / "photo.jpg", tmp_path / "in" / "cup.jpg")
    asked = {"text": "cup . dog", "threshold": 0.0, "at_most": 2, "points_per_side": 4}
    summary = em.batch(tmp_path / "in", tmp_path / "out", actors=1, **asked)
    assert (summary.done, summary.failures) == (3, 0)
    for part in sorted((tmp_path / "out").glob("batch-*/parts/*.parquet")):
        for photo in read_photos(part):
            options = {"threshold": 0.0, "at_most": 2, "points_per_side": 4, "effort": "fast"}
            expected = em.find(tmp_path / "in" / photo.photo, "cup . dog", detector="lite", **options)
            assert photo.masks.to_dicts("coco_rle") == expected.to_dicts("coco_rle")
            assert [mask.label for mask in photo.masks] == [mask.label for mask in expected]
    settings = json.loads((Path(summary.manifest) / "report.json").read_text("utf-8"))["settings"]
    assert (settings["words"], settings["detector"]) == (["cup", "dog"], "lite")


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"text": "xyzzy"}, PromptError, "xyzzy"),
        (
            {"text": "dog", "objects": Objects(merge=True)},
            OptionError,
            "leave out fill_gaps, merge and level",
        ),
        ({"text": "dog", "at_most": 0}, OptionError, "at_most must be at least 1, got 0"),
        ({"text": "dog", "threshold": 1.5}, OptionError, "threshold must be from 0 to 1, got 1.5"),
        ({"text": "dog", "detector": "none"}, OptionError, "detector must be one of"),
    ],
)
def test_wrong_words_are_said_before_anything_is_written(photos, tmp_path, asked, error, said):
    with pytest.raises(error, match=said):
        em.batch(photos, tmp_path / "out", **asked)
    assert not (tmp_path / "out").exists()
