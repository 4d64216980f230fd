"""Masks as FiftyOne detections and back: on a stand-in, and on the real package where it is installed.

FiftyOne is in no extra of ours (its pins decide over everybody's versions). To run all of this: a venv that
has it, and for the data set ``FIFTYONE_DATABASE_URI`` with the address of a MongoDB of your own.
"""

import importlib.util
import os
import sys
import types
import warnings

import numpy as np
import pytest
from PIL import Image

from everymask.errors import FormatError
from everymask.maskset import Mask, MaskSet

RING = np.zeros((8, 16), bool)
RING[1:5, 2:8] = True
RING[2:4, 4:6] = False
DOT = np.zeros((8, 16), bool)
DOT[7, 0] = True
ATTRIBUTES = {
    "colour": "red",
    "merged": [1, 2],
    "area_m2": 2.5,
    "of": {"depth": 3},
    "tags": ["checked"],
    "index": 7,
    "id": 12,  # FiftyOne keeps these names for itself
    "mask": "soft",
    "to_dict": "no method",
    "_note": "hidden",
    "attribute_id": "the real one",
}


class Label:
    """As much of a FiftyOne label as is used: fields by attribute, added ones apart from its own."""

    own = ("label", "bounding_box", "mask", "mask_path", "confidence", "index", "tags", "detections")
    label = bounding_box = mask = mask_path = confidence = index = tags = id = None

    def __init__(self, **fields):
        self.__dict__.update(fields)

    def iter_attributes(self):
        return [(name, value) for name, value in self.__dict__.items() if name not in self.own]

    def to_dict(self):
        raise NotImplementedError


def real_fiftyone():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own imports warn
        return importlib.import_module("fiftyone")


@pytest.fixture(params=["stand-in", "real"])
def fiftyone(request, monkeypatch):
    if request.param == "real":
        if importlib.util.find_spec("fiftyone") is None:
            pytest.skip("fiftyone is not installed: pip install fiftyone")
        return real_fiftyone()
    module = types.ModuleType("fiftyone")
    module.Detection = module.Detections = Label
    monkeypatch.setitem(sys.modules, "fiftyone", module)
    return module


@pytest.fixture
def real():
    if importlib.util.find_spec("fiftyone") is None:
        pytest.skip("fiftyone is not installed: pip install fiftyone")
    return real_fiftyone()


@pytest.fixture
def masks():
    ring = Mask.from_segmentation(
        RING,
        label="ring",
        predicted_iou=0.9,
        stability_score=0.8,
        point_coords=[(2.5, 1.5)],
        crop_box=[0, 0, 16, 8],
        attributes=ATTRIBUTES,
    )
    return MaskSet([ring, Mask.from_segmentation(DOT)])


def same(some: MaskSet, other: MaskSet) -> bool:
    def known(masks):
        return [mask.replace_arguments() | {"rle": None, "bbox": None} for mask in masks]

    return np.array_equal(some.segmentations(), other.segmentations()) and known(some) == known(other)


def test_detections_have_relative_boxes_and_masks_of_the_box(masks, fiftyone):
    detections = (masks + MaskSet([Mask.from_segmentation(np.zeros((8, 16), bool))])).to_fiftyone()
    ring, dot = detections.detections
    assert ring.bounding_box == [2 / 16, 1 / 8, 6 / 16, 4 / 8]
    np.testing.assert_array_equal(ring.mask, RING[1:5, 2:8])
    assert (ring.label, ring.confidence, ring.stability_score) == ("ring", 0.9, 0.8)
    assert (dot.label, dot.confidence) == ("object", None)


def test_labels_scores_and_attributes_come_back(masks, fiftyone):
    detections = masks.to_fiftyone()
    ring = detections.detections[0]
    assert (ring.colour, ring.tags, ring.index, ring.attribute_id) == ("red", ["checked"], 7, 12)
    assert same(MaskSet.from_fiftyone(detections, (8, 16)), masks)


def test_attribute_that_no_field_can_be_called_is_named(fiftyone):
    masks = MaskSet([Mask.from_segmentation(RING, attributes={"a.b": 1})])
    with pytest.raises(FormatError, match=r"mask 1 has the attribute 'a\.b'; FiftyOne takes no dots"):
        masks.to_fiftyone()


def test_mask_of_another_size_is_stretched_to_its_box(fiftyone):
    detection = fiftyone.Detection(label="a", bounding_box=[0.25, 0.0, 0.5, 0.5], mask=np.eye(2, dtype=bool))
    (back,) = MaskSet.from_fiftyone(fiftyone.Detections(detections=[detection]), (8, 16))
    assert back.extent == (slice(0, 4), slice(4, 12))
    assert back.segmentation[0, 4]
    assert back.segmentation[3, 11]
    assert not back.segmentation[0, 11]


def test_detection_that_holds_no_mask_of_the_photo_says_what_is_wrong(masks, fiftyone):
    def refused(message, **fields):
        good = {"label": "a", "bounding_box": [0.0, 0.0, 0.5, 0.5], "mask": np.ones((4, 8), bool)}
        labels = fiftyone.Detections(detections=[fiftyone.Detection(**good | fields)])
        with pytest.raises(FormatError, match=message):
            MaskSet.from_fiftyone(labels, (8, 16))

    refused(r"detection 1 \('a'\) has a box only", mask=None)
    refused("must have a box of 4 relative numbers", bounding_box=[])
    refused("reaches beyond the photo", bounding_box=[0.75, 0.0, 0.5, 0.5])
    refused("has a value of the wrong kind", stability_score="high")
    refused(r"of detection 1 \('a'\) must have shape \(height, width\), got", mask=np.ones((4, 8, 3), bool))


def test_field_without_labels_is_no_detections():
    with pytest.raises(FormatError, match="expected FiftyOne Detections, got NoneType; the sample has none"):
        MaskSet.from_fiftyone(None, (8, 16))


def test_real_mask_in_a_file_is_read(real, masks, tmp_path):
    detections = masks.to_fiftyone()
    for number, detection in enumerate(detections.detections):
        detection.export_mask(str(tmp_path / f"{number}.png"), update=True)
    assert detections.detections[0].mask is None
    assert same(MaskSet.from_fiftyone(detections, (8, 16)), masks)
    (tmp_path / "1.png").unlink()
    with pytest.raises(FormatError, match=r"detection 2 \('object'\) has its mask in .*1\.png, which cannot"):
        MaskSet.from_fiftyone(detections, (8, 16))


@pytest.mark.parametrize("seed", range(4))
def test_real_mask_is_stretched_as_fiftyone_draws_it(real, seed):
    mask = np.random.default_rng(seed).random((5 + seed, 7)) < 0.5
    detection = real.Detection(label="a", bounding_box=[0.125, 0.25, 0.5, 0.5], mask=mask)
    drawn = detection.to_segmentation(frame_size=(64, 32)).mask != 0
    (back,) = MaskSet.from_fiftyone(real.Detections(detections=[detection]), (32, 64))
    np.testing.assert_array_equal(back.segmentation, drawn)


def test_real_attributes_of_the_older_kind_and_linked_instances_are_attributes(real):
    detection = real.Detection(
        label="a",
        bounding_box=[0.0, 0.0, 0.5, 0.5],
        mask=np.ones((4, 8), bool),
        attributes={"colour": real.CategoricalAttribute(value="red")},
        instance=real.Instance(),
    )
    (back,) = MaskSet.from_fiftyone(real.Detections(detections=[detection]), (8, 16))
    assert back.attributes == {"colour": "red", "instance": str(detection.instance_id)}


def test_real_labels_of_other_kinds_become_detections_as_the_message_says(real, masks):
    drawn = masks.to_fiftyone().to_segmentation(frame_size=(16, 8), mask_targets={1: "ring", 2: "object"})
    with pytest.raises(FormatError, match=r"got Segmentation; call its to_detections\(mask_targets="):
        MaskSet.from_fiftyone(drawn, (8, 16))
    back = MaskSet.from_fiftyone(drawn.to_detections(mask_targets={1: "ring", 2: "object"}), (8, 16))
    np.testing.assert_array_equal(back.segmentations(), masks.segmentations())
    assert [mask.label for mask in back] == ["ring", None]
    outline = [[(0.25, 0.25), (0.5, 0.25), (0.5, 0.75), (0.25, 0.75)]]
    lines = real.Polylines(polylines=[real.Polyline(label="a", points=outline, closed=True, filled=True)])
    with pytest.raises(FormatError, match=r"got Polylines; call its to_detections\(frame_size="):
        MaskSet.from_fiftyone(lines, (8, 16))
    (back,) = MaskSet.from_fiftyone(lines.to_detections(frame_size=(16, 8)), (8, 16))
    assert back.extent == (slice(2, 6), slice(4, 8))
    with pytest.raises(FormatError, match=r"got Polyline; call its to_detection\(frame_size="):
        MaskSet.from_fiftyone(lines.polylines[0], (8, 16))
    with pytest.raises(FormatError, match=r"got Detection; put it into one"):
        MaskSet.from_fiftyone(masks.to_fiftyone().detections[0], (8, 16))


@pytest.mark.filterwarnings("ignore")  # of FiftyOne and what it stands on
def test_real_data_set_keeps_them(real, masks, tmp_path):
    if not os.environ.get("FIFTYONE_DATABASE_URI"):
        pytest.skip("FIFTYONE_DATABASE_URI names no MongoDB for a data set")
    Image.new("RGB", (16, 8)).save(tmp_path / "photo.png")
    data = real.Dataset("everymask-test", overwrite=True)
    try:
        sample = real.Sample(str(tmp_path / "photo.png"))
        sample["predictions"] = masks.to_fiftyone()
        data.add_sample(sample)
        sample.save()
        data.reload()
        stored = real.Dataset.from_dict(data.to_dict(), name="everymask-test-2", overwrite=True)
        for one in (data, stored):
            one.clear_cache()
            assert same(MaskSet.from_fiftyone(one.first()["predictions"], (8, 16)), masks)
        stored.delete()
    finally:
        data.delete()
