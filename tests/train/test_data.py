"""A user's photos and masks become scenes; what does not fit is said."""

import json

import numpy as np
import pytest
from PIL import Image

from everymask.errors import InputError
from everymask.train.data import Example, ExampleSource, lay_out, read_examples
from everymask.train.prompts import draw_targets, list_regions
from everymask.train.scenes import Scene


@pytest.fixture
def labelled_folder(tmp_path):
    labels = np.zeros((40, 60), np.uint8)
    labels[5:30, 5:30] = 1
    labels[10:35, 35:55] = 2
    for name in ("one", "two"):
        Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(tmp_path / f"{name}.jpg")
        Image.fromarray(labels).save(tmp_path / f"{name}_0.png")
    return tmp_path


def box(y0, y1, x0, x1):
    mask = np.zeros((20, 20), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_separate_masks_share_a_map():
    labels, left_out = lay_out([box(0, 5, 0, 5), box(10, 15, 10, 15)], (20, 20))
    assert left_out == 0
    assert sorted(np.unique(labels[0])) == [0, 1, 2]
    assert not labels[1:].any()


def test_nested_masks_go_up_the_maps_small_to_large():
    labels, left_out = lay_out([box(0, 18, 0, 18), box(4, 8, 4, 8), box(2, 12, 2, 12)], (20, 20))
    assert left_out == 0
    assert [int((m > 0).sum()) for m in labels] == [16, 100, 324]


def test_a_fourth_mask_on_one_place_is_counted_as_left_out():
    _, left_out = lay_out([box(0, n, 0, n) for n in (4, 8, 12, 16)], (20, 20))
    assert left_out == 1


def test_empty_masks_do_not_count():
    labels, left_out = lay_out([np.zeros((20, 20), bool)], (20, 20))
    assert left_out == 0
    assert not labels.any()


def test_label_maps_beside_photos_are_found(labelled_folder):
    examples = read_examples(labelled_folder)
    assert [e.name for e in examples] == ["one.jpg", "two.jpg"]
    assert {label for _, label, _ in list_regions(examples[0].scene.labels, 0.01)} == {1, 2}


def test_one_coco_file_serves_all_photos(labelled_folder, tmp_path):
    coco = {
        "images": [{"id": 1, "file_name": "one.jpg", "width": 60, "height": 40}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0}
            | {"segmentation": [[5, 5, 25, 5, 25, 25, 5, 25]]}
        ],
        "categories": [{"id": 1, "name": "cell"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    examples = read_examples(labelled_folder, tmp_path / "coco.json")
    assert [e.name for e in examples] == ["one.jpg"]
    assert (examples[0].scene.labels[0] > 0).sum() == 400


def test_masks_of_another_size_are_refused(labelled_folder):
    Image.fromarray(np.ones((20, 30), np.uint8)).save(labelled_folder / "one_0.png")
    with pytest.raises(InputError, match=r"60 x 40 pixels, its masks are for 30 x 20"):
        read_examples(labelled_folder)


def test_a_folder_without_pairs_is_refused(tmp_path):
    with pytest.raises(InputError, match="found no pair"):
        read_examples(tmp_path)


def test_unknown_pixels_are_never_asked_for():
    labels = np.zeros((3, 64, 64), np.uint8)
    labels[0, 10:30, 10:30] = 5
    for target in draw_targets(np.random.default_rng(0), labels, 10):
        assert target.level == 0
        x, y = target.click_xy.astype(int)
        assert labels[0, y, x] == 5


def test_views_always_show_a_mask():
    labels = np.zeros((3, 64, 64), np.uint8)
    labels[:, 0:6, 0:6] = 1
    source = ExampleSource([Example("a", Scene(np.zeros((64, 64, 3), np.uint8), labels), 0)], 64)
    assert all(source(np.random.default_rng(seed)).labels.any() for seed in range(10))
