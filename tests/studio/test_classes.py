"""The class list and the "done" mark: steps that are undone like others; a class renamed on all masks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import everymask as em
from everymask.formats import PhotoMasks, WriteOptions, find_format, write_file
from everymask.formats.classes import Classes
from tests.fakes import FakeModel
from tests.studio.clip_scene import write_clip
from tests.studio.fake_tracker import FakeTracker
from tests.studio.harness import Studio, running
from tests.studio.scene import make_folder
from tests.studio.test_class_numbers import exported_numbers

RING = [[[20, 20], [120, 20], [120, 120]]]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with running(make_folder(tmp_path / "photos", ("a.jpg", "b.png")), FakeModel("sam2")) as studio:
        yield studio


def names(studio: Studio) -> list[str]:
    return [row["name"] for row in studio.get("/api/session")["classes"]]


def labels(studio: Studio, photo: int) -> list[str | None]:
    return [mask["label"] for mask in studio.masks(photo)]


def travel(studio: Studio, way: str, path: str) -> Any:
    """Undo or redo, as an answer of the server."""
    return studio.client.post(f"{path}/{way}", json={"version": studio.get(path)["version"]})


def undo(studio: Studio, photo: int = 1) -> dict[str, Any]:
    answer = travel(studio, "undo", f"/api/photos/{photo}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def redo(studio: Studio, photo: int = 1) -> dict[str, Any]:
    answer = travel(studio, "redo", f"/api/photos/{photo}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def done(studio: Studio) -> list[bool]:
    return [row["done"] for row in studio.get("/api/session")["photos"]]


def test_the_done_mark_is_a_step_that_can_be_undone(studio: Studio):
    outcome = studio.act(1, type="done", done=True)
    assert (outcome["undo"], outcome["patch"], done(studio)) == ("done", {"done": True}, [True, False])
    assert studio.act(1, type="done", done=True)["version"] == outcome["version"]  # changes nothing
    assert undo(studio)["patch"] == {"done": False}
    assert done(studio) == [False, False]
    redo(studio)
    assert done(studio) == [True, False]


def test_changes_of_the_class_list_are_undone_one_by_one(studio: Studio):
    studio.act(1, type="class", name="cat", color="#123456")
    studio.act(1, type="class", name="dog", color="#234567")
    studio.act(1, type="class", name="cat", color="#ffffff")
    outcome = studio.act(1, type="class", name="cat")
    assert outcome["undo"] == "take off the list: cat"
    assert [row["name"] for row in outcome["classes"]] == ["dog"]
    undo(studio)
    assert studio.get("/api/session")["classes"] == [
        {"name": "cat", "color": "#ffffff"},
        {"name": "dog", "color": "#234567"},
    ]
    undo(studio)
    assert studio.get("/api/session")["classes"][0]["color"] == "#123456"
    undo(studio)
    undo(studio)
    assert names(studio) == []
    for _ in range(4):
        redo(studio)
    assert names(studio) == ["dog"]


def test_undo_leaves_classes_alone_that_came_elsewhere_since(studio: Studio):
    studio.act(1, type="class", name="cat", color="#123456")
    studio.act(2, type="class", name="dog", color="#234567")
    undo(studio)
    assert names(studio) == ["dog"]
    redo(studio)
    assert names(studio) == ["cat", "dog"]


def test_a_class_that_a_step_brought_goes_with_it(studio: Studio):
    studio.act(1, type="polygon", rings=RING, label="cat")
    assert names(studio) == ["cat"]
    undo(studio)
    assert names(studio) == []
    redo(studio)
    assert (names(studio), labels(studio, 1)) == (["cat"], ["cat"])


def test_a_class_is_renamed_on_all_photos_and_in_their_history(studio: Studio):
    studio.act(1, type="polygon", rings=RING, label="cat")
    studio.act(2, type="polygon", rings=RING, label="cat")
    studio.act(2, type="delete", masks=[1])
    before = studio.get("/api/photos/1")["version"]
    outcome = studio.act(2, type="rename_class", name="cat", to="tiger")
    assert (outcome["undo"], outcome["patch"]["renamed"]) == ("rename cat", ["cat", "tiger"])
    assert (names(studio), labels(studio, 1)) == (["tiger"], ["tiger"])
    assert studio.get("/api/photos/1")["version"] > before  # a page that shows it is told
    undo(studio, 2)
    assert (names(studio), labels(studio, 1)) == (["cat"], ["cat"])
    redo(studio, 2)
    undo(studio, 2)
    undo(studio, 2)
    assert labels(studio, 2) == ["cat"]
    redo(studio, 2)
    redo(studio, 2)
    # Undone elsewhere, what was there before the renaming has the name of today.
    undo(studio, 1)
    assert labels(studio, 1) == []
    assert labels_after_redo(studio) == ["tiger"]


def labels_after_redo(studio: Studio) -> list[str | None]:
    redo(studio, 1)
    return labels(studio, 1)


def test_a_name_that_is_taken_is_refused_and_nothing_changes(studio: Studio):
    studio.act(1, type="polygon", rings=RING, label="cat")
    studio.act(2, type="polygon", rings=RING, label="dog")
    studio.act(2, type="class", name="dog")  # off the list; the mask keeps it
    for name, to, why in (
        ("cat", "dog", "a class or a mask is called 'dog' already"),
        ("cup", "mug", "there is no class 'cup' on the list"),
        ("cat", "cat", "the class is called 'cat' already"),
    ):
        state = studio.get("/api/photos/1")
        action = {"type": "rename_class", "name": name, "to": to}
        body = {"version": state["version"], "action": action}
        answer = studio.client.post("/api/photos/1/actions", json=body)
        assert answer.status_code == 422
        assert why in answer.json()["error"]
        assert studio.get("/api/photos/1") == state
    assert (names(studio), labels(studio, 2)) == (["cat"], ["dog"])


def test_undo_of_a_renaming_waits_until_the_old_name_is_free(studio: Studio):
    studio.act(1, type="class", name="cat", color="#123456")
    studio.act(1, type="rename_class", name="cat", to="tiger")
    studio.act(2, type="class", name="cat", color="#123456")
    refused = travel(studio, "undo", "/api/photos/1")
    assert refused.status_code == 422
    assert "called 'cat' already" in refused.json()["error"]
    studio.act(2, type="rename_class", name="cat", to="house cat")
    undo(studio)
    assert names(studio) == ["cat", "house cat"]


def test_two_renamings_are_undone_in_any_order(studio: Studio):
    studio.act(1, type="polygon", rings=RING, label="cat")
    studio.act(1, type="rename_class", name="cat", to="tiger")
    studio.act(2, type="rename_class", name="tiger", to="lion")
    undo(studio, 1)
    assert (names(studio), labels(studio, 1)) == (["cat"], ["cat"])
    redo(studio, 1)
    undo(studio, 2)
    assert (names(studio), labels(studio, 1)) == (["tiger"], ["tiger"])


def test_photos_opened_later_and_numbers_of_a_file_follow_a_renaming(tmp_path: Path):
    folder = make_folder(tmp_path / "photos", ("a.jpg", "b.png"))
    pixels = np.pad(np.ones((60, 80), bool), ((90, 90), (50, 190)))
    classes = Classes({"car": 3, "van": 8})
    records = [
        PhotoMasks(name, em.MaskSet([em.Mask.from_segmentation(pixels, label="van")]), classes=classes)
        for name in ("a.jpg", "b.png")
    ]
    write_file(find_format("coco"), tmp_path / "masks.json", records, WriteOptions(classes))
    with running(folder, FakeModel("sam2"), masks=[tmp_path / "masks.json"]) as studio:
        assert labels(studio, 1) == ["van"]
        studio.act(1, type="rename_class", name="van", to="bus")
        assert labels(studio, 2) == ["bus"]
        assert names(studio) == ["car", "bus"]
        assert exported_numbers(studio) == {"car": 3, "bus": 8}


def test_classes_of_a_clip_are_renamed_and_undone_with_those_of_photos(tmp_path: Path):
    folder = make_folder(tmp_path / "photos", ("a.jpg",))
    write_clip(folder / "run.mp4", 4)
    clip = "/api/clips/1"

    def called() -> list[str | None]:
        values = studio.get(clip)["values"]
        return [value["label"] for key, value in values.items() if key.startswith("object/")]

    for again in (False, True):  # the second time from the file
        with running(folder, FakeModel("sam2"), tracker=FakeTracker()) as studio:
            if not again:
                studio.act(1, type="polygon", rings=RING, label="ball")
                studio.act_on_clip(1, type="click", frame=0, x=30, y=45, label="ball")
                outcome = studio.act_on_clip(1, type="rename_class", name="ball", to="disc")
                assert outcome["patch"]["object/1"]["label"] == "disc"
                studio.act_on_clip(1, type="class", name="cup", color="#123456")
            assert (called(), labels(studio, 1), names(studio)) == (["disc"], ["disc"], ["disc", "cup"])
    with running(folder, FakeModel("sam2"), tracker=FakeTracker()) as studio:
        assert travel(studio, "undo", clip).status_code == 200
        assert names(studio) == ["disc"]
        outcome = travel(studio, "undo", clip).json()
        assert outcome["patch"]["object/1"]["label"] == "ball"
        assert (called(), labels(studio, 1), names(studio)) == (["ball"], ["ball"], ["ball"])
        assert travel(studio, "redo", clip).json()["renamed"] == ["ball", "disc"]
        # From the photo's side, too.
        studio.act(1, type="rename_class", name="disc", to="sun")
        assert called() == ["sun"]
        assert travel(studio, "undo", "/api/photos/1").status_code == 200
        assert called() == ["disc"]
