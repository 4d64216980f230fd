"""everymask convert: between formats, filtered, drawn, and with every loss said."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from everymask import formats
from everymask.cli import main as cli
from everymask.maskset import Mask, MaskSet
from tests.formats.mask_examples import PHOTO_HW, apart_masks, example_masks


def run(*words: str) -> int:
    return cli.run(list(words))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A COCO file of two photos, and the photos."""
    monkeypatch.chdir(tmp_path)
    photos = [
        formats.PhotoMasks("a.jpg", example_masks(labels=True)),
        formats.PhotoMasks("sub/b.jpg", apart_masks()),
    ]
    options = formats.WriteOptions(formats.categories_of(photos))
    formats.write_file(formats.FORMATS["coco"], tmp_path / "coco.json", photos, options)
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    for name in ("a.jpg", "sub/b.jpg"):
        Image.new("RGB", PHOTO_HW[::-1], (200, 100, 50)).save(tmp_path / "photos" / name)
    return tmp_path


@pytest.mark.parametrize(
    "name", [n for n, each in formats.FORMATS.items() if each.holds_holes and n != "coco"]
)
def test_there_and_back_again(folder, name, capsys):
    assert run("convert", "coco.json", "--format", name, "-o", "there") == 0
    format_ = formats.FORMATS[name]
    if format_.per == "run":
        path = next(folder.joinpath("there").glob(f"[!.]*{format_.suffix}"))
    else:
        path = folder / "there" / name
    assert run("convert", str(path), "--format", "coco", "-o", "back", "--photos", "photos") == 0
    back = {each.photo: each.masks for each in formats.read_photos(folder / "back" / "coco.json")}
    assert set(back) == {"a.jpg", "sub/b.jpg"}
    expected = apart_masks()
    assert np.array_equal(back["sub/b.jpg"].segmentations(), expected.segmentations())


def test_masks_are_drawn_again_without_a_format(folder):
    assert run("convert", "coco.json", "--overlay", "--cutouts", "--photos", "photos") == 0
    assert sorted(each.name for each in (folder / "out").glob("[!.]*")) == ["cutouts", "overlay"]
    assert (folder / "out" / "overlay" / "sub" / "b.jpg").exists()


def test_a_file_meant_twice_is_read_once(folder, capsys):
    assert run("convert", "*.json", "coco.json", "-f", "sa1b") == 0
    assert "2 photos, 8 masks" in capsys.readouterr().err


def test_losses_are_said(folder, capsys):
    assert run("convert", "coco.json", "-f", "yolo", "-f", "labelmap", "--rings", "largest") == 0
    said = capsys.readouterr().err
    assert "yolo cannot hold all: " in said
    assert "had holes filled" in said
    assert "labelmap cannot hold all: " in said
    assert "lost pixels to a mask lying over them" in said


def test_yolo_gets_one_list_of_classes_for_all_photos(folder):
    assert run("convert", "coco.json", "-f", "yolo") == 0
    text = (folder / "out" / "yolo" / "data.yaml").read_text()
    assert "0: cat\n  1: dog\n  2: object" in text
    assert run("convert", "out/yolo", "-f", "coco", "-o", "back", "--photos", "photos") == 0
    (first, second) = formats.read_photos(folder / "back" / "coco.json")
    assert [mask.label for mask in first.masks] == ["cat", None, "dog", "cat", None]
    assert (first.photo, second.photo) == ("a.jpg", "sub/b.jpg")


def test_yolo_without_photos_is_a_named_failure(folder, capsys):
    run("convert", "coco.json", "-f", "yolo")
    assert run("convert", "out/yolo", "-f", "coco", "-o", "back") == 1
    assert "failed: out/yolo/labels/a.txt: " in capsys.readouterr().err


def test_masks_are_filtered(folder):
    assert run("convert", "coco.json", "-f", "sa1b", "--min-area", "80", "--min-predicted-iou", "0.905") == 0
    kept = formats.read_masks(folder / "out" / "sa1b" / "a.json")
    assert [mask.predicted_iou for mask in kept] == [0.91, 0.93]
    assert run("convert", "coco.json", "-f", "coco", "--label", "dog", "-o", "dogs") == 0
    assert len(formats.read_masks(folder / "dogs" / "coco.json", photo="a.jpg")) == 1


def test_overlays_and_cutouts_are_drawn_from_the_photos(folder, capsys):
    assert run("convert", "coco.json", "-f", "coco", "--overlay", "--cutouts", "--photos", "photos") == 0
    assert (folder / "out" / "overlay" / "sub" / "b.jpg").exists()
    assert (folder / "out" / "cutouts" / "a" / "4.png").exists()
    assert run("convert", "coco.json", "-f", "coco", "--overlay", "-o", "x") == 2
    assert (
        "drawing needs the photo 'a.jpg'; say where the photos are: --photos FOLDER"
        in capsys.readouterr().err
    )


def test_a_photo_of_another_size_is_refused(folder, capsys):
    Image.new("RGB", (10, 10)).save(folder / "photos" / "a.jpg")
    assert run("convert", "coco.json", "-f", "coco", "--overlay", "--photos", "photos") == 2
    assert "a.jpg is 10 x 10, its masks are 60 x 40; was the photo resized?" in capsys.readouterr().err


def test_a_bad_file_is_named_and_the_others_are_converted(folder, capsys):
    (folder / "bad.json").write_text("{}")
    assert run("convert", "coco.json", "bad.json", "-f", "cvat", "--json") == 1
    said = capsys.readouterr()
    assert "failed: bad.json: bad.json is none of the JSON formats of masks" in said.err
    facts = json.loads(said.out)
    assert (facts["photos"], facts["masks"], list(facts["failed"])) == (2, 8, ["bad.json"])


def test_names_in_a_file_do_not_lead_out_of_the_folder(folder):
    photos = [
        formats.PhotoMasks("../../evil.jpg", apart_masks()),
        formats.PhotoMasks("/etc/evil.jpg", apart_masks()),
    ]
    formats.write_file(formats.FORMATS["coco"], folder / "evil.json", photos, formats.WriteOptions())
    assert run("convert", "evil.json", "-f", "sa1b") == 0
    written = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*evil*.json"))
    assert written == ["evil.json", "out/sa1b/etc/evil.json", "out/sa1b/evil.json"]


def test_wrong_use(folder, capsys):
    assert run("convert", "coco.json") == 2
    assert "say what to write: --format NAME, --overlay or --cutouts" in capsys.readouterr().err
    assert run("convert", "none.json", "-f", "coco") == 2
    assert "'none.json' is neither a file nor a folder of masks" in capsys.readouterr().err
    assert run("convert", "coco.json") == 2
    assert "--format" in capsys.readouterr().err
    assert run("convert", "coco.json", "-f", "coco", "--from", "koko") == 2
    assert run("convert", "coco.json", "-f", "coco", "--photos", "none") == 2
    assert "--photos must be a folder, 'none' is none" in capsys.readouterr().err


def test_an_unknown_label_lists_the_known_ones(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    masks = [square_mask(0, label="cat"), square_mask(8, label="dog"), square_mask(16)]
    MaskSet(masks).save("labelled.json", format="coco")
    assert run("convert", "labelled.json", "-f", "labelmap", "--label", "bird") == 2
    assert "no mask has the label 'bird'; the labels are cat, dog" in capsys.readouterr().err
    assert run("convert", "labelled.json", "-f", "coco", "--label", "cat", "--label", "dog", "-o", "two") == 0
    assert [mask.label for mask in formats.read_masks("two/coco.json")] == ["cat", "dog"]


def square_mask(left, **known):
    pixels = np.zeros((30, 40), bool)
    pixels[2:8, left : left + 6] = True
    return Mask.from_segmentation(pixels, **known)


def test_the_largest_first_and_no_more_than_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    masks = [square_mask(0), square_mask(0), square_mask(5)]
    masks[1] = Mask.from_segmentation(np.ones((30, 40)))
    MaskSet(masks).save("some.json", format="coco")
    assert run("convert", "some.json", "-f", "coco", "--top", "2", "--sort", "area", "-o", "two") == 0
    assert [mask.area for mask in formats.read_masks("two/coco.json")] == [1200, 36]
    assert run("convert", "some.json", "-f", "coco", "--min-area", "2000", "-o", "none") == 0
    assert "none of 3 masks is left by --min-area 2000;" in capsys.readouterr().err


def batch_in(folder, name: str, photos: dict[str, MaskSet | None]) -> None:
    """What everymask batch leaves: two parts, a photo without masks among them."""
    from everymask.formats.photo_rows import PhotoRow, table_bytes, to_table

    (folder / name / "parts").mkdir(parents=True)
    (folder / name / "plan").mkdir()
    (folder / name / "plan" / "000000.parquet").write_bytes(b"not for convert")
    (folder / name / "manifest.json").write_text("{}", "utf-8")
    rows = [
        PhotoRow(
            bytes(16), photo, photo, "k", masks and formats.PhotoMasks(photo, masks), "" if masks else "torn"
        )
        for photo, masks in photos.items()
    ]
    for number, part in enumerate((rows[:2], rows[2:])):
        path = folder / name / "parts" / f"000000-{number:04d}.parquet"
        path.write_bytes(table_bytes(to_table(part)))


def test_a_batch_is_converted_part_by_part(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    masks = {"a.jpg": example_masks(labels=True), "b.jpg": None, "sub/a.jpg": apart_masks()}
    batch_in(tmp_path, "out/batch-0", masks)
    assert run("convert", "out", "-f", "coco", "-f", "sa1b", "-o", "made") == 0
    said = capsys.readouterr().err
    assert "2 photos, " in said
    assert "1 photo of the batch failed and left out" in said
    read = {each.photo: each.masks for each in formats.read_photos("made/coco.json")}
    assert list(read) == ["a.jpg", "sub/a.jpg"]
    for name, found in read.items():
        assert found.to_dicts("coco_rle") == masks[name].to_dicts("coco_rle")
        assert [mask.label for mask in found] == [mask.label for mask in masks[name]]
    assert (tmp_path / "made" / "sa1b" / "sub" / "a.json").is_file()
    assert run("convert", "out", "-f", "coco", "-o", "few", "--min-area", "1e9") == 0
    assert "none of" in capsys.readouterr().err


def test_batches_of_several_settings_are_not_mixed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("batch-0", "batch-1"):
        batch_in(tmp_path / "out", name, {"a.jpg": apart_masks()})
    assert run("convert", "out", "-f", "coco", "-o", "made") == 2
    assert "holds batches of several settings; name one of batch-0, batch-1" in capsys.readouterr().err
    assert run("convert", "out/batch-1", "-f", "coco", "-o", "made") == 0


def test_coco_numbers_what_has_none_around_what_has(tmp_path):
    from everymask.formats.coco import Numbers

    numbers = Numbers()
    wanted = [None, 3, None, None, 2, 3, "x", "x", 0, True, 9, None]
    assert [numbers.take(each) for each in wanted] == [1, 3, 2, 4, 5, 6, "x", 7, 8, 9, 10, 11]
