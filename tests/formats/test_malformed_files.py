"""Files that are not what they claim end in one clear error, never in a wrong mask."""

import json

import numpy as np
import pytest

from everymask import formats
from everymask.errors import FormatError, OptionError
from everymask.maskset import MaskSet
from tests.formats.mask_examples import PHOTO_HW, example_masks

RLE = {"size": [2, 2], "counts": "22"}
COCO_IMAGE = {"id": 1, "width": 2, "height": 2, "file_name": "a.jpg"}


def coco(annotation, image=COCO_IMAGE):
    return {"images": [image], "annotations": [annotation], "categories": []}


BAD_JSON = {
    "rle of another size than the photo": (
        coco({"image_id": 1, "segmentation": {"size": [2, 3], "counts": [6]}}),
        "annotation 1 of .* is of 2 x 3 pixels .height x width. in a photo of 2 x 2",
    ),
    "runs that do not fill the photo": (
        coco({"image_id": 1, "segmentation": {"size": [2, 2], "counts": [1, 2]}}),
        r"annotation 1 of .*add up to 2 x 2 = 4 pixels, got a sum of 3",
    ),
    "counts of a foreign alphabet": (
        coco({"image_id": 1, "segmentation": {"size": [2, 2], "counts": " ~"}}),
        "counts is not a COCO run-length string",
    ),
    "a polygon of two corners": (
        coco({"image_id": 1, "segmentation": [[0, 0, 1, 1]]}),
        "annotation 1 of .* must have an RLE .size and counts. or a list of polygons",
    ),
    "an image without a height": (
        coco({"image_id": 1, "segmentation": RLE}, {"id": 1, "width": 2, "file_name": "a.jpg"}),
        "image 1 of .* has no 'height'",
    ),
    "no segmentation": (coco({"image_id": 1}), "annotation 1 of .* has no 'segmentation'"),
    "a score that is a word": (
        [{"segmentation": RLE, "predicted_iou": "high"}],
        "mask 1 of .* has a value of the wrong kind",
    ),
    "a list of numbers": ([1, 2], "mask 1 of .* must be dict, got int"),
    "unknown keys": ({"a": 1, "b": 2}, r"none of the JSON formats of masks \(its keys: a, b\)"),
    "masks of two sizes": (
        [{"segmentation": RLE}, {"segmentation": {"size": [1, 4], "counts": "22"}}],
        r"must all have the photo's size, got \[\(1, 4\), \(2, 2\)\]",
    ),
    "an empty list without a size": ([], r"does not say the photo's size; give photo_hw=\(height, width\)"),
    "a LabelMe line": (
        {
            "shapes": [{"label": "a", "shape_type": "line", "points": [[0, 0], [1, 1]]}],
            "imageHeight": 2,
            "imageWidth": 2,
        },
        "shape 1 of .* is a 'line' of 2 points; only masks, polygons, rectangles and circles have pixels",
    ),
    "a LabelMe mask that is no picture": (
        {
            "shapes": [{"label": "a", "shape_type": "mask", "points": [[0, 0], [1, 1]], "mask": "AAAA"}],
            "imageHeight": 2,
            "imageWidth": 2,
        },
        "the mask of shape 1 of .* is not a PNG in base64",
    ),
    "a GeoJSON point": (
        {"type": "FeatureCollection", "features": [{"geometry": {"type": "Point", "coordinates": [0, 0]}}]},
        "feature 1 of .* is a Point; only Polygon and MultiPolygon have pixels to read",
    ),
}


@pytest.mark.parametrize("case", BAD_JSON)
def test_malformed_json(tmp_path, case):
    content, message = BAD_JSON[case]
    path = tmp_path / "masks.json"
    path.write_text(json.dumps(content))
    size = PHOTO_HW if "GeoJSON" in case else None
    with pytest.raises(FormatError, match=message):
        formats.read_masks(path, photo_hw=size)


BAD_FILES = {
    "text.json": (b"not json", "is not JSON: Expecting value at line 1"),
    "binary.json": (b"\xff\xfe\x00", r"is not a text file \(byte 0 is not UTF-8\)"),
    "text.png": (b"hello", "is not a readable PNG or TIFF"),
    "text.parquet": (b"hello", "is not a Parquet file"),
    "text.gpkg": (b"hello", "is not a GeoPackage of masks written by everymask"),
    "text.xml": (b"hello", "is not XML"),
    "other.xml": (b"<html/>", "must have <annotations> at its root, got <html>"),
    "bomb.xml": (b'<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "declares XML entities"),
    "words.txt": (b"0 a b c d e f", "line 1 of .* must be a class number and coordinates"),
    "short.txt": (b"0 0.1 0.1", "line 1 of .* must have at least 3 pairs of coordinates, got 2"),
    "odd.txt": (b"0 0 0 0.5 0 0.5 0.5 0.9", "must have at least 3 pairs of coordinates, got 7"),
    "boxes.txt": (b"0 0.1 0.1 0.2 0.2", "line 1 of .* is a box and no outline; boxes are prompts: everymask"),
    "sure_boxes.txt": (b"0 0.1 0.1 0.2 0.2 0.93", "line 1 of .* is a box and no outline; boxes are prompts"),
    "photo.bmp": (b"BM", r"no format ends in '\.bmp'; say format=, one of amg, "),
    "beyond.xml": (
        b'<annotations><image id="0" name="a" width="4" height="4">'
        b'<mask label="x" rle="0, 4" left="3" top="0" width="2" height="2"/></image></annotations>',
        "a mask of image 'a' of .* reaches beyond the photo of 4 x 4",
    ),
    "runs.xml": (
        b'<annotations><image id="0" name="a" width="4" height="4">'
        b'<mask label="x" rle="0, 3" left="0" top="0" width="2" height="2"/></image></annotations>',
        "has runs of 3 pixels in a box of 2 x 2",
    ),
    "points.xml": (
        b'<annotations><image id="0" name="a" width="4" height="4">'
        b'<points points="1,1"/></image></annotations>',
        "has a <points>; only masks, polygons, boxes and ellipses have pixels to read",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_malformed_file(tmp_path, name):
    content, message = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=message):
        formats.read_masks(tmp_path / name, photo_hw=PHOTO_HW)


def test_a_colour_picture_is_no_label_map(tmp_path):
    from PIL import Image

    Image.new("RGB", (4, 3)).save(tmp_path / "photo.png")
    with pytest.raises(FormatError, match=r"one channel of whole numbers, .* has shape \(3, 4, 3\) of uint8"):
        formats.read_masks(tmp_path / "photo.png")


def test_a_missing_file_and_an_unknown_format(tmp_path):
    with pytest.raises(FormatError, match="there is no file"):
        formats.read_masks(tmp_path / "none.json")
    with pytest.raises(
        FormatError, match="there is no format 'koko'; the formats are amg, amg-rle, sa1b, coco"
    ):
        example_masks().save(tmp_path / "a.json", format="koko")
    with pytest.raises(
        FormatError, match=r"a folder without metadata\.csv, panoptic\.json or SegmentationObject"
    ):
        formats.read_masks(tmp_path)


def test_wrong_options_name_the_right_ones(tmp_path):
    with pytest.raises(OptionError, match="rings must be one of bridge, largest, got 'none'"):
        example_masks().save(tmp_path / "a.txt", rings="none")
    with pytest.raises(OptionError, match="overlap must be one of keep, disjoint, nested, got 'drop'"):
        example_masks().save(tmp_path / "a.json", overlap="drop")


def test_a_damaged_label_studio_stream(tmp_path):
    example_masks()[[0]].save(tmp_path / "tasks.json", format="label-studio")
    (task,) = json.loads((tmp_path / "tasks.json").read_text())
    value = task["predictions"][0]["result"][0]["value"]
    value["rle"] = value["rle"][: len(value["rle"]) // 2]
    (tmp_path / "tasks.json").write_text(json.dumps([task]))
    with pytest.raises(FormatError, match="ends in the middle of a run; the file is cut short or damaged"):
        formats.read_masks(tmp_path / "tasks.json")


def test_an_amg_folder_that_lost_a_picture(tmp_path):
    example_masks().save(tmp_path / "photo", format="amg")
    (tmp_path / "photo" / "3.png").unlink()
    with pytest.raises(FormatError, match=r"3.png is named in metadata.csv but is not a readable PNG"):
        formats.read_masks(tmp_path / "photo")


def test_other_classes_in_a_data_yaml_are_not_overwritten(tmp_path):
    (tmp_path / "data.yaml").write_text("names: [cat, 'big dog']\n")
    masks = MaskSet([example_masks()[3].replace(label="bird")])
    with pytest.raises(FormatError, match="already has the classes cat, big dog, these masks have bird"):
        masks.save(tmp_path / "photo.txt")


def test_coco_polygons_and_uncompressed_runs_are_read(tmp_path):
    annotations = [
        {"image_id": 1, "category_id": 7, "segmentation": [[0, 0, 4, 0, 4, 2, 0, 2]]},
        {"image_id": 1, "category_id": 7, "segmentation": {"size": [4, 6], "counts": [20, 4]}, "iscrowd": 1},
    ]
    image = {"id": 1, "width": 6, "height": 4, "file_name": "a.jpg"}
    content = {"images": [image], "annotations": annotations, "categories": [{"id": 7, "name": "cat"}]}
    (tmp_path / "coco.json").write_text(json.dumps(content))
    first, second = formats.read_masks(tmp_path / "coco.json")
    assert first.segmentation.astype(int).tolist() == [[1, 1, 1, 1, 0, 0]] * 2 + [[0] * 6] * 2
    assert second.segmentation.astype(int).tolist() == [[0, 0, 0, 0, 0, 1]] * 4
    assert (first.label, second.label) == ("cat", "cat")


def test_polygons_drawn_in_labelme_and_cvat_are_read(tmp_path):
    square = {"label": "cat", "shape_type": "polygon", "points": [[1, 1], [3, 1], [3, 3], [1, 3]]}
    box = {"label": "object", "shape_type": "rectangle", "points": [[3, 3], [1, 1]]}
    content = {"shapes": [square, box], "imageHeight": 4, "imageWidth": 4, "imagePath": "a.jpg"}
    (tmp_path / "labelme.json").write_text(json.dumps(content))
    expected = np.zeros((4, 4), dtype=bool)
    expected[1:3, 1:3] = True
    drawn, boxed = formats.read_masks(tmp_path / "labelme.json")
    assert np.array_equal(drawn.segmentation, expected)
    assert np.array_equal(boxed.segmentation, expected)
    assert (drawn.label, boxed.label) == ("cat", None)
    (tmp_path / "cvat.xml").write_text(
        '<annotations><image id="0" name="a.jpg" width="4" height="4">'
        '<polygon label="cat" points="1,1;3,1;3,3;1,3"/><box label="cat" xtl="1" ytl="1" xbr="3" ybr="3"/>'
        "</image></annotations>"
    )
    for mask in formats.read_masks(tmp_path / "cvat.xml"):
        assert np.array_equal(mask.segmentation, expected)
