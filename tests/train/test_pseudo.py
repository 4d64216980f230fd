"""Photos without masks: a classical hierarchy finds nested regions in them, and real edges."""

from itertools import pairwise

import numpy as np
import pytest

from everymask.train.cache import any_scene
from everymask.train.pseudo import hierarchy_maps, merge, pseudo_scene
from everymask.train.sources import Bank

pytest.importorskip("skimage")


def quarters(side: int = 96) -> np.ndarray:
    """Four flat quarters, the right two nearly alike, with a little noise."""
    photo = np.zeros((side, side, 3), np.float64)
    half = side // 2
    photo[:half, :half], photo[half:, :half] = (200, 30, 30), (30, 30, 200)
    photo[:half, half:], photo[half:, half:] = (90, 160, 90), (100, 175, 100)
    return np.clip(photo + np.random.default_rng(0).normal(0, 3, photo.shape), 0, 255).astype(np.uint8)


def test_cuts_follow_the_edges_and_merge_what_is_alike() -> None:
    maps = hierarchy_maps(quarters(), cuts=(4, 3, 2))
    assert [len(np.unique(x)) for x in maps] == [4, 3, 2]
    half = 48
    inner = [np.s_[4 : half - 4], np.s_[half + 4 : -4]]
    for rows in inner:
        for columns in inner:
            assert len(np.unique(maps[0][rows, columns])) == 1
    assert maps[1][10, 80] == maps[1][80, 80]
    assert maps[1][10, 10] != maps[1][80, 10]


def test_maps_are_nested() -> None:
    rng = np.random.default_rng(3)
    photo = rng.integers(0, 255, (12, 12, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    maps = hierarchy_maps(photo, cuts=(30, 12, 4))
    for finer, coarser in pairwise(maps):
        for label in np.unique(finer):
            assert len(np.unique(coarser[finer == label])) == 1


def test_a_wall_in_uneven_light_stays_one_region() -> None:
    columns = np.arange(40)
    segments = np.tile(columns // 10, (40, 1))  # a bright slope, cut in three, and something darker
    colours = np.zeros((40, 40, 3), np.float32)
    colours[..., 0] = np.where(columns < 30, 40 + 2 * columns, 75)
    assert merge(segments, colours, (2,))[0].tolist() == [1, 1, 1, 2]


def test_the_same_seed_gives_the_same_scene() -> None:
    bank = Bank(photos=[quarters(128)])
    first, second = (any_scene(5, 7, bank, 96, pseudo_share=1.0) for _ in range(2))
    assert np.array_equal(first.photo, second.photo)
    assert np.array_equal(first.labels, second.labels)
    assert first.photo.shape == (96, 96, 3)
    assert first.labels.min() >= 1


def test_pieces_differ() -> None:
    rng = np.random.default_rng(0)
    photos = [quarters(128)]
    assert not np.array_equal(pseudo_scene(rng, photos, 64).photo, pseudo_scene(rng, photos, 64).photo)
