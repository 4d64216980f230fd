"""Photos with label maps become scenes; a fifth of them never does."""

import cv2
import numpy as np
import pytest

from everymask.errors import InputError
from everymask.train.augment import harsh
from everymask.train.labelled import (
    Mix,
    MixedSource,
    held_aside,
    labelled_view,
    lay_on,
    read_labelled,
    unlabelled,
)
from everymask.train.scenes import GROUP, PART, WHOLE, Scene


def write_pair(folder, name, labels, colour=200):
    photo = np.full((*labels.shape, 3), 30, np.uint8)
    photo[labels > 0] = colour
    cv2.imwrite(str(folder / f"{name}.jpg"), photo)
    cv2.imwrite(str(folder / f"{name}_0.png"), labels)


def square(number=1):
    labels = np.zeros((60, 80), np.uint16)
    labels[20:40, 30:60] = number
    return labels


@pytest.fixture
def labelled(tmp_path):
    for kind in ("objects", "nuclei", "aerial"):
        (tmp_path / kind).mkdir()
        for index in range(12):
            write_pair(tmp_path / kind, f"photo_{index}", square())
    return tmp_path


def test_a_fifth_of_the_photos_is_held_aside_by_name():
    names = [f"photo_{index:04d}" for index in range(2000)]
    assert 0.17 < np.mean([held_aside(name) for name in names]) < 0.23
    assert [held_aside(name) for name in names] == [held_aside(name) for name in names]


def test_photos_held_aside_are_not_read(labelled):
    kept = [index for index in range(12) if not held_aside(f"photo_{index}")]
    assert 0 < len(kept) < 12
    assert len(read_labelled(labelled / "objects")) == len(kept)


def test_a_folder_without_photos_says_how_to_get_some(tmp_path):
    with pytest.raises(InputError, match=r"expected NAME\.jpg with NAME_0\.png in .*fetch_training_sources"):
        read_labelled(tmp_path)


def test_of_too_many_objects_the_largest_stay(tmp_path):
    labels = np.zeros((40, 400), np.uint16)
    for number in range(1, 301):
        labels[:, number] = number
    labels[:, 310:390] = 700
    name = next(f"n{index}" for index in range(99) if not held_aside(f"n{index}"))
    write_pair(tmp_path, name, labels)
    (one,) = read_labelled(tmp_path)
    assert one.labels.max() == 255
    assert one.labels[20, 350] == 1


def test_an_object_is_known_as_a_whole_only(labelled):
    scene = read_labelled(labelled / "objects")[0].scene()
    assert scene.labels[WHOLE, 30, 40] == 1
    assert not scene.labels[[PART, GROUP]].any()


def test_views_show_an_object(labelled):
    photos = read_labelled(labelled / "objects")
    for seed in range(10):
        view = labelled_view(np.random.default_rng(seed), photos, 64, closest=0.5)
        assert view.photo.shape == (64, 64, 3)
        assert (view.labels[WHOLE] == 1).mean() >= 0.01


def test_an_object_laid_on_a_scene_hides_what_is_behind_it(labelled):
    ground = Scene(np.zeros((96, 96, 3), np.uint8), np.full((3, 96, 96), 5, np.uint8))
    source = read_labelled(labelled / "objects")[0].scene()
    result = lay_on(np.random.default_rng(3), ground, source)
    front = result.labels[WHOLE] == 6
    assert front.sum() > 50
    assert (result.photo[front].mean(), result.photo[~front].mean() < 10) == (
        pytest.approx(190, abs=15),
        True,
    )
    assert not result.labels[PART][front].any()
    assert (result.labels[:, ~front] == 5).all()


def test_every_kind_of_view_has_the_models_size(labelled):
    source = MixedSource(
        lambda rng: Scene(np.full((96, 96, 3), 90, np.uint8), np.ones((3, 96, 96), np.uint8)), labelled, 64
    )
    for seed in range(20):
        view = source(np.random.default_rng(seed))
        assert view.photo.shape == (64, 64, 3)
        assert view.photo.dtype == np.uint8
        assert view.labels.shape == (3, 64, 64)


def test_only_made_scenes_where_the_mix_says_so(labelled):
    source = MixedSource(
        lambda rng: Scene(np.full((96, 96, 3), 90, np.uint8), np.full((3, 96, 96), 7, np.uint8)),
        labelled,
        64,
        Mix(1, 0, 0, 0, 0),
    )
    assert source(np.random.default_rng(0)).labels[PART].all()


def test_nothing_is_known_of_a_photo_without_masks():
    assert not unlabelled(np.zeros((4, 6, 3), np.uint8)).labels.any()


def test_a_third_of_the_photos_become_harsh():
    photo = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    views = [harsh(np.random.default_rng(seed), photo) for seed in range(200)]
    changed = [not np.array_equal(view, photo) for view in views]
    assert 0.23 < np.mean(changed) < 0.43
    grey = [np.ptp(view.astype(int), axis=2).max() == 0 for view in views]
    assert 0.05 < np.mean(grey) < 0.25
