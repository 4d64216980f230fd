"""A worker makes rows: the masks of segment, failures with their reasons, and gives up on what kills it."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio

from everymask import formats
from everymask.batching.air import MOST_LOST, Flight
from everymask.batching.keys import ticket
from everymask.batching.listing import find_entries
from everymask.batching.own_process import ProcessDied, in_own_process
from everymask.batching.plan import Unit
from everymask.batching.reading import Fetched, fetch
from everymask.batching.storage import Place
from everymask.batching.worker import Worker
from everymask.formats.photo_rows import photos_of
from everymask.media.photos import read_photo
from tests.batching.files import save_photos
from tests.cli.fake_engine import FakeSegmenter


def unit_of(folder) -> Unit:
    entries = tuple(find_entries([str(folder)]))
    return Unit("000000-0000", entries, tuple(ticket(each.name, each.stamp) for each in entries))


@pytest.fixture
def unit(tmp_path):
    save_photos(tmp_path / "in", 5)
    (tmp_path / "in" / "p005.png").write_bytes(b"no picture at all")
    return unit_of(tmp_path / "in")


def table(content: bytes):
    return pq.read_table(io.BytesIO(content))


def test_rows_are_the_masks_of_each_photo_and_the_reason_of_a_failure(unit, tmp_path):
    engine = FakeSegmenter({}, {})
    made = Worker(engine, Place.of(tmp_path / "air"), name="w").make(unit, fetch(unit.entries))
    assert (made.photos, len(made.failed), made.worker) == (6, 1, "w")
    rows = table(made.content).to_pylist()
    assert [row["photo"] for row in rows] == [f"p{number:03d}.png" for number in range(6)]
    assert [row["ticket"] for row in rows] == list(unit.tickets)
    with pq.ParquetFile(io.BytesIO(made.content)) as file:
        read = list(photos_of(file, "it"))
    for photo in read:
        expected = engine(read_photo(tmp_path / "in" / photo.photo), lambda *_: None)
        assert photo.masks.to_dicts("coco_rle") == expected.to_dicts("coco_rle")
    assert len(read) == 5
    assert made.masks == sum(len(photo.masks) for photo in read)
    assert "'p005.png' is not a picture in a known format" in rows[5]["error"]
    assert (rows[5]["masks"], rows[5]["tries"], rows[0]["tries"]) == (None, 3, 1)
    assert made.failed == (("p005.png", rows[5]["error"]),)
    assert (tmp_path / "air").is_dir()
    assert not list((tmp_path / "air").iterdir())


def test_a_part_made_twice_has_the_same_rows_but_for_times(unit):
    def rows():
        return table(Worker(FakeSegmenter({}, {})).make(unit, fetch(unit.entries)).content).drop_columns(
            ["seconds"]
        )

    assert rows().equals(rows())


def test_the_key_is_of_content_and_settings(unit):
    def keys(**options):
        made = Worker(FakeSegmenter(options, {})).make(unit, fetch(unit.entries))
        return table(made.content).column("key").to_pylist()

    first, other = keys(), keys(points_per_side=9)
    assert len({key for key in first if key}) == 5
    assert [key.split("-")[0] for key in first[:5]] == [key.split("-")[0] for key in other[:5]]
    assert all(a != b for a, b in zip(first[:5], other[:5], strict=True))


def test_a_photo_that_did_not_come_is_a_row(unit):
    fetched = [Fetched(None, "reset", 3), *fetch(unit.entries[1:])]
    rows = table(Worker(FakeSegmenter({}, {})).make(unit, fetched).content).to_pylist()
    assert (rows[0]["error"], rows[0]["tries"]) == ("reset", 3)
    assert rows[1]["error"] is None


def test_bytes_that_came_broken_are_fetched_again(unit):
    fetched = fetch(unit.entries)
    fetched[0] = Fetched(b"\x89PNG\r\n" + bytes(30))
    rows = table(Worker(FakeSegmenter({}, {})).make(unit, fetched).content).to_pylist()
    assert (rows[0]["error"], rows[0]["tries"]) == (None, 2)


class Faulty(FakeSegmenter):
    def __init__(self, errors):
        super().__init__({}, {})
        self.errors = errors

    def __call__(self, photo, watch, valid=None):
        if self.errors:
            raise self.errors.pop(0)
        return super().__call__(photo, watch)


def test_a_model_that_fails_is_asked_three_times(unit):
    def first_row(errors):
        made = Worker(Faulty(errors)).make(unit, fetch(unit.entries))
        return table(made.content).to_pylist()[0]

    assert first_row([MemoryError("no room"), MemoryError("no room")])["error"] is None
    row = first_row([MemoryError("no room")] * 3)
    assert (row["error"], row["tries"]) == ("no room", 3)
    assert first_row([KeyError("x")] * 3)["error"] == "unexpected KeyError: 'x'"


class Died(BaseException):
    """As if the process had gone."""


class Deadly(FakeSegmenter):
    """Kills its process over one photo; in the worker that means raising :class:`Died`."""

    def __init__(self, poison, really=True):
        super().__init__({}, {})
        self.poison, self.really = poison, really

    def __call__(self, photo, watch, valid=None):
        if np.array_equal(photo, self.poison):
            if self.really:
                os.kill(os.getpid(), signal.SIGKILL)
            raise Died
        return super().__call__(photo, watch)


def test_a_photo_that_kills_its_worker_is_a_row_in_the_end(unit, tmp_path):
    poison = read_photo(tmp_path / "in" / "p002.png")
    air = Place.of(tmp_path / "air")
    worker = Worker(Deadly(poison, really=False), air, opening=partial(Deadly, poison))
    for _ in range(2):  # the first death is nobody's: only from then on photos are named
        with pytest.raises(Died):
            worker.make(unit, fetch(unit.entries))
    rows = table(worker.make(unit, fetch(unit.entries)).content).to_pylist()
    assert [row["photo"] for row in rows if row["error"]] == ["p002.png", "p005.png"]
    assert rows[2]["error"] == "3 processes that did nothing else died with it (signal 9, SIGKILL)"
    assert not air.names()


def test_deaths_from_outside_are_no_photos_doing(unit, tmp_path):
    """Whatever photo a worker was at when it was killed, and however often: the rows are the usual ones."""
    usual = table(Worker(FakeSegmenter({}, {}), name="w").make(unit, fetch(unit.entries)).content)
    air = Place.of(tmp_path / "air")
    for number in range(9):  # the same photo again and again, and another one in between
        flight = Flight(air / unit.name)
        flight.begin()
        flight.at(2 if number % 3 else 4)
    worker = Worker(FakeSegmenter({}, {}), air, name="w", opening=partial(FakeSegmenter, {}, {}))
    rows = table(worker.make(unit, fetch(unit.entries)).content)
    assert rows.drop_columns(["seconds"]).equals(usual.drop_columns(["seconds"]))
    assert worker.segmenter.calls == 3  # two of the five good ones were done elsewhere
    assert not air.names()


def test_a_photo_that_takes_worker_after_worker_along_is_given_up(unit, tmp_path):
    air = Place.of(tmp_path / "air")
    for _ in range(MOST_LOST + 1):
        flight = Flight(air / unit.name)
        flight.begin()
        flight.at(2)
    worker = Worker(FakeSegmenter({}, {}), air, opening=partial(FakeSegmenter, {}, {}))
    rows = table(worker.make(unit, fetch(unit.entries)).content).to_pylist()
    assert rows[2]["error"] == "12 workers were lost while it was tried"
    assert [row["photo"] for row in rows if row["error"]] == ["p002.png", "p005.png"]


def test_a_part_that_flew_before_is_done_photo_by_photo(tmp_path):
    place = Place.of(tmp_path / "air" / "u")

    def begun():
        flight = Flight(place)
        flight.begin()
        return flight

    def named():
        return json.loads(place.read())["photo"]

    flight = begun()
    flight.at(3)
    assert (flight.careful, named()) == (False, None)
    again = begun()
    again.at(3)
    assert (again.careful, named(), again.lost(3)) == (True, 3, 0)
    again.over()
    assert named() is None
    assert begun().lost(3) == 0  # it died between two photos
    again.at(3)
    assert begun().lost(3) == 1
    place.write(b"cut sho")  # a note that is broken says that there was one
    broken = begun()
    assert (broken.careful, broken.lost(3)) == (True, 0)


def boom():
    raise KeyError("x")


def test_a_process_of_its_own_answers_or_says_what_it_died_of():
    assert in_own_process(divmod, 7, 2) == (3, 1)
    for call, said in (
        (boom, "exit status 1, KeyError: 'x'"),
        (partial(os._exit, 7), "exit status 7"),
        (partial(signal.raise_signal, signal.SIGTERM), "signal 15, SIGTERM"),
    ):
        with pytest.raises(ProcessDied, match=re.escape(said)):
            in_own_process(call)


def test_a_process_of_its_own_ends_with_the_one_that_started_it(tmp_path):
    started = tmp_path / "started"
    script = f"""if True:
        import functools, pathlib, tests.batching.test_worker as t
        t.in_own_process(t.sleeping, {str(started)!r})"""
    starter = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    while not (started.exists() and (own := started.read_text())):
        assert starter.poll() is None
    assert Path(f"/proc/{own}").exists() or sys.platform != "linux"
    starter.kill()
    starter.wait()
    deadline = time.monotonic() + 20
    while _lives(int(own)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(int(own))


def sleeping(note):
    Path(note).write_text(str(os.getpid()))
    time.sleep(100)


def _lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_good_rows_of_an_earlier_file_stay(unit, tmp_path):
    engine = FakeSegmenter({}, {})
    before = Worker(engine, name="before").make(unit, fetch(unit.entries))
    (tmp_path / "in" / "p005.png").write_bytes((tmp_path / "in" / "p004.png").read_bytes())
    mended = unit_of(tmp_path / "in")
    engine.calls = 0
    now = Unit(unit.name, mended.entries, (*unit.tickets[:5], unit.tickets[5]))
    made = Worker(engine, name="now").make(now, fetch(now.entries), before.content)
    rows = table(made.content).to_pylist()
    assert [row["worker"] for row in rows] == ["before"] * 5 + ["now"]
    assert [row["error"] for row in rows] == [None] * 6
    assert (engine.calls, made.photos) == (1, 1)


def test_read_photos_reads_parts(unit, tmp_path):
    made = Worker(FakeSegmenter({}, {})).make(unit, fetch(unit.entries))
    (tmp_path / "part.parquet").write_bytes(made.content)
    read = formats.read_photos(tmp_path / "part.parquet")
    assert [photo.photo for photo in read] == [f"p{number:03d}.png" for number in range(5)]
    assert read[0].model_hash == FakeSegmenter.model_hash


def test_nothing_is_asked_about_pixels_without_data(tmp_path):
    values = np.full((3, 20, 30), 200, "uint8")
    values[:, :, 22:] = 0
    profile = {"driver": "GTiff", "count": 3, "height": 20, "width": 30, "dtype": "uint8", "nodata": 0}
    (tmp_path / "in").mkdir()
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_400_000)}
    with rasterio.open(tmp_path / "in" / "a.tif", "w", **profile, **place) as file:
        file.write(values)
    told = []

    class Noting(FakeSegmenter):
        def __call__(self, photo, watch, valid=None):
            told.append(valid)
            return super().__call__(photo, watch, valid)

    unit = unit_of(tmp_path / "in")
    made = Worker(Noting({}, {})).make(unit, fetch(unit.entries))
    (valid,) = told
    assert np.array_equal(valid, np.broadcast_to(np.arange(30) < 22, (20, 30)))
    assert (made.photos, made.failed) == (1, ())
