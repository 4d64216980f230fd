"""Masks as other libraries' objects and back, with those libraries' own habits on them."""

import sys
import warnings

import numpy as np
import pytest

from everymask.errors import FormatError, InputError, MissingExtraError
from everymask.maskset import Mask, MaskSet

RING = np.zeros((6, 8), bool)
RING[1:5, 2:7] = True
RING[2:4, 3:5] = False
DOT = np.zeros((6, 8), bool)
DOT[5, 0] = True
EMPTY = np.zeros((6, 8), bool)


@pytest.fixture
def masks():
    return MaskSet(
        [
            Mask.from_segmentation(
                RING, label="ring", predicted_iou=0.9, stability_score=0.8, point_coords=[(2.5, 1.5)]
            ),
            Mask.from_segmentation(DOT, label="dot", predicted_iou=0.7, stability_score=0.6),
        ]
    )


def same_pixels(some: MaskSet, other: MaskSet) -> bool:
    return np.array_equal(some.segmentations(), other.segmentations())


def labels(masks: MaskSet) -> list:
    return [mask.label for mask in masks]


def test_table_has_a_row_a_mask_numbered_from_one(masks):
    table = masks.to_pandas()
    assert table.index.tolist() == [1, 2]
    assert table.loc[1, ["label", "area", "x", "y", "width", "height"]].tolist() == ["ring", 16, 2, 1, 5, 4]
    assert table.groupby("label")["area"].sum().to_dict() == {"dot": 1, "ring": 16}
    assert table[table.area > 5].label.tolist() == ["ring"]


def test_table_is_read_back_whole(masks):
    back = MaskSet.from_pandas(masks.to_pandas())
    assert same_pixels(back, masks)
    assert [mask.replace_arguments() | {"bbox": None} for mask in back] == [
        mask.replace_arguments() | {"bbox": None} for mask in masks
    ]


def test_table_without_rows_and_without_rle():
    pandas = pytest.importorskip("pandas")
    empty = MaskSet([], (6, 8))
    assert len(MaskSet.from_pandas(empty.to_pandas(), (6, 8))) == 0
    with pytest.raises(FormatError, match="needs the column 'segmentation'"):
        MaskSet.from_pandas(pandas.DataFrame({"area": [1]}))
    with pytest.raises(FormatError, match="row 1 must hold an RLE dict"):
        MaskSet.from_pandas(pandas.DataFrame({"segmentation": [None]}))


def test_detections_annotate_filter_and_come_back(masks):
    sv = pytest.importorskip("supervision")
    detections = masks.to_supervision()
    assert detections.xyxy.tolist() == [[2, 1, 6, 4], [0, 5, 0, 5]]
    assert detections.class_id.tolist() == [1, 0]
    assert detections["class_name"].tolist() == ["ring", "dot"]
    assert detections.area.tolist() == [16, 1]
    assert len(detections[detections.confidence > 0.8]) == 1
    scene = np.zeros((6, 8, 3), np.uint8)
    drawn = sv.MaskAnnotator(opacity=1).annotate(scene.copy(), detections)
    np.testing.assert_array_equal(drawn.any(axis=2), RING | DOT)
    back = MaskSet.from_supervision(detections)
    assert same_pixels(back, masks)
    assert labels(back) == ["ring", "dot"]
    assert [mask.predicted_iou for mask in back] == pytest.approx([0.9, 0.7])


def test_detections_without_masks_are_refused_and_empty_ones_are_empty():
    sv = pytest.importorskip("supervision")
    assert len(MaskSet([], (6, 8)).to_supervision()) == 0
    with pytest.raises(FormatError, match="boxes only"):
        MaskSet.from_supervision(sv.Detections(xyxy=np.array([[0, 0, 1, 1]], np.float32)))


def test_dense_masks_where_supervision_has_no_compact_ones(masks, monkeypatch):
    sv = pytest.importorskip("supervision")
    monkeypatch.delattr(sv, "CompactMask")
    assert isinstance(masks.to_supervision().mask, np.ndarray)


def test_geometries_have_the_masks_areas_and_holes(masks):
    pytest.importorskip("shapely")
    ring, dot = masks.to_shapely()
    assert ring.area == 16
    assert ring.bounds == (2, 1, 7, 5)
    assert len(ring.geoms[0].interiors) == 1
    assert dot.is_valid
    assert ring.is_valid
    assert not ring.intersects(dot)
    assert same_pixels(MaskSet.from_shapely([ring, dot], (6, 8)), masks)


def test_geometries_that_are_no_areas_are_refused():
    shapely = pytest.importorskip("shapely")
    empty = MaskSet([Mask.from_segmentation(EMPTY)]).to_shapely()
    assert empty[0].is_empty
    assert MaskSet.from_shapely(empty, (6, 8))[0].area == 0
    with pytest.raises(FormatError, match="geometry 1 must be a Polygon or a MultiPolygon, got Point"):
        MaskSet.from_shapely([shapely.Point(1, 1)], (6, 8))
    with pytest.raises(InputError, match="labels must have one entry a geometry, 1; got 2"):
        MaskSet.from_shapely(empty, (6, 8), labels=["a", "b"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shapely's own word on the same matter
        endless = shapely.Polygon([(0, 0), (1, float("inf")), (1, 1)])
    with pytest.raises(FormatError, match="geometry 1 has coordinates that are not finite"):
        MaskSet.from_shapely([endless], (6, 8))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_coco_annotations_are_what_pycocotools_reads(masks):
    from pycocotools.coco import COCO

    rows = masks.to_coco(image_id=4, first_id=10)
    assert [row["id"] for row in rows] == [10, 11]
    assert [row["category_id"] for row in rows] == [2, 1]
    coco = COCO()
    coco.dataset = {
        "images": [{"id": 4, "height": 6, "width": 8}],
        "annotations": rows,
        "categories": [{"id": 1, "name": "dot"}, {"id": 2, "name": "ring"}],
    }
    coco.createIndex()
    np.testing.assert_array_equal(coco.annToMask(coco.loadAnns([10])[0]) > 0, RING)
    back = MaskSet.from_coco(rows, (6, 8), categories={1: "dot", 2: "ring"})
    assert same_pixels(back, masks)
    assert labels(back) == ["ring", "dot"]
    with pytest.raises(FormatError, match=r"must have a number for \['ring'\]"):
        masks.to_coco(categories={"dot": 3})
    with pytest.raises(FormatError, match="annotation 1 must have a segmentation"):
        MaskSet.from_coco([{"bbox": [0, 0, 1, 1]}], (6, 8))


def test_plot_draws_on_the_axes_it_is_given(masks):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    assert masks.plot(ax=axes) is axes
    assert axes.images[0].get_array().shape == (6, 8, 3)
    pyplot.close(figure)


def test_missing_library_names_the_command(masks, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'everymask\[notebook\]'"):
        masks.to_supervision()
