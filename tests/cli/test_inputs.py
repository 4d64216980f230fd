"""Which photos a command line means, what they are called, and where their outputs go."""

import os
import time

import pytest

from everymask.cli.shared.inputs import Keys, find_photos
from everymask.errors import InputError


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("b.jpg", "a.PNG", "notes.txt", ".hidden.jpg", "sub/c.tif", "sub/deep/b.jpg"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*words, **options):
    return [photo.name for photo in find_photos(words, **options)]


def keys(*words, **options):
    return [photo.key for photo in find_photos(words, **options)]


def test_a_folder_gives_its_pictures_sorted_without_hidden_ones(tree):
    assert names("in") == ["a.PNG", "b.jpg"]


def test_recursive_goes_down_and_names_are_relative(tree):
    assert names("in", recursive=True) == ["a.PNG", "b.jpg", "sub/c.tif", "sub/deep/b.jpg"]
    assert keys("in", recursive=True) == ["a", "b", "sub/c", "sub/deep/b"]


def test_globs_files_and_stdin(tree):
    assert names("in/*.jpg") == ["b.jpg"]
    assert names("in/**/*.tif") == ["c.tif"]
    assert names("in/notes.txt") == ["notes.txt"]
    assert names("-", listed=["in/b.jpg\n", "\n", "in/sub/c.tif\r\n"]) == ["b.jpg", "c.tif"]


def test_a_photo_named_twice_is_one(tree):
    assert names("in/b.jpg", "in", "in/*.jpg") == ["b.jpg", "a.PNG"]


def test_equal_stems_get_different_keys(tree):
    for name in ("x.jpg", "x.png", "X.webp", "x_png.jpg"):
        (tree / "in" / name).write_bytes(b"")
    found = find_photos(["in"])
    assert len({photo.key.casefold() for photo in found}) == len(found)
    assert {"x.jpg": "x_jpg", "x.png": "x_png", "X.webp": "X"}.items() <= {
        p.name: p.key for p in found
    }.items()


def test_equal_names_from_different_folders_are_told_apart(tree):
    assert names("in/b.jpg", "in/sub/deep/b.jpg") == ["b.jpg", "sub/deep/b.jpg"]
    assert keys("in/b.jpg", "in/sub/deep/b.jpg") == ["b", "sub/deep/b"]


def test_no_output_is_a_folder_of_another(tree):
    (tree / "in" / "sub.jpg").write_bytes(b"")
    assert keys("in", recursive=True) == ["a", "b", "sub/c", "sub/deep/b", "sub_jpg"]
    assert keys("in/sub.jpg", "in", recursive=True) == ["sub", "a", "b", "sub_c", "sub_deep_b"]


def test_photos_keep_the_place_they_had(tree):
    (tree / "in" / "b.png").write_bytes(b"")
    source = str((tree / "in" / "b.png").absolute())
    assert dict(zip(names("in"), keys("in"), strict=True)) == {"a.PNG": "a", "b.jpg": "b", "b.png": "b_png"}
    taken = {source: ("b.png", "b")}
    assert dict(zip(names("in", taken=taken), keys("in", taken=taken), strict=True)) == {
        "a.PNG": "a",
        "b.jpg": "b_jpg",
        "b.png": "b",
    }


def test_keys_do_not_depend_on_which_photos_are_finished(tree):
    for name in ("x.jpg", "x.png", "x.webp", "x.tif"):
        (tree / "in" / name).write_bytes(b"")
    at_once = find_photos(["in"])
    for finished in (at_once[:1], at_once[2:4], at_once[3:]):
        taken = {photo.source: (photo.name, photo.key) for photo in finished}
        assert find_photos(["in"], taken=taken) == at_once


def test_the_output_folder_is_not_searched(tree):
    assert names("in", recursive=True, skip=frozenset({(tree / "in" / "sub").absolute()})) == [
        "a.PNG",
        "b.jpg",
    ]


def test_broken_links_and_folders_called_like_pictures_are_handed_on(tree):
    os.symlink("nowhere", tree / "in" / "link.jpg")
    (tree / "in" / "folder.jpg").mkdir()
    assert names("in") == ["a.PNG", "b.jpg", "folder.jpg", "link.jpg"]


@pytest.mark.parametrize(
    ("word", "message"), [("none.jpg", "is neither a file nor a folder"), ("in/*.gif", "matches nothing")]
)
def test_a_word_that_means_nothing(tree, word, message):
    with pytest.raises(InputError, match=message):
        find_photos([word])


# --- names and folders that other people have ---------------------------------------------------------


def test_a_name_that_is_not_utf_8_gets_a_printable_one(tree):
    (tree / "in" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"")
    found = {photo.path.name: (photo.name, photo.key) for photo in find_photos(["in"])}
    assert found[os.fsdecode(b"caf\xe9.jpg")] == ("caf%E9.jpg", "caf%E9")


def test_links_that_lead_back_are_not_followed(tree):
    (tree / "in" / "sub" / "up").symlink_to(tree / "in", target_is_directory=True)
    (tree / "in" / "self").symlink_to(tree / "in" / "self")
    (tree / "in" / "gone").symlink_to(tree / "nowhere")
    assert names("in", recursive=True) == ["a.PNG", "b.jpg", "sub/c.tif", "sub/deep/b.jpg"]


def test_a_link_to_a_folder_elsewhere_is_followed(tree):
    (tree / "other").mkdir()
    (tree / "other" / "x.jpg").write_bytes(b"")
    (tree / "in" / "linked").symlink_to(tree / "other", target_is_directory=True)
    assert names("in", recursive=True)[2] == "linked/x.jpg"


def test_a_way_round_about_means_the_same_photo(tree):
    assert names("in/b.jpg", "in/sub/../b.jpg", "in/sub/deep/../../*.jpg") == ["b.jpg"]
    (tree / "other" / "far").mkdir(parents=True)
    (tree / "other" / "b.jpg").write_bytes(b"")
    (tree / "in" / "link").symlink_to(tree / "other" / "far", target_is_directory=True)
    (photo,) = find_photos(["in/link/../b.jpg"])  # not in/b.jpg
    assert photo.path.samefile(tree / "other" / "b.jpg")
    assert names("in/sub/..") == ["a.PNG", "b.jpg"]


def test_what_earlier_runs_wrote_is_not_taken_for_photos(tree):
    for name in ("out/.everymask/predict.json", "out/overlay/a.jpg", "out/cutouts/a/1.png", "out/b.jpg"):
        (tree / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / "in" / name).write_bytes(b"")
    assert names("in", recursive=True) == ["a.PNG", "b.jpg", "out/b.jpg", "sub/c.tif", "sub/deep/b.jpg"]
    assert names("in/out/overlay") == ["a.jpg"], "asked for by name"


MANY = {
    "in folders": lambda number: f"folder{number % 100}/{number}.jpg",
    "two of each stem": lambda number: f"{number // 2}.{'jpg' if number % 2 else 'png'}",
    "all of one name": lambda number: "same.jpg",
    "deep": lambda number: f"{number % 7}/{number % 11}/{number % 13}/{number}.jpg",
}


@pytest.mark.parametrize("case", MANY)
def test_the_time_that_names_take_grows_with_their_number_and_no_faster(case):
    def named(count):
        keys, names = Keys([]), [MANY[case](number) for number in range(count)]
        start = time.process_time()
        return [keys.new(name) for name in names], time.process_time() - start

    few = min(named(10_000)[1] for _ in range(3))
    found, seconds = named(100_000)
    assert seconds < 40 * few, "ten times as many; in squares it would be a hundred"
    assert len(set(found)) == 100_000
    assert (found[0], found[-1]) == {
        "in folders": ("folder0/0", "folder99/99999"),
        "two of each stem": ("0", "49999_jpg"),
        "all of one name": ("same", "same_jpg_99999"),
        "deep": ("0/0/0/0", "4/9/3/99999"),
    }[case]
