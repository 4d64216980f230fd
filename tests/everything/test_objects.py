"""Masks as objects in ``everymask segment``: --fill-gaps, --merge, --level."""

import numpy as np
import pytest

from everymask.errors import OptionError
from everymask.everything.gaps import Filling
from everymask.everything.objects import Objects
from everymask.maskset import Mask, MaskSet
from tests.cli.fake_engine import FakeSegmenter


def mask(x0, x1, iou=0.9):
    pixels = np.zeros((10, 40), bool)
    pixels[:, x0:x1] = True
    return Mask.from_segmentation(pixels, predicted_iou=iou)


class Fixed(FakeSegmenter):
    def __call__(self, photo, watch, valid=None):
        return MaskSet([mask(0, 20, 0.95), mask(0, 10), mask(10, 20)])

    def fill_gaps(self, photo, masks):
        more = MaskSet([mask(20, 40)])
        return Filling(masks + more, more, MaskSet([], masks.photo_hw))


PHOTO = np.zeros((10, 40, 3), np.uint8)


def masks_of(**flags):
    said = []
    segmenter = Objects(**flags).after(Fixed({}, {}), said.append)
    return [m.area for m in segmenter(PHOTO, lambda *_: None)], said, segmenter.settings


def test_nothing_asked_changes_nothing():
    fixed = Fixed({}, {})
    assert Objects().after(fixed, print) is fixed


def test_steps_come_one_after_the_other():
    assert masks_of(level="part")[0] == [100, 100]
    assert masks_of(level="whole")[0] == [200]
    areas, said, settings = masks_of(fill_gaps=True)
    assert areas == [200, 100, 100, 200]
    assert said == ["coverage 50% -> 100% with 1 more mask in gaps"]
    assert settings["fill_gaps"] is True
    # The photo is of one colour: pieces become their whole, and that one with the filled gap.
    areas, _, settings = masks_of(fill_gaps=True, merge=True)
    assert areas == [400]
    assert settings == {"model": "fake", "fill_gaps": True, "merge": True}


def test_level_that_is_none_is_refused():
    with pytest.raises(OptionError, match="--level must be one of whole, part, subpart, got 'all'"):
        Objects(level="all")
