"""Pixels without data: nothing is asked about them, no mask keeps them, and they are no gap."""

import numpy as np
import pytest

import everymask as em
from everymask.errors import InputError, PictureError
from everymask.everything.generate import AutomaticMaskGenerator
from everymask.everything.grid import Crop, on_data
from everymask.everything.results import without_nodata
from everymask.maskset import Mask, MaskSet


def photo_with_a_hole(hw=(96, 128)):
    """Coloured squares, the right half without data (black, as readers make it)."""
    photo = np.full((*hw, 3), 90, np.uint8)
    photo[20:50, 10:40] = (220, 40, 40)
    photo[60:85, 30:60] = (40, 200, 60)
    valid = np.ones(hw, bool)
    valid[:, 64:] = False
    photo[~valid] = 0
    return photo, valid


@pytest.fixture(scope="module")
def nano():
    return em.load("nano", device="cpu")


@pytest.mark.parametrize("effort", ["exact", "fast"])
def test_nothing_is_asked_where_there_is_no_data(nano, effort):
    photo, valid = photo_with_a_hole()
    asked = []
    generator = AutomaticMaskGenerator(nano, points_per_side=8, pred_iou_thresh=0.0, effort=effort)
    masks = generator.generate(photo, lambda state: asked.append(state.points), valid=valid)
    assert set(asked) == {32}
    assert len(masks) > 0
    for mask in masks:
        assert not (mask.segmentation & ~valid).any()
        assert mask.area == mask.segmentation.sum()
        ((x, y),) = mask.point_coords
        assert valid[int(y), int(x)]
    assert masks.valid.area == valid.sum()


def test_all_valid_is_the_same_as_not_saying_so(nano):
    photo, _ = photo_with_a_hole()
    generator = AutomaticMaskGenerator(nano, points_per_side=4)
    plain, said = generator.generate(photo), generator.generate(photo, valid=np.ones(photo.shape[:2], bool))
    assert [mask.rle for mask in plain] == [mask.rle for mask in said]


def test_points_of_a_crop_are_looked_up_in_the_photo():
    valid = np.zeros((4, 6), bool)
    valid[3, 5] = True
    points = np.array([[0.5, 0.5], [1.5, 1.5], [2.0, 2.0]])
    assert on_data(Crop(4, 2, 6, 4, 1), points, valid).tolist() == [[1.5, 1.5], [2.0, 2.0]]


def test_masks_that_lie_mostly_on_nothing_go_and_others_are_cut():
    valid = np.array([[1, 1, 0, 0]], bool)
    rows = ([1, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1], [0, 0, 0, 1])
    masks = [Mask.from_segmentation(np.array([row]), predicted_iou=0.5) for row in rows]
    found = without_nodata(masks, valid)
    assert [mask.segmentation[0].astype(int).tolist() for mask in found] == [[1, 1, 0, 0], [0, 1, 0, 0]]
    assert found[0] is masks[0]
    assert found[1].bbox == (1, 0, 0, 0)
    assert found[1].predicted_iou == 0.5


def test_coverage_and_gaps_count_pixels_with_data_only():
    valid = np.array([[1, 1, 1, 1, 0, 0, 0, 0]], bool)
    masks = MaskSet([Mask.from_segmentation(np.array([[1, 1, 0, 0, 0, 0, 0, 0]]))], valid=valid)
    assert masks.coverage == 0.5
    assert [gap.area for gap in masks.gaps(min_area=1)] == [2]
    assert MaskSet([*masks], masks.photo_hw).coverage == 0.25
    assert masks.filter(min_area=1).valid is masks.valid
    assert (masks + masks)[:1].valid is masks.valid


def test_valid_that_does_not_fit_is_refused(nano):
    photo, _ = photo_with_a_hole()
    generator = AutomaticMaskGenerator(nano, points_per_side=4)
    with pytest.raises(PictureError, match=r"valid must be bool of the photo's shape \(96, 128\), got uint8"):
        generator.generate(photo, valid=np.ones((96, 128), np.uint8))
    with pytest.raises(InputError, match=r"valid is of \(1, 2\) \(height, width\), the photo of \(3, 4\)"):
        MaskSet([], (3, 4), valid=np.ones((1, 2), bool))


def test_a_geotiff_with_nodata_is_segmented_without_it(tmp_path, nano):
    rasterio = pytest.importorskip("rasterio")
    photo, valid = photo_with_a_hole()
    values = photo.astype(np.uint16).transpose(2, 0, 1) * 20 + 100
    values[:, ~valid] = 65535
    profile = {"driver": "GTiff", "count": 3, "height": 96, "width": 128, "dtype": "uint16", "nodata": 65535}
    with rasterio.open(
        tmp_path / "a.tif", "w", crs="EPSG:32632", transform=rasterio.Affine.scale(10, -10), **profile
    ) as file:
        file.write(values)
    options = {"points_per_side": 8, "pred_iou_thresh": 0.0}
    masks = em.segment(tmp_path / "a.tif", nano, **options)
    assert masks.valid.area == valid.sum()
    assert not (masks.segmentations() & ~valid).any()
    tiled = em.segment(tmp_path / "a.tif", nano, tile=64, **options)
    assert len(tiled) > 0
    assert not (tiled.segmentations() & ~valid).any()


def test_findings_leave_out_what_has_no_data_as_generate_does(tmp_path, nano):
    photo, valid = photo_with_a_hole()
    generator = AutomaticMaskGenerator(nano, points_per_side=8, pred_iou_thresh=0.0, crop_n_layers=1)
    findings = generator.explore(photo, valid=valid)
    expected = generator.generate(photo, valid=valid)
    assert [mask.rle for mask in findings.masks()] == [mask.rle for mask in expected]
    assert findings.points < generator.explore(photo).points
    assert findings.masks().coverage == expected.coverage
    read = em.Findings.load(findings.save(tmp_path / "a.findings"))
    assert np.array_equal(read.valid, valid)
    assert [mask.rle for mask in read.masks()] == [mask.rle for mask in expected]
    with pytest.raises(PictureError, match="valid must be bool"):
        generator.explore(photo, valid=valid.astype(np.uint8))


@pytest.fixture(scope="module")
def explored(nano):
    """A photo half without data, the generator and what it found."""
    photo, valid = photo_with_a_hole()
    generator = AutomaticMaskGenerator(nano, points_per_side=8, pred_iou_thresh=0.2)
    return photo, valid, generator, generator.explore(photo, valid=valid)


def test_findings_leave_out_what_generate_leaves_out(explored):
    photo, valid, generator, findings = explored
    for options in ({}, {"pred_iou_thresh": 0.0, "min_mask_region_area": 9}):
        again = AutomaticMaskGenerator(
            generator.model, **{"points_per_side": 8, "pred_iou_thresh": 0.2, **options}
        )
        expected = again.generate(photo, valid=valid)
        found = findings.masks(**options)
        assert found.to_dicts("coco_rle") == expected.to_dicts("coco_rle")
        assert found.coverage == expected.coverage
        assert found.valid.area == valid.sum()


def test_a_place_without_data_has_no_reasons_and_is_no_gap(explored):
    _, valid, _, findings = explored
    assert not findings.has_data(100, 40)
    assert findings.why(100, 40) == []
    assert findings.has_data(20, 30)
    assert findings.why(20, 30)
    gaps = findings.gaps(min_area=1, pred_iou_thresh=0.99)
    assert sum(gap.area for gap in gaps) == valid.sum()
    assert findings.masks(pred_iou_thresh=0.99).coverage == 0


def test_a_candidate_that_lies_on_nothing_for_the_most_part_says_so(nano):
    photo, valid = photo_with_a_hole()
    photo[:, :] = (40, 160, 220)  # one flat thing: what is found reaches over the border
    valid[:, 16:] = False
    findings = AutomaticMaskGenerator(
        nano, points_per_side=8, pred_iou_thresh=0.0, stability_score_thresh=0.0, box_nms_thresh=1.0
    ).explore(photo, valid=valid)
    told = [reason for reason in findings.why(8, 40) if reason.rule == "nodata"]
    assert told
    assert "of it have data, needs half of it" in told[0].text
    assert told[0].remedy is None
    assert told[0].mask is None


def test_filled_gaps_keep_to_data(explored):
    photo, valid, generator, findings = explored
    filling = generator.fill_gaps(photo, findings.masks(pred_iou_thresh=0.99))
    assert filling.masks.valid.area == valid.sum()
    for mask in filling.filled:
        assert not (mask.segmentation & ~valid).any()
    assert filling.masks.coverage == pytest.approx(
        (filling.masks.label_map() > 0)[valid].mean() if len(filling.masks) else 0.0
    )


def test_compared_settings_leave_it_out_too(nano):
    photo, valid = photo_with_a_hole()
    result = em.compare(photo, nano, points_per_side=[4], pred_iou_thresh=[0.0, 0.2], valid=valid)
    for setting in result.settings:
        assert setting.masks.valid.area == valid.sum()
        assert setting.row()["coverage"] == round(setting.masks.coverage, 4)
