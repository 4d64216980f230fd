"""Made scenes: the same from the same, sound label maps, files that give back what went in."""

import numpy as np
import pytest

from everymask.errors import InputError
from everymask.train.augment import augment
from everymask.train.cache import SceneFolder, load_scene, save_scene, write_scenes
from everymask.train.noise import smooth_field
from everymask.train.scenes import Scene, make_scene
from everymask.train.shapes import outline, partition, pieces, split_object
from everymask.train.sources import Bank, read_bank


@pytest.fixture
def bank():
    rng = np.random.default_rng(7)
    photos = [rng.integers(0, 255, (90, 120, 3), np.uint8) for _ in range(2)]
    cutout = np.zeros((60, 40, 4), np.uint8)
    cutout[10:50, 5:35] = (200, 30, 60, 255)
    return Bank(photos, [photos[0][:64, :64]], [cutout])


def test_same_seed_and_sources_give_the_same_scene(bank):
    first, second = make_scene(3, 11, bank, side=96), make_scene(3, 11, bank, side=96)
    np.testing.assert_array_equal(first.photo, second.photo)
    np.testing.assert_array_equal(first.labels, second.labels)


def test_another_index_gives_another_scene(bank):
    assert (make_scene(3, 11, bank, side=96).photo != make_scene(3, 12, bank, side=96).photo).any()


@pytest.mark.parametrize("index", range(12))
def test_every_pixel_has_labels_and_parts_lie_inside_wholes(bank, index):
    scene = make_scene(0, index, bank, side=96)
    assert scene.photo.dtype == np.uint8
    assert scene.photo.shape == (96, 96, 3)
    assert (scene.labels > 0).all()
    for label in np.unique(scene.labels[0]):
        assert len(np.unique(scene.labels[1][scene.labels[0] == label])) == 1
    for label in np.unique(scene.labels[1]):
        assert len(np.unique(scene.labels[2][scene.labels[1] == label])) == 1


def test_scenes_work_without_any_pictures():
    assert make_scene(1, 0, Bank(), side=64).photo.std() > 1


def test_partitions_number_their_regions_without_gaps():
    for index in range(30):
        labels = partition(np.random.default_rng(index), 64)
        assert sorted(np.unique(labels)) == list(range(labels.max() + 1))


def test_small_pieces_join_their_surroundings():
    labels = np.zeros((10, 10), np.int32)
    labels[4, 4] = 1
    labels[:, 7:] = 2
    joined = pieces(labels, min_share=0.05)
    assert len(np.unique(joined)) == 2
    assert joined[4, 4] == joined[0, 0]


def test_tiny_objects_are_not_split():
    assert split_object(np.random.default_rng(0), np.ones((5, 5), np.float32)).max() == 0


def test_outlines_stay_near_the_unit_circle():
    for index in range(50):
        assert np.abs(outline(np.random.default_rng(index))).max() < 8


def test_smooth_field_has_bumps_of_the_size_asked_for():
    coarse, fine = (smooth_field(np.random.default_rng(1), 128, cells) for cells in (2, 30))
    assert np.abs(np.diff(coarse)).mean() * 4 < np.abs(np.diff(fine)).mean()


def test_a_saved_scene_comes_back(tmp_path, bank):
    scene = make_scene(0, 0, bank, side=64)
    save_scene(tmp_path / "one.npz", scene, quality=95)
    back = load_scene(tmp_path / "one.npz")
    np.testing.assert_array_equal(back.labels, scene.labels)
    assert np.abs(back.photo.astype(int) - scene.photo).mean() < 12


def test_an_interrupted_folder_is_continued_not_remade(tmp_path, bank):
    list(write_scenes(tmp_path, bank, seed=0, count=2, side=64))
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    list(write_scenes(tmp_path, bank, seed=0, count=3, side=64))
    after = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert len(after) == 3
    assert before.items() <= after.items()


def test_a_folder_is_looked_up_again_while_it_grows(tmp_path, bank):
    list(write_scenes(tmp_path, bank, seed=0, count=1, side=64))
    folder = SceneFolder(tmp_path, refresh_every=2)
    rng = np.random.default_rng(0)
    folder.draw(rng)
    list(write_scenes(tmp_path, bank, seed=0, count=4, side=64))
    folder.draw(rng)
    assert len(folder) == 1
    folder.draw(rng)
    assert len(folder) == 4


def test_labels_move_with_the_photo():
    labels = np.ones((3, 64, 64), np.uint8)
    labels[:, 20:44, 30:60] = 2
    photo = np.where(labels[0, ..., None] == 2, 220, 30).astype(np.uint8).repeat(3, -1)
    for seed in range(10):
        view = augment(np.random.default_rng(seed), Scene(photo, labels), 48)
        bright = view.photo.mean(-1) > view.photo.mean((0, 1)).mean()
        if len(np.unique(view.labels)) == 2:
            assert ((view.labels[0] == 2) == bright).mean() > 0.97


def test_a_missing_bank_says_how_to_make_one(tmp_path):
    with pytest.raises(InputError, match="fetch_training_sources"):
        read_bank(tmp_path / "nothing")
