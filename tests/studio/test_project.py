"""The project file: history, versions, other processes, other files."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from everymask import Mask
from everymask.errors import InputError, SessionError
from everymask.studio.document import Document, Item
from everymask.studio.project import Project, StaleError


def item(id: int, column: int) -> Item:
    pixels = np.zeros((2, 3), bool)
    pixels[:, column] = True
    return Item(id, Mask.from_segmentation(pixels, label=f"column {column}"))


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "project.db")
    project.add_photos(["a.jpg"])
    yield project
    project.close()


def test_undo_and_redo_lead_back_and_forth(project):
    empty = Document((2, 3))
    project.begin(1, empty)
    one = empty.with_items(item(1, 0))
    project.commit(1, 0, one, "add one")
    state, _ = project.commit(1, 1, one.with_items(item(2, 1)), "add two")
    assert (state.undo, state.redo) == ("add two", None)
    state, patch = project.undo(1, 2)
    assert patch["masks"] == {"2": None}
    assert (state.undo, state.redo, list(state.document.items)) == ("add one", "add two", [1])
    state, _ = project.redo(1, 3)
    assert list(state.document.items) == [1, 2]
    with pytest.raises(InputError, match="nothing to redo"):
        project.redo(1, 4)


def test_a_new_action_forgets_what_could_be_redone_but_no_number_is_used_twice(project):
    project.begin(1, Document((2, 3)))
    project.commit(1, 0, Document((2, 3)).with_items(item(1, 0)), "add")
    state, _ = project.undo(1, 1)
    assert state.document.next_id == 2
    state, _ = project.commit(1, 2, state.document.with_items(item(2, 1)), "add")
    assert state.redo is None
    assert list(state.document.items) == [2]


def test_a_stale_version_changes_nothing(project):
    project.begin(1, Document((2, 3)))
    project.commit(1, 0, Document((2, 3)).with_items(item(1, 0)), "add")
    with pytest.raises(StaleError, match=r"changed elsewhere \(version 1, this page knows 0\)"):
        project.commit(1, 0, Document((2, 3)), "delete")
    assert list(project.state(1).document.items) == [1]


def test_everything_is_there_when_opened_again(tmp_path):
    first = Project(tmp_path / "project.db")
    first.add_photos(["a.jpg"])
    first.begin(1, Document((2, 3)))
    two = Document((2, 3)).with_items(item(1, 0), item(2, 2)).in_order([2, 1])
    first.commit(1, 0, two, "add")
    first.set_setting("classes", [{"name": "x"}])
    first.mark_done(1, True)
    before = first.state(1)
    first.close()
    again = Project(tmp_path / "project.db")
    after = again.state(1)
    assert after.document.to_json() == before.document.to_json()
    assert (after.version, after.head, after.undo) == (1, 1, "add")
    assert again.setting("classes") == [{"name": "x"}]
    assert [(row.done, row.masks) for row in again.photos()] == [(True, 2)]
    again.close()


def test_a_second_studio_on_the_same_project_is_told(tmp_path, project):
    code = "import sys; from pathlib import Path; from everymask.studio.project import Project\n"
    code += "try: Project(Path(sys.argv[1]))\nexcept Exception as error: print(error)"
    command = [sys.executable, "-c", code, str(project.path)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "another studio has project.db open" in outcome.stdout


@pytest.mark.parametrize("content", [b"something else entirely, long enough for a header" * 20, None])
def test_a_file_that_is_no_project_is_left_alone(tmp_path, content):
    path = tmp_path / "other.db"
    if content is None:
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE theirs(x)")
        other.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(SessionError, match=r"other.db is no project of this studio"):
        Project(path)
    assert path.read_bytes() == before


def test_what_a_file_said_of_a_mask_stays_with_it():
    mask = item(1, 0).mask.replace(attributes={"iscrowd": np.int64(1), "file_id": "x7"})
    kept = Item.from_json(Item(1, mask).to_json(), (2, 3))
    assert dict(kept.mask.attributes) == {"iscrowd": 1, "file_id": "x7"}
    before = Item(1, mask).to_json()
    del before["attributes"]  # a project of an earlier version
    assert dict(Item.from_json(before, (2, 3)).mask.attributes) == {}
