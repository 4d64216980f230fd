"""Outlines along pixel edges: valid polygons that mean exactly the same pixels."""

import numpy as np
import pytest

from everymask.formats.outlines import Polygon, outlines
from everymask.formats.raster import fill_rings
from tests.formats.plain_outlines import corner_set, piece_count


def pixels(*rows: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in rows])


def filled(polygons: list[Polygon], photo_hw: tuple[int, int]) -> np.ndarray:
    return fill_rings([np.array(ring) for polygon in polygons for ring in polygon.rings], photo_hw)


def test_an_empty_mask_has_no_outline():
    assert outlines(pixels("..", "..")) == []


def test_one_pixel_is_a_unit_square():
    assert outlines(pixels("..", ".#")) == [Polygon([(1, 1), (2, 1), (2, 2), (1, 2)])]


def test_a_hole_belongs_to_its_shell():
    (polygon,) = outlines(pixels("###", "#.#", "###"))
    assert sorted(polygon.shell) == [(0, 0), (0, 3), (3, 0), (3, 3)]
    assert [sorted(hole) for hole in polygon.holes] == [[(1, 1), (1, 2), (2, 1), (2, 2)]]


def test_pixels_touching_in_a_corner_are_two_polygons():
    assert len(outlines(pixels("#.", ".#"))) == 2


def test_a_hole_that_touches_the_outside_in_a_corner_stays_a_hole():
    (polygon,) = outlines(pixels("##.", "#.#", "###"))
    assert len(polygon.holes) == 1


@pytest.mark.parametrize("seed", range(300))
def test_random_masks_come_back_and_are_valid(seed):
    shapely = pytest.importorskip("shapely")
    random = np.random.default_rng(seed)
    mask = random.random(random.integers(1, 12, 2)) < random.random()
    polygons = outlines(mask)
    assert np.array_equal(filled(polygons, mask.shape), mask)
    assert len(polygons) == piece_count(mask)
    assert {corner for polygon in polygons for ring in polygon.rings for corner in ring} == corner_set(mask)
    whole = shapely.MultiPolygon([(polygon.shell, polygon.holes) for polygon in polygons])
    assert whole.is_valid
    assert whole.area == mask.sum()


def test_a_slanted_edge_takes_the_pixels_whose_centres_are_inside():
    triangle = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    assert fill_rings([triangle], (4, 4)).tolist() == pixels("###.", "##..", "#...", "....").tolist()


def test_a_ring_beyond_the_photo_is_cut():
    square = np.array([[-5.0, -5.0], [50.0, -5.0], [50.0, 1.0], [-5.0, 1.0]])
    assert fill_rings([square], (2, 3)).tolist() == pixels("###", "...").tolist()
