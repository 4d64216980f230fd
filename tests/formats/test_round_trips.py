"""Every format: written, read back by us, and compared pixel by pixel and value by value."""

from pathlib import Path

import numpy as np
import pytest

from everymask import formats
from everymask.errors import FormatError
from everymask.formats.losses import Loss
from everymask.maskset import Mask, MaskSet
from tests.formats.mask_examples import PHOTO_HW, apart_masks, example_masks

PIXEL_EXACT = [name for name, each in formats.FORMATS.items() if each.holds_holes and each.holds_overlaps]
FIELDS = ("predicted_iou", "stability_score", "point_coords", "crop_box", "label")


def written(tmp_path, name, masks, **options):
    path = tmp_path / f"photo{formats.FORMATS[name].suffix}"
    return path, masks.save(path, format=name, photo="photo.jpg", **options)


@pytest.mark.parametrize("name", PIXEL_EXACT)
def test_pixels_come_back_exactly(tmp_path, name):
    masks = example_masks()
    path, _ = written(tmp_path, name, masks)
    back = formats.read_masks(path, format=name)
    assert back.photo_hw == PHOTO_HW
    assert np.array_equal(back.segmentations(), masks.segmentations())


@pytest.mark.parametrize("name", list(formats.FORMATS))
def test_every_value_comes_back_or_its_loss_is_said(tmp_path, name):
    masks = apart_masks()[[0]]
    labelled = MaskSet([masks[0].replace(label="cat")], PHOTO_HW)
    path, losses = written(tmp_path, name, labelled, rings="largest")
    (back,) = formats.read_masks(path, format=name, photo_hw=PHOTO_HW)
    said = {field for loss in losses.items if loss.kind == "fields" for field in loss.detail.split(", ")}
    changed = {field for field in FIELDS if getattr(back, field) != getattr(labelled[0], field)}
    assert changed == said


@pytest.mark.parametrize("name", list(formats.FORMATS))
def test_the_format_is_recognised_without_its_name(tmp_path, name):
    masks = apart_masks()
    path, _ = written(tmp_path, name, masks)
    assert len(formats.read_masks(path, photo_hw=PHOTO_HW)) == len(masks)


@pytest.mark.parametrize("name", [name for name in formats.FORMATS if name != "yolo"])
def test_no_masks_at_all(tmp_path, name):
    path, losses = written(tmp_path, name, MaskSet([], PHOTO_HW))
    back = formats.read_masks(path, format=name, photo_hw=PHOTO_HW)
    assert (len(back), back.photo_hw, bool(losses)) == (0, PHOTO_HW, False)


@pytest.mark.parametrize("name", ["coco", "cvat", "label-studio", "parquet"])
def test_a_run_keeps_photos_without_masks_and_labels(tmp_path, name):
    format_ = formats.find_format(name)
    photos = [
        formats.PhotoMasks("a/first.jpg", example_masks(labels=True)),
        formats.PhotoMasks("empty.png", MaskSet([], (3, 4))),
        formats.PhotoMasks('b/"odd" & <name>.jpg', apart_masks()),
    ]
    path = tmp_path / f"run{format_.suffix}"
    options = formats.WriteOptions(categories=formats.categories_of(photos))
    assert not formats.write_file(format_, path, photos, options)
    back = formats.read_photos(path)
    assert [each.photo for each in back] == [each.photo for each in photos]
    assert [each.photo_hw for each in back] == [PHOTO_HW, (3, 4), PHOTO_HW]
    assert [mask.label for mask in back[0].masks] == ["cat", None, "dog", "cat", None]
    assert np.array_equal(back[2].masks.segmentations(), photos[2].masks.segmentations())
    assert len(formats.read_masks(path, photo="first.jpg")) == 5
    with pytest.raises(FormatError, match="holds 3 photos"):
        formats.read_masks(path)


@pytest.mark.parametrize("name", ["labelmap", "labelmap-tiff"])
def test_label_maps_put_the_smaller_mask_on_top_and_say_what_is_lost(tmp_path, name):
    masks = example_masks()
    path, losses = written(tmp_path, name, masks)
    back = formats.read_masks(path, format=name)
    shared = int((masks[0].segmentation & masks[3].segmentation).sum())
    overlap = [loss for loss in losses.items if loss.kind == "overlap"]
    assert overlap == [Loss("overlap", masks=1, pixels=shared)]
    assert shared > 0
    assert np.array_equal(back[3].segmentation, masks[3].segmentation), "the disc is smaller and stays whole"
    assert np.array_equal(back[0].segmentation, masks[0].segmentation & ~masks[3].segmentation)


def test_a_mask_under_smaller_ones_is_reported_as_covered(tmp_path):
    small = Mask.from_segmentation(np.array([[1, 0], [0, 0]]))
    rest = Mask.from_segmentation(np.array([[0, 1], [1, 1]]))
    whole = Mask.from_segmentation(np.ones((2, 2)))
    losses = MaskSet([whole, small, rest]).save(tmp_path / "map.png")
    assert str(losses) == "1 mask vanished under the masks lying over them (4 px)"
    assert len(formats.read_masks(tmp_path / "map.png")) == 2


@pytest.mark.parametrize(("count", "kind"), [(3, np.uint8), (255, np.uint8), (256, np.uint16)])
def test_label_map_takes_the_smallest_type(tmp_path, count, kind):
    singles = np.eye(count, dtype=bool).reshape(count, 1, count)
    masks = MaskSet([Mask.from_segmentation(pixels) for pixels in singles])
    assert formats.FORMATS["labelmap"].load().label_map(masks, masks.photo_hw).dtype == kind
    masks.save(tmp_path / "map.png")
    assert np.array_equal(formats.read_masks(tmp_path / "map.png").segmentations(), masks.segmentations())


def test_yolo_outlines_without_holes_come_back_exactly(tmp_path):
    masks = example_masks()[[2, 3]]
    path, losses = written(tmp_path, "yolo", masks)
    back = formats.read_masks(path, photo_hw=PHOTO_HW)
    assert np.array_equal(back.segmentations(), masks.segmentations())
    assert [loss.kind for loss in losses.items] == ["fields"]


@pytest.mark.parametrize("rings", ["bridge", "largest"])
def test_yolo_counts_the_pixels_it_changed(tmp_path, rings):
    masks = example_masks()[[0, 1]]
    path, losses = written(tmp_path, "yolo", masks, rings=rings)
    back = formats.read_masks(path, photo_hw=PHOTO_HW)
    changed = int((back.segmentations() != masks.segmentations()).sum())
    assert changed == sum(loss.pixels for loss in losses.items) > 0
    limit = 90 if rings == "largest" else 30
    assert changed <= limit


def test_yolo_needs_the_photo_size(tmp_path):
    path, _ = written(tmp_path, "yolo", apart_masks())
    with pytest.raises(FormatError, match=r"say how large the photo is: photo_hw=\(height, width\)"):
        formats.read_masks(path)


def test_saving_replaces_a_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "photo.json"
    example_masks().save(path)
    apart_masks().save(path)
    assert len(formats.read_masks(path)) == 3
    assert [each.name for each in tmp_path.iterdir()] == ["photo.json"]


def test_a_writer_that_fails_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "photo.json"
    apart_masks().save(path)
    before = path.read_bytes()
    monkeypatch.setattr("everymask.formats.coco.pixel_box_xywh", lambda mask: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        example_masks().save(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["photo.json"]


def test_the_docs_list_every_format_with_what_it_can_hold():
    text = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text("utf-8")
    table, _, read_by = text.partition("## Read by others")
    rows = {line.split("|")[1].strip(" `"): line for line in table.splitlines() if line.startswith("| `")}
    assert [name for name in formats.FORMATS if f"`{name}`" not in read_by] == []
    assert list(formats.FORMATS) == [name for name in rows if name in formats.FORMATS]
    for name, format_ in formats.FORMATS.items():
        _, _, _, per, overlaps, holes, *_ = (cell.strip() for cell in rows[name].split("|"))
        assert per == format_.per
        assert ("no" in overlaps, "no" in holes) == (not format_.holds_overlaps, not format_.holds_holes)
