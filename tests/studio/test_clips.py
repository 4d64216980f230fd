"""Clips in the studio, without a model: prompts, tracking, undo, the project file, export."""

from __future__ import annotations

import threading
import time
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from everymask.errors import InputError
from everymask.formats import video_coco_vis, video_cvat, video_sav
from everymask.formats.classes import Classes
from everymask.formats.video_record import ClipMasks, ObjectMask
from everymask.masks.rle import decode, encode, from_coco
from tests.fakes import FakeModel
from tests.studio.clip_scene import HEIGHT, LENGTH, WIDTH, write_clip
from tests.studio.fake_tracker import FakeTracker, disc
from tests.studio.harness import Studio, running

HW = HEIGHT, WIDTH


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "run.mp4")


@pytest.fixture
def folder(tmp_path: Path, clip_file: Path) -> Path:
    (tmp_path / "run.mp4").write_bytes(clip_file.read_bytes())
    return tmp_path


@pytest.fixture
def tracker() -> FakeTracker:
    return FakeTracker()


@pytest.fixture
def studio(folder: Path, tracker: FakeTracker) -> Iterator[Studio]:
    with running(folder, FakeModel("sam2"), tracker=tracker) as studio:
        yield studio


def mask(studio: Studio, frame: int, object_id: int = 1) -> np.ndarray | None:
    """An object on a frame, bool [H, W]; None where nothing is known."""
    found = studio.get(f"/api/clips/1/masks?first={frame}&last={frame}")
    value = found.get(f"mask/{frame}/{object_id}")
    return None if value is None else decode(from_coco({"size": list(HW), "counts": value["counts"]}))


def frames(studio: Studio, object_id: int = 1) -> list[int]:
    """The frames on which an object has a mask, empty ones too."""
    return [row[0] for row in studio.get("/api/clips/1")["strip"] if row[1] == object_id]


def test_a_clip_is_listed_and_shown(studio: Studio):
    session = studio.get("/api/session")
    assert session["clips"] == [{"id": 1, "name": "run.mp4", "length": LENGTH, "objects": 0}]
    assert session["clip"] == 1
    assert {"coco-vis", "cvat", "sa-v", "overlay", "alpha"} <= {
        each["name"] for each in session["clip_formats"]
    }
    facts = studio.get("/api/clips/1")
    assert (facts["size"], facts["length"], facts["frames_per_second"]) == ([HEIGHT, WIDTH], LENGTH, 12.0)
    picture = studio.client.get("/api/clips/1/frames/3/picture?side=64")
    assert picture.headers["content-type"] == "image/jpeg"
    assert studio.client.get("/api/clips/1/frames/3/tiles/0/0/0").status_code == 200
    assert studio.client.get(f"/api/clips/1/frames/{LENGTH}/picture").status_code == 422
    assert studio.client.get("/api/clips/7").status_code == 404
    assert "/api/clips/{clip}/track" in studio.get("/openapi.json")["paths"]


def test_clicks_correct_and_can_be_taken_away(studio: Studio, tracker: FakeTracker):
    outcome = studio.act_on_clip(1, type="click", frame=2, x=50, y=40, label="ball")
    assert outcome["patch"]["object/1"] == {"label": "ball", "locked": False}
    assert outcome["undo"] == "include a point"
    studio.act_on_clip(1, type="click", frame=2, object=1, x=56, y=40, include=False)
    assert tracker.opened[-1].said[-1] == (2, 1, [[56.0, 40.0]], True)
    both = disc(HW, 50, 40) & ~disc(HW, 56, 40)
    assert np.array_equal(mask(studio, 2), both)
    studio.act_on_clip(1, type="remove_prompt", frame=2, object=1, index=1)
    assert np.array_equal(mask(studio, 2), disc(HW, 50, 40))
    studio.act_on_clip(1, type="box", frame=2, object=1, box=[10, 20, 5, 30])
    assert mask(studio, 2).sum() == 5 * 10
    assert [row["name"] for row in studio.get("/api/session")["classes"]] == ["ball"]


def test_what_cannot_be_done_is_said_and_changes_nothing(studio: Studio):
    studio.act_on_clip(1, type="click", frame=0, x=50, y=40)
    studio.act_on_clip(1, type="lock", objects=[1])
    before = studio.get("/api/clips/1")

    def refused(**action: Any) -> str:
        body = {"version": before["version"], "action": action}
        answer = studio.client.post("/api/clips/1/actions", json=body)
        assert answer.status_code == 422
        return answer.json().get("error", "not read")

    assert "outside of the frame" in refused(type="click", frame=0, x=WIDTH, y=0)
    assert "no frame 99" in refused(type="click", frame=99, x=1, y=1)
    assert "locked" in refused(type="click", frame=0, object=1, x=1, y=1)
    assert "no object 4" in refused(type="click", frame=0, object=4, x=1, y=1)
    assert "at least one pixel" in refused(type="box", frame=0, box=[5, 5, 5.2, 9])
    assert "locked" in refused(type="remove_prompt", frame=0, object=1, index=0)
    assert refused(type="dance") == "not read"
    body = {"version": before["version"], "frame": 0}
    answer = studio.client.post("/api/clips/1/track", json=body)
    assert "nothing to follow" in answer.json()["error"]
    stale = studio.client.post("/api/clips/1/undo", json={"version": before["version"] - 1})
    assert stale.status_code == 409
    assert studio.get("/api/clips/1") == before


def test_tracking_forward_back_and_one_frame(studio: Studio):
    studio.act_on_clip(1, type="click", frame=10, x=50, y=40)
    run = studio.track(1, 10, count=1)
    assert (run["state"], run["done"], run["frame"]) == ("done", 1, 11)
    assert frames(studio) == [10, 11]
    assert np.array_equal(mask(studio, 11), disc(HW, 51, 40))
    studio.track(1, 11)
    assert frames(studio) == list(range(10, LENGTH))
    run = studio.track(1, 10, reverse=True)
    assert (run["done"], run["total"]) == (10, 10)
    assert frames(studio) == list(range(LENGTH))
    assert np.array_equal(mask(studio, 0), disc(HW, 40, 40))
    version = studio.get("/api/clips/1")["version"]
    answer = studio.client.post("/api/clips/1/track", json={"version": version, "frame": LENGTH - 1})
    assert "last frame" in answer.json()["error"]


def test_a_run_is_one_step_of_undo(studio: Studio):
    studio.act_on_clip(1, type="click", frame=0, x=50, y=40)
    studio.track(1, 0)
    facts = studio.get("/api/clips/1")
    assert facts["undo"] == "track from frame 1"
    studio.client.post("/api/clips/1/undo", json={"version": facts["version"]})
    assert frames(studio) == [0]
    facts = studio.get("/api/clips/1")
    assert facts["redo"] == "track from frame 1"
    studio.client.post("/api/clips/1/redo", json={"version": facts["version"]})
    assert frames(studio) == list(range(LENGTH))


def test_a_correction_mid_clip_changes_only_what_comes_after_it(studio: Studio):
    studio.act_on_clip(1, type="click", frame=0, x=50, y=40)
    studio.track(1, 0)
    before = [mask(studio, frame) for frame in range(LENGTH)]
    studio.act_on_clip(1, type="click", frame=12, object=1, x=80, y=80)
    studio.track(1, 12)
    after = [mask(studio, frame) for frame in range(LENGTH)]
    assert all(np.array_equal(a, b) for a, b in zip(before[:12], after[:12], strict=True))
    assert np.array_equal(after[12], before[12] | disc(HW, 80, 80))
    assert all(b.sum() > a.sum() for a, b in zip(before[13:], after[13:], strict=True))
    # The prompts of both frames stand when it is tracked over again.
    studio.track(1, 0)
    assert np.array_equal(mask(studio, 12), after[12])


def test_where_nothing_was_kept_the_session_is_made_anew(studio: Studio, tracker: FakeTracker):
    studio.act_on_clip(1, type="click", frame=0, x=50, y=40)
    studio.track(1, 0, count=12)
    studio.act_on_clip(1, type="click", frame=12, object=1, x=80, y=80)
    version = studio.get("/api/clips/1")["version"]
    studio.client.post("/api/clips/1/undo", json={"version": version})
    studio.track(1, 12)
    told = tracker.opened[-1].said
    assert told[0] == (0, 1, "mask", False)
    assert [said[0] for said in told[1:]] == [7, 8, 9, 10, 11, 12]  # the six before frame 13
    assert {said[2] for said in told[1:]} == {"tracked"}
    assert np.array_equal(mask(studio, 20), disc(HW, 70, 40))


def test_locked_objects_stay_as_they_are(studio: Studio):
    studio.act_on_clip(1, type="click", frame=0, x=20, y=40)
    studio.act_on_clip(1, type="click", frame=0, x=60, y=80)
    studio.track(1, 0, count=3)
    studio.act_on_clip(1, type="lock", objects=[1])
    studio.act_on_clip(1, type="click", frame=3, object=2, x=90, y=80)
    run = studio.track(1, 3, count=5)
    assert run["objects"] == [2]
    assert frames(studio, 1) == [0, 1, 2, 3]
    assert frames(studio, 2) == list(range(9))
    studio.act_on_clip(1, type="lock", objects=[1], locked=False)
    studio.track(1, 3, count=2)  # object 1 is known again
    assert np.array_equal(mask(studio, 5, 1), disc(HW, 25, 40))


def test_tracking_stops_when_it_is_told_and_by_a_click(studio: Studio, tracker: FakeTracker):
    gate = threading.Semaphore(4)
    tracker.slow = lambda frame: gate.acquire(timeout=10)
    studio.act_on_clip(1, type="click", frame=0, x=50, y=40)
    version = studio.get("/api/clips/1")["version"]
    studio.client.post("/api/clips/1/track", json={"version": version, "frame": 0})
    wait_for(lambda: len(frames(studio)) == 5)
    studio.client.delete("/api/clips/1/track")
    gate.release()
    assert studio.tracked(1)["state"] == "stopped"
    assert frames(studio) == [0, 1, 2, 3, 4, 5]
    version = studio.get("/api/clips/1")["version"]
    studio.client.post("/api/clips/1/track", json={"version": version, "frame": 5})
    gate.release(2)
    wait_for(lambda: len(frames(studio)) == 8)
    gate.release(100)
    body = {"version": version + 1, "action": {"type": "absent", "frame": 7, "object": 1}}
    answer = studio.client.post("/api/clips/1/actions", json=body)
    assert answer.status_code == 200
    assert answer.json()["run"]["state"] in ("stopped", "done")
    assert not mask(studio, 7).any()


def wait_for(so: Any) -> None:
    """Until it is so."""
    for _ in range(1000):
        if so():
            return
        time.sleep(0.01)
    raise AssertionError("never")


def test_lost_objects_are_told_and_drawn_ones_believed(studio: Studio):
    studio.act_on_clip(1, type="brush", frame=0, points=[[150, 60]], radius=5, label="bird")
    drawn = mask(studio, 0)
    assert drawn[60, 150]
    studio.track(1, 0)
    lost = [row for row in studio.get("/api/clips/1")["strip"] if row[4] == 0]
    assert [row[0] for row in lost] == list(range(15, LENGTH))
    assert {row[3] for row in lost} == {0.0}
    studio.act_on_clip(1, type="brush", frame=0, object=1, points=[[150, 60]], radius=3, erase=True)
    assert mask(studio, 0).sum() < drawn.sum()
    studio.act_on_clip(1, type="forget", objects=[1], first=15, last=LENGTH)
    assert frames(studio) == list(range(15))
    studio.act_on_clip(1, type="delete", objects=[1])
    assert studio.get("/api/clips/1")["strip"] == []
    version = studio.get("/api/clips/1")["version"]
    studio.client.post("/api/clips/1/undo", json={"version": version})
    assert frames(studio) == list(range(15))


def test_everything_is_there_when_the_project_is_opened_again(folder: Path):
    with running(folder, FakeModel("sam2"), tracker=FakeTracker()) as studio:
        studio.act_on_clip(1, type="click", frame=0, x=50, y=40, label="ball")
        studio.track(1, 0, count=9)
        before = studio.get("/api/clips/1")
    tracker = FakeTracker()
    with running(folder, FakeModel("sam2"), tracker=tracker) as studio:
        after = studio.get("/api/clips/1")
        assert {**after, "run": None} == {**before, "run": None}
        studio.act_on_clip(1, type="click", frame=9, object=1, x=80, y=40)
        studio.track(1, 9, count=2)
        assert np.array_equal(mask(studio, 11), disc(HW, 61, 40) | disc(HW, 82, 40))
    (folder / "run.mp4").unlink()
    write_clip(folder / "run.mp4", length=9)
    with (
        pytest.raises(InputError, match="begin another --project"),
        running(folder, FakeModel("sam2"), tracker=FakeTracker()),
    ):
        pass


def test_export_reads_back_and_tells_what_is_lost(studio: Studio, tmp_path: Path):
    nothing = studio.client.post("/api/clips/1/exports", json={"formats": ["sa-v"]})
    assert "no object has a mask" in nothing.json()["error"]
    studio.act_on_clip(1, type="click", frame=0, x=50, y=40, label="ball")
    studio.act_on_clip(1, type="click", frame=0, x=54, y=40, label="bat")
    studio.track(1, 0, count=4)
    wrong = studio.client.post("/api/clips/1/exports", json={"formats": ["yolo"]})
    assert "clips are written as" in wrong.json()["error"]
    names = ["sa-v", "coco-vis", "cvat", "davis", "overlay", "alpha-webm", "alpha"]
    made = studio.client.post("/api/clips/1/exports", json={"formats": names}).json()
    assert set(made["losses"]) == {"davis"}  # the objects overlap
    archive = zipfile.ZipFile(BytesIO(studio.client.get(f"/api/exports/{made['id']}.zip").content))
    archive.extractall(tmp_path)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("run_*")}
    assert {"run_overlay.mp4", "run_alpha.webm", "run_alpha", "run_sa_v.json"} <= files
    for module, name in ((video_sav, "run_sa_v.json"), (video_coco_vis, "run_coco_vis.json")):
        clip = module.read(tmp_path / name)
        assert np.array_equal(decode(clip.frames[3][1].rle), disc(HW, 53, 40))
    clip = video_cvat.read(tmp_path / "run_cvat.xml")
    assert clip.names == {1: "ball", 2: "bat"}
    assert sorted(clip.frames) == [0, 1, 2, 3, 4]
    from everymask.media.videos import open_frames

    with open_frames(tmp_path / "run_overlay.mp4") as frames_:
        assert frames_.length == LENGTH


def known_masks(length: int = LENGTH) -> ClipMasks:
    """Two objects that a file knows, object 0 on the frames 2 to 4 and object 3 on frame 4."""
    ball, bat = encode(disc(HW, 50, 40)), encode(disc(HW, 90, 80))
    frames = {frame: {0: ObjectMask(ball, 0.5)} for frame in (2, 3, 4)}
    frames[4][3] = ObjectMask(bat)
    classes = Classes({"bat": 39, "ball": 37, "glove": 40})
    return ClipMasks("run", HW, length, 12.0, frames, {0: "ball", 3: "bat"}, classes)


@pytest.mark.parametrize("place", ["named", "beside"])
def test_masks_of_a_file_are_loaded_tracked_on_and_keep_their_class_numbers(
    folder: Path, tracker: FakeTracker, tmp_path: Path, place: str
):
    file = folder / ("run_coco_vis.json" if place == "beside" else "other.json")
    video_coco_vis.write(file, known_masks())
    masks = [file] if place == "named" else []
    with running(folder, FakeModel("sam2"), tracker=tracker, masks=masks) as studio:
        values = studio.get("/api/clips/1")["values"]
        assert values["object/1"] == {"label": "ball", "locked": False}
        assert frames(studio, 1) == [2, 3, 4]
        assert np.array_equal(mask(studio, 4, 4), disc(HW, 90, 80))
        assert [each["name"] for each in studio.get("/api/session")["classes"]] == ["ball", "bat", "glove"]
        studio.track(1, 4, count=2)
        assert np.array_equal(mask(studio, 6, 1), disc(HW, 52, 40))
        made = studio.client.post("/api/clips/1/exports", json={"formats": ["coco-vis"]}).json()
        content = studio.client.get(f"/api/exports/{made['id']}.zip").content
        zipfile.ZipFile(BytesIO(content)).extractall(tmp_path / "out")
    read = video_coco_vis.read(tmp_path / "out" / "run_coco_vis.json")
    assert dict(read.classes.numbers) == {"ball": 37, "bat": 39, "glove": 40}
    assert read.names == {1: "ball", 4: "bat"}


def test_masks_of_another_clip_are_refused(folder: Path, tracker: FakeTracker):
    video_coco_vis.write(folder / "other.json", known_masks(length=LENGTH + 1))
    with (
        pytest.raises(InputError, match=r"the masks known for run\.mp4 are of 25 frames"),
        running(folder, FakeModel("sam2"), tracker=tracker, masks=[folder / "other.json"]),
    ):
        pass


def test_other_tabs_are_told_frame_by_frame(studio: Studio):
    from websockets.sync.client import connect

    from tests.studio.harness import TOKEN

    headers = {"Authorization": f"Bearer {TOKEN}"}
    with connect(f"ws://127.0.0.1:{studio.port}/api/live", additional_headers=headers) as live:
        live.recv()
        studio.act_on_clip(1, type="click", frame=0, x=50, y=40)
        studio.track(1, 0, count=3)
        import json

        events = []
        while not events or (events[-1].get("run") or {}).get("state") != "done":
            events.append(json.loads(live.recv(timeout=5)))
    events = [event for event in events if event["type"] == "clip"]
    assert "mask/0/1" in events[0]["patch"]
    told = [next(iter(event["patch"])) for event in events[1:] if event["patch"]]
    assert told == ["mask/1/1", "mask/2/1", "mask/3/1"]
