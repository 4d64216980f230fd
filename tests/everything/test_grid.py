import numpy as np
import pytest

from everymask.everything.grid import Crop, crops, grids, point_grid, points_in
from everymask.everything.options import GeneratorOptions


@pytest.mark.parametrize("photo_hw", [(1200, 1800), (333, 517), (64, 64), (4000, 6000)])
@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_crops_are_the_official_ones(photo_hw, layers):
    from tests.parity import torchvision_standin

    torchvision_standin.install()
    amg = pytest.importorskip("segment_anything.utils.amg")
    boxes, layer_of = amg.generate_crop_boxes(photo_hw, layers, 512 / 1500)
    found = crops(photo_hw, layers, 512 / 1500)
    assert [list(c.xyxy) for c in found] == boxes
    assert [c.layer for c in found] == layer_of


def test_crops_without_pixels_are_left_out():
    assert all(c.area > 0 for c in crops((1, 3), 3, 512 / 1500))


def test_points_lie_in_the_middle_of_cells():
    assert points_in(Crop(10, 20, 18, 24, 1), point_grid(2)).tolist() == [[2, 1], [6, 1], [2, 3], [6, 3]]


def test_layers_have_fewer_points_but_never_none():
    options = GeneratorOptions(points_per_side=5, crop_n_layers=3, crop_n_points_downscale_factor=2)
    assert [len(g) for g in grids(options)] == [25, 4, 1, 1]


def test_own_grids_are_taken_as_they_are():
    own = [np.array([[0.25, 0.75]])]
    assert grids(GeneratorOptions(points_per_side=None, point_grids=own))[0].tolist() == [[0.25, 0.75]]
