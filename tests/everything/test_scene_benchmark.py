"""The benchmark of scenes knows where its river is."""

import numpy as np

from benchmarks.scene import in_river, middle_of_river
from everymask.maskset import Mask


def test_masks_are_compared_with_every_pixel_of_the_river():
    side = 300
    rows, columns = np.mgrid[:side, :side]
    river = np.abs(rows - middle_of_river(columns, side)) < side / 100
    half = river & (columns < 150)
    land = ~river
    wide = river | (rows < 20)
    masks = [Mask.from_segmentation(each) for each in (river, half, land, wide)]
    ious, inside = in_river(masks, side)
    assert ious.tolist() == [1.0, half.sum() / river.sum(), 0.0, river.sum() / wide.sum()]
    assert inside.tolist() == [1.0, 1.0, 0.0, river.sum() / wide.sum()]
