"""Folders, globs, lists and shards become entries, here and in a store."""

from __future__ import annotations

import os

import pytest

from everymask.batching.listing import Search, find_entries
from everymask.batching.reading import read_whole
from everymask.batching.storage import file_system
from everymask.errors import InputError, MissingExtraError
from tests.batching.files import png, save_parquet, save_photos, save_tar


def found(*words, listed=(), **search) -> dict[str, int]:
    return {
        entry.name: entry.size for entry in find_entries([str(w) for w in words], listed, Search(**search))
    }


@pytest.fixture
def photos(tmp_path):
    save_photos(tmp_path / "in", 2)
    save_photos(tmp_path / "in" / "sub", 1, first=7)
    (tmp_path / "in" / "notes.csv").write_text("x", "utf-8")
    (tmp_path / "in" / ".hidden.png").write_bytes(png(0))
    return tmp_path / "in"


@pytest.fixture
def store():
    """Object storage within this process."""
    files = file_system("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()


def test_a_folder_is_its_pictures_by_name(photos):
    assert list(found(photos)) == ["p000.png", "p001.png"]
    assert list(found(photos, recursive=True)) == ["p000.png", "p001.png", "sub/p007.png"]


def test_sizes_and_stamps_are_those_of_the_files(photos):
    (first, *_) = find_entries([str(photos)])
    status = os.stat(photos / "p000.png")
    assert first.size == status.st_size
    assert first.stamp == f"{status.st_size}-{status.st_mtime_ns}"
    assert read_whole(first) == (photos / "p000.png").read_bytes()


def test_the_output_within_the_input_is_left_out(photos):
    skip = (str(photos / "sub"),)
    assert list(found(photos, recursive=True, skip=skip)) == ["p000.png", "p001.png"]


def test_a_link_that_leads_back_up_is_not_followed(photos):
    (photos / "sub" / "up").symlink_to(photos)
    assert len(found(photos, recursive=True)) == 3


def test_two_folders_keep_their_names_apart(photos, tmp_path):
    save_photos(tmp_path / "more", 1)
    assert list(found(photos, tmp_path / "more")) == ["in/p000.png", "in/p001.png", "more/p000.png"]
    save_photos(tmp_path / "other" / "in", 1)
    assert len(found(photos, tmp_path / "other" / "in")) == 3


def test_a_glob_names_photos_from_its_fixed_part(photos):
    assert list(found(f"{photos}/**/p*7.png")) == ["sub/p007.png"]
    assert list(found(f"{photos}/*.png")) == ["p000.png", "p001.png"]


def test_one_photo_is_called_by_its_own_name(photos):
    assert list(found(photos / "p001.png")) == ["p001.png"]
    assert list(found(photos / "p001.png", photos / "p000.png")) == ["p001.png", "p000.png"]


@pytest.mark.parametrize("word", ["nowhere", "no/*.png"])
def test_a_word_that_means_nothing_is_said(word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"neither a file|matches nothing"):
        found(word)


def test_lists_are_read_from_lines_and_files(photos, tmp_path):
    lines = [f"{photos}/p001.png\n", "\n", "gone.png"]
    assert list(found("-", listed=lines)) == [f"{photos}/p001.png".lstrip("/"), "gone.png"]
    (tmp_path / "list.txt").write_text("".join(lines), "utf-8")
    assert list(found(tmp_path / "list.txt")) == [f"{photos}/p001.png".lstrip("/"), "gone.png"]


def test_a_tar_shard_is_its_pictures(tmp_path):
    members = {"a/0.png": png(1), "a/0.json": b"{}", "a/._0.png": b"mac", "a/1.png": png(2)}
    save_tar(tmp_path / "s.tar", members)
    listed = list(find_entries([str(tmp_path / "s.tar")]))
    assert [entry.name for entry in listed] == ["s.tar/a/0.png", "s.tar/a/1.png"]
    assert [read_whole(entry) for entry in listed] == [png(1), png(2)]
    assert list(found(tmp_path)) == ["s.tar/a/0.png", "s.tar/a/1.png"]


def test_a_compressed_tar_is_refused_with_what_to_do(tmp_path):
    save_tar(tmp_path / "s.tar", {"a.png": png(1)}, "w:gz")
    with pytest.raises(InputError, match="has to be unpacked"):
        found(tmp_path / "s.tar")


def test_a_parquet_of_pictures_is_its_rows(tmp_path):
    pictures = [png(number) for number in range(5)]
    save_parquet(tmp_path / "d.parquet", {"image": [{"bytes": each, "path": "x"} for each in pictures]})
    listed = list(find_entries([str(tmp_path / "d.parquet")]))
    assert [entry.name for entry in listed] == [f"d.parquet/{number}" for number in range(5)]
    assert [read_whole(entry) for entry in listed] == pictures
    save_parquet(tmp_path / "b.parquet", {"jpg": pictures, "label": list("abcde")})
    assert [read_whole(entry) for entry in find_entries([str(tmp_path / "b.parquet")])] == pictures


def test_a_parquet_of_addresses_is_the_files_they_name(photos, tmp_path):
    save_parquet(tmp_path / "d.parquet", {"path": [str(photos / "p000.png"), None], "n": [1, 2]})
    (only,) = find_entries([str(tmp_path / "d.parquet")])
    assert read_whole(only) == png(0)


def test_a_parquet_with_a_choice_of_columns_asks_which(tmp_path):
    save_parquet(tmp_path / "d.parquet", {"before": [png(0)], "after": [png(1)], "n": [1]})
    with pytest.raises(
        InputError, match="2 columns that may hold pictures; name one of before, after, n with"
    ):
        found(tmp_path / "d.parquet")
    (entry,) = find_entries([str(tmp_path / "d.parquet")], (), Search(column="after"))
    assert read_whole(entry) == png(1)
    with pytest.raises(InputError, match="has no column 'n' of pictures"):
        found(tmp_path / "d.parquet", column="n")


def test_a_file_that_is_no_parquet_is_said(tmp_path):
    (tmp_path / "d.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="is not a Parquet file"):
        found(tmp_path / "d.parquet")


def test_a_store_is_listed_and_read_as_a_folder_is(store):
    for name in ("a/x.png", "a/y.png", "a/b/z.png", "a/n.txt"):
        store.pipe_file(f"/{name}", png(len(name)))
    assert list(found("memory://a")) == ["x.png", "y.png"]
    assert list(found("memory://a", recursive=True)) == ["b/z.png", "x.png", "y.png"]
    assert list(found("memory://a/*.png")) == ["x.png", "y.png"]
    (entry,) = find_entries(["memory://a/x.png"])
    assert (entry.name, read_whole(entry)) == ("x.png", png(7))
    assert entry.stamp


def test_shards_in_a_store_are_read_by_place(store, tmp_path):
    save_tar(tmp_path / "s.tar", {"0.png": png(1), "1.png": png(2)})
    save_parquet(tmp_path / "d.parquet", {"image": [png(3), png(4)]})
    store.put(str(tmp_path / "s.tar"), "/a/s.tar")
    store.put(str(tmp_path / "d.parquet"), "/a/d.parquet")
    listed = [*find_entries(["memory://a"]), *find_entries(["memory://a/d.parquet"])]
    assert [read_whole(entry) for entry in listed] == [png(1), png(2), png(3), png(4)]


def test_a_store_that_holds_nothing_is_said(store):
    with pytest.raises(InputError, match="there is nothing at memory://nowhere"):
        found("memory://nowhere")


def test_an_unknown_protocol_is_said():
    with pytest.raises(InputError, match="nothing reads gopher:// addresses"):
        found("gopher://a/b")


def test_a_package_that_is_missing_is_named(monkeypatch):
    import fsspec

    def absent(protocol):
        raise ImportError("Install adlfs to access Azure")

    file_system.cache_clear()
    monkeypatch.setattr(fsspec, "get_filesystem_class", absent)
    with pytest.raises(MissingExtraError, match="pip install adlfs"):
        found("az://bucket/a")
