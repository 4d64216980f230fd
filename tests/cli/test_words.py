"""``everymask find``, ``segment --text`` and ``--name``, ``erase``: words and holes from the shell."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import everymask as em
from everymask.cli.main import run
from everymask.everything.options_file import write_options
from everymask.words.detect import lite

SHIPPED = Path(em.__file__).parent / "assets" / "photo.jpg"


@pytest.fixture
def here(tmp_path, monkeypatch):
    shutil.copyfile(SHIPPED, tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVERYMASK_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def two_masks(monkeypatch):
    """Everything mode finds both halves of the photo; the classifier sees an espresso and a car."""
    left = np.zeros((400, 600), bool)
    left[:, :300] = True
    masks = em.MaskSet([em.Mask.from_segmentation(each, predicted_iou=0.9) for each in (left, ~left)])
    monkeypatch.setattr(em.AutomaticMaskGenerator, "generate", lambda self, photo, *_, **__: masks)

    def probabilities(photo, some, network):
        rows = np.full((len(some), 1000), 1e-5, np.float32)
        rows[0, 967], rows[1, 817] = 0.9, 0.9  # espresso, sports car
        return rows, rows

    monkeypatch.setattr(lite, "probabilities", probabilities)
    return masks


def test_find_writes_masks_with_the_words_as_classes_in_their_order(here, two_masks):
    assert run(["find", "photo.jpg", "--text", "vehicle . beverage", "--text", "dog", "-f", "coco"]) == 0
    content = json.loads((here / "out/coco.json").read_text())
    names = {each["id"]: each["name"] for each in content["categories"]}
    assert list(names.values()) == ["vehicle", "beverage", "dog"]
    assert sorted(names[each["category_id"]] for each in content["annotations"]) == ["beverage", "vehicle"]


def test_find_chooses_from_masks_made_with_the_options_of_a_file(here, two_masks, monkeypatch, capsys):
    asked = []
    made = em.AutomaticMaskGenerator.__init__
    monkeypatch.setattr(
        em.AutomaticMaskGenerator,
        "__init__",
        lambda self, model, **options: (asked.append(options), made(self, model, **options))[1],
    )
    write_options(here / "own.toml", {"points_per_side": 5, "effort": "exact"})
    command = ["find", "photo.jpg", "--text", "vehicle", "-f", "coco", "--options", "own.toml"]
    assert run(command) == 0
    assert asked[-1] == {"points_per_side": 5, "effort": "exact"}
    assert run([*command, "--detector", "owlv2_base", "--overwrite"]) == 2
    assert "--options is of everything mode, which owlv2_base does not use" in capsys.readouterr().err


def test_segment_takes_text_too_and_at_most_and_threshold_bound_it(here, two_masks):
    assert run(["segment", "photo.jpg", "--text", "vehicle", "-f", "coco", "--threshold", "0.95"]) == 0
    assert json.loads((here / "out/coco.json").read_text())["annotations"] == []


def test_a_vocabulary_file_labels_photos_for_yolo(here, two_masks):
    (here / "words.txt").write_text("# mine\ndog\n\nbeverage\n", "utf-8")
    assert run(["find", "photo.jpg", "--vocabulary", "words.txt", "-f", "yolo"]) == 0
    assert "0: dog\n" in (here / "out/yolo/data.yaml").read_text()
    assert (here / "out/yolo/labels/photo.txt").read_text().startswith("1 ")


def test_a_line_of_a_vocabulary_is_one_word_and_a_text_may_have_commas(here, two_masks, capsys):
    (here / "words.txt").write_text("sports car\nSt. Nobody\n", "utf-8")
    assert run(["find", "photo.jpg", "--vocabulary", "words.txt"]) == 2
    assert "'St. Nobody' is no kind of thing" in capsys.readouterr().err
    assert run(["find", "photo.jpg", "--text", "the dog, vehicle", "-f", "yolo"]) == 0
    assert "0: the dog\n  1: vehicle\n" in (here / "out/yolo/data.yaml").read_text()


def test_segment_names_masks(here, two_masks):
    assert run(["segment", "photo.jpg", "--name", "-f", "coco"]) == 0
    content = json.loads((here / "out/coco.json").read_text())
    names = {each["id"]: each["name"] for each in content["categories"]}
    assert [names[each["category_id"]] for each in content["annotations"]] == ["espresso", "sports car"]


def test_words_without_a_mask_are_told_with_how_near_they_came(here, two_masks, capsys):
    assert run(["find", "photo.jpg", "--text", "dog . vehicle . quail", "-f", "coco"]) == 0
    said = capsys.readouterr().err
    assert "warning: nothing found for 'quail' (best score 0.00)" in said
    assert "'dog' (best score 0.00); finds count from 0.15: try a lower --threshold" in said
    assert "vehicle" not in said
    command = ["find", "photo.jpg", "--text", "conveyance, vehicle", "-f", "coco", "-o", "b"]
    assert run(command) == 0
    assert "what answers to 'conveyance' answers to another of the words better" in capsys.readouterr().err
    shutil.copyfile(here / "photo.jpg", here / "other.jpg")
    again = ["find", "photo.jpg", "other.jpg", "--text", "conveyance, vehicle", "-f", "coco", "-o", "b"]
    assert run(again) == 0
    assert "warning: among the photos done now, what answers to 'conveyance'" in capsys.readouterr().err
    nothing = ["find", "photo.jpg", "--text", "vehicle", "--threshold", "0.99", "-f", "coco", "-o", "c"]
    for _ in range(2):  # the second time the photo is finished, and nobody looks
        assert run(nothing) == 0
        said = capsys.readouterr().err
        assert "try a lower --threshold" in said
        assert "--pred-iou-thresh" not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("find photo.jpg", "nothing to look for"),
        ("find photo.jpg --text quasar", "'quasar' is no kind of thing"),
        ("find photo.jpg --text quasar.dog.entropy", "2 of 3 words are no kinds of things"),
        ("find photo.jpg --text .", "must name what to look for"),
        ("find photo.jpg --vocabulary none.txt", "--vocabulary none.txt cannot be read"),
        ("find photo.jpg --vocabulary photo.jpg", "is no text in UTF-8"),
        ("find photo.jpg --text dog --at-most 0", "--at-most must be at least 1"),
        ("find photo.jpg --text dog --threshold 2", "--threshold must be from 0 to 1"),
        ("find photo.jpg --text dog --detector magic", "detector must be one of"),
        ("find photo.jpg --like 1,2,30", "--like must be X0,Y0,X1,Y1 in pixels, got '1,2,30'"),
        ("find photo.jpg --like 1,2,30,40", "for SAM 3 alone, not lite"),
        ("find photo.jpg b.jpg --like 1,2,30,40", "are boxes in one photo; give one photo"),
        ("find . --unlike 1,2,30,40", "are boxes in one photo; give one photo"),
        ("segment photo.jpg --text dog --name", "leave out --name"),
        ("erase photo.jpg", "nothing to erase"),
        ("erase photo.jpg --text quasar", "'quasar' is no kind of thing"),
        ("erase photo.jpg --point 3,4 --engine magic", "engine must be one of"),
        ("erase none.jpg --point 3,4", "there is no picture"),
        ("erase photo.jpg --point 3000,4", "3000"),
    ],
)
def test_what_is_wrong_is_one_line(here, capsys, words, said):
    assert run(words.split()) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("error: ")
    assert len(error.strip().splitlines()) == 1


def test_erase_takes_a_mask_file_and_keeps_every_other_pixel(here, capsys):
    mask = np.zeros((400, 600), np.uint8)
    mask[100:140, 200:260] = 255
    cv2.imwrite("bin.png", mask)
    command = ["erase", "photo.jpg", "--mask", "bin.png", "--engine", "opencv", "-o", "without.png"]
    assert run([*command, "--grow", "0", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"photo": "photo.jpg", "area": 2400, "written": ["without.png"]}
    before, after = em.read_photo("photo.jpg"), em.read_photo("without.png")
    np.testing.assert_array_equal(before[mask == 0], after[mask == 0])
    assert (before[mask > 0] != after[mask > 0]).any()
    assert run(["erase", "photo.jpg", "--mask", "bin.png", "-o", "without.png"]) == 2
    assert "is there already" in capsys.readouterr().err


def test_erase_takes_words_and_says_when_there_is_nothing(here, two_masks, capsys):
    assert run(["erase", "photo.jpg", "--text", "vehicle", "--engine", "opencv"]) == 0
    assert "erased 120,000 px" in capsys.readouterr().err
    assert (here / "out/erased/photo.png").exists()
    assert run(["erase", "photo.jpg", "--text", "dog", "-o", "other"]) == 2
    assert "no dog was found" in capsys.readouterr().err


def test_a_click_erases_what_is_under_it(here):
    assert run(["erase", "photo.jpg", "--point", "300,60", "-o", "out.png", "--engine", "opencv"]) == 0
    assert (em.read_photo("out.png")[150, 300] != em.read_photo("photo.jpg")[150, 300]).any()


def test_deep_and_transparent_photos_are_written_as_they_were(here):
    random = np.random.default_rng(0)
    cv2.imwrite("deep.png", (random.random((60, 80)) * 60000).astype(np.uint16))
    cv2.imwrite("clear.png", random.integers(0, 255, (60, 80, 4), np.uint8))
    mask = np.zeros((60, 80), np.uint8)
    mask[20:30, 20:40] = 255
    cv2.imwrite("m.png", mask)
    for name in ("deep", "clear"):
        assert run(f"erase {name}.png --mask m.png --grow 0 -o {name}_out.png --engine opencv".split()) == 0
        before, after = (cv2.imread(f"{name}{end}.png", cv2.IMREAD_UNCHANGED) for end in ("", "_out"))
        assert (before.dtype, before.shape) == (after.dtype, after.shape)
        np.testing.assert_array_equal(before[mask == 0], after[mask == 0])


def test_a_sound_file_says_what_to_find(here, two_masks, monkeypatch, capsys):
    from everymask.words.listen import understand as module
    from everymask.words.listen.commands import read_command

    def understand(speech, vocabulary=None, recogniser=None):
        assert speech == Path("say.wav")
        return module.Heard("find the vehicle", read_command("find the vehicle"), ("qwxz",))

    monkeypatch.setattr(module, "understand", understand)
    assert run(["find", "photo.jpg", "--audio", "say.wav", "--text", "vehicle . dog", "-f", "coco"]) == 0
    said = capsys.readouterr().err
    assert "note: heard 'find the vehicle'" in said
    assert "note: no pronunciation is known of qwxz" in said
    assert len(json.loads((here / "out/coco.json").read_text())["annotations"]) == 1
    assert run(["find", "photo.jpg", "--audio", "say.wav", "--text", "dog . cat", "-f", "coco"]) == 2
    assert "heard 'vehicle', which is none of dog, cat" in capsys.readouterr().err
    assert run(["find", "photo.jpg", "--audio", "say.wav", "--listen"]) == 2
    assert "give one of them" in capsys.readouterr().err
