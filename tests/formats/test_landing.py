from __future__ import annotations

import os

import pytest

from everymask.formats.landing import landing


def test_a_file_takes_the_place_of_a_file_and_a_folder_that_of_a_folder(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with landing(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new"
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "old").touch()
    with landing(tmp_path / "b") as temporary:
        temporary.mkdir()
    assert list((tmp_path / "b").iterdir()) == []


def test_a_file_never_takes_the_place_of_a_folder(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "dear.jpg").write_text("one of a kind")
    with (
        pytest.raises(IsADirectoryError, match="photos is a folder; name a file to write to"),
        landing(tmp_path / "photos") as temporary,
    ):
        temporary.write_text("masks")
    assert (tmp_path / "photos" / "dear.jpg").read_text() == "one of a kind"
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no such permissions")
def test_what_lands_can_be_read_by_whom_new_files_can(tmp_path):
    (tmp_path / "usual").touch()
    with landing(tmp_path / "weights") as temporary:
        temporary.touch(0o600)
    assert (tmp_path / "weights").stat().st_mode == (tmp_path / "usual").stat().st_mode
