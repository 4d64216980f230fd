# ruff: noqa: E501 (a table reads best a row a line)
"""Files that other people and tools made: what exactly is read, or the exact line that refuses them.

Each section is one kind of fault that users of such tools reported, a row a case: the file, and the masks
(small ones drawn as text, a row of the photo a word) or the message.
"""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from everymask import formats
from everymask.errors import FormatError
from everymask.formats.georeference import Georeference
from everymask.maskset import Mask, MaskSet

IMAGE = {"id": 1, "width": 4, "height": 3, "file_name": "a.jpg"}
SQUARE = [1, 0, 3, 0, 3, 2, 1, 2]
SQUARE_PIXELS = ".##. .##. ...."
NAN, INF = float("nan"), float("inf")


def drawn(mask):
    """A mask as text.

    >>> drawn(Mask.from_segmentation(np.array([[0, 1], [1, 1]])))
    '.# ##'
    """
    return " ".join("".join(".#"[int(value)] for value in row) for row in mask.segmentation)


def write(path, content):
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, "utf-8")
    return path


def coco(*segmentations, **row):
    rows = [{"id": n, "image_id": 1, "segmentation": s, **row} for n, s in enumerate(segmentations, 1)]
    return {"images": [IMAGE], "annotations": rows}


def labelme(points, kind="polygon", **content):
    shape = {"label": "cat", "shape_type": kind, "points": points}
    return {"shapes": [shape], "imagePath": "a.jpg", "imageHeight": 3, "imageWidth": 4, **content}


def cvat(shape, width="4", height="3"):
    return f'<annotations><image id="0" name="a.jpg" width="{width}" height="{height}">{shape}</image></annotations>'


def geojson(ring, **content):
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {}}
    return {"type": "FeatureCollection", "features": [feature], **content}


def task(*results, **more):
    return {"data": {"image": "a.jpg"}, "annotations": [{"result": list(results)}], **more}


def polygon(points, **more):
    value = {"points": points, "polygonlabels": ["cat"]}
    return {"type": "polygonlabels", "original_width": 4, "original_height": 3, "value": value, **more}


PERCENT = [[25, 0], [75, 0], [75, 200 / 3], [25, 200 / 3]]


# --- numbers that are none: an error, never a dead process, a full memory or a garbage mask ---------------

HUGE = "far beyond the photo of 4 x 3 pixels; is it in another unit, or of another photo?"
NO_NUMBER = "has a coordinate that is NaN or infinite"
OUTLINES = {
    # name: (file, content, message)
    "COCO NaN": ("a.json", coco([[NAN, 0, 3, 0, 3, 2]]), "holds NaN, which is not a number in JSON"),
    "COCO Infinity": (
        "a.json",
        coco([[INF, 0, 3, 0, 3, 2]]),
        "holds Infinity, which is not a number in JSON",
    ),
    "COCO 1e999": (
        "a.json",
        json.dumps(
            {"images": [IMAGE], "annotations": [{"image_id": 1, "segmentation": [["X", 0, 3, 0, 3, 2]]}]}
        ).replace('"X"', "1e999"),
        NO_NUMBER,
    ),
    "COCO 1e9": ("a.json", coco([[1e9, 0, 3, 0, 3, 2]]), HUGE),
    "COCO -1e9": ("a.json", coco([[-1e9, 0, 3, 0, 3, 2]]), HUGE),
    "COCO of a size that no photo has": (
        "a.json",
        coco({"size": [10**9, 10**9], "counts": [10**18]}),
        "^[^:]*annotation 1 of [^:]* claims a photo of 1000000000 x 1000000000 pixels",
    ),
    "COCO words": ("a.json", coco([["x", 0, 3, 0, 3, 2]]), "must be pairs of numbers"),
    "COCO nested pairs of one": (
        "a.json",
        coco([[[1], [2], [3], [4], [5], [6]]]),
        "must be at least 3 pairs",
    ),
    "YOLO nan": ("a.txt", "0 nan 0 0.5 0 0.5 0.5", "must have coordinates from 0 to 1, .* got nan"),
    "YOLO inf": ("a.txt", "0 inf 0 0.5 0 0.5 0.5", "must have coordinates from 0 to 1, .* got inf"),
    "YOLO 1e300": ("a.txt", "0 1e300 0 0.5 0 0.5 0.5", r"must have coordinates from 0 to 1, .* got 1e\+300"),
    "YOLO pixels": ("a.txt", "0 1 0 3 0 3 2", "must have coordinates from 0 to 1, .* got 3"),
    "YOLO negative": ("a.txt", "0 -0.5 0 0.5 0 0.5 0.5", "must have coordinates from 0 to 1, .* got -0.5"),
    "YOLO class -1": ("a.txt", "-1 0 0 0.5 0 0.5 0.5", "must begin with a class number, 0 or more, got '-1'"),
    "YOLO class 1e20": (
        "a.txt",
        "100000000000000000000 0 0 0.5 0 0.5 0.5",
        r"line 1 of .* has a class number from 0 to 99,999, got 1e\+20",
    ),
    "YOLO class 100000": (
        "a.txt",
        "100000 0 0 0.5 0 0.5 0.5",
        "line 1 of .* has a class number from 0 to 99,999, got 100000",
    ),
    "YOLO class 1.5": (
        "a.txt",
        "1.5 0 0 0.5 0 0.5 0.5",
        "must begin with a class number, 0 or more, got '1.5'",
    ),
    "YOLO class nan": (
        "a.txt",
        "nan 0 0 0.5 0 0.5 0.5",
        "must begin with a class number, 0 or more, got 'nan'",
    ),
    "LabelMe NaN": ("a.json", labelme([[NAN, 0], [3, 0], [3, 2]]), "holds NaN"),
    "LabelMe 1e9": ("a.json", labelme([[1e9, 0], [3, 0], [3, 2]]), HUGE),
    "LabelMe null": ("a.json", labelme([[None, 0], [3, 0], [3, 2]]), NO_NUMBER),
    "LabelMe circle": ("a.json", labelme([[1, 1], [1e9, 1]], "circle"), HUGE),
    "CVAT nan": ("a.xml", cvat('<polygon label="x" points="nan,0;3,0;3,2"/>'), NO_NUMBER),
    "CVAT 1e9": ("a.xml", cvat('<polygon label="x" points="1e9,0;3,0;3,2"/>'), HUGE),
    "CVAT no points": ("a.xml", cvat('<polygon label="x"/>'), "must be pairs of numbers"),
    "CVAT box nan": (
        "a.xml",
        cvat('<box label="x" xtl="nan" ytl="0" xbr="3" ybr="2"/>'),
        "'xtl' of a <box> in .* must be a number, got 'nan'",
    ),
    "CVAT box without coordinates": (
        "a.xml",
        cvat('<box label="x"/>'),
        "'xtl' of a <box> in .* must be a number, got None",
    ),
    "CVAT box of one side": (
        "a.xml",
        cvat('<box label="x" xtl="1"/>'),
        "'ytl' of a <box> in .* must be a number, got None",
    ),
    "CVAT box of empty text": (
        "a.xml",
        cvat('<box label="x" xtl="" ytl="0" xbr="3" ybr="2"/>'),
        "'xtl' of a <box> in .* must be a number, got ''",
    ),
    "CVAT ellipse without a radius": (
        "a.xml",
        cvat('<ellipse label="x" cx="2" cy="1" rx="1"/>'),
        "'ry' of a <ellipse> in .* must be a number, got None",
    ),
    "CVAT mask without a box": (
        "a.xml",
        cvat('<mask label="x" rle="0, 4"/>'),
        "'left' of a <mask> in .* must be a number, got None",
    ),
    "CVAT runs of words": (
        "a.xml",
        cvat('<mask label="x" rle="a" left="0" top="0" width="2" height="2"/>'),
        "must have run lengths in 'rle'",
    ),
    "CVAT negative runs": (
        "a.xml",
        cvat('<mask label="x" rle="-1, 5" left="0" top="0" width="2" height="2"/>'),
        "has a run of -1 pixels; run lengths are 0 or more",
    ),
    "GeoJSON NaN": ("a.geojson", geojson([[NAN, 0], [3, 0], [3, 2]]), "holds NaN"),
    "GeoJSON 1e9": ("a.geojson", geojson([[1e9, 0], [3, 0], [3, 2]]), HUGE),
    "GeoJSON null geometry": (
        "a.geojson",
        {"features": [{"geometry": None}]},
        "feature 1 of .* has no geometry; delete that feature, or draw what it means",
    ),
    "GeoJSON two corners": ("a.geojson", geojson([[1, 0], [3, 0]]), "must be at least 3 pairs of numbers"),
    "Label Studio NaN": ("a.json", [task(polygon([[NAN, 0], [3, 0], [3, 2]]))], "holds NaN"),
    "Label Studio 1e9": ("a.json", [task(polygon([[1e9, 0], [3, 0], [3, 2]]))], HUGE),
}


@pytest.mark.parametrize("case", OUTLINES)
def test_an_outline_that_no_photo_has_is_refused(tmp_path, case):
    name, content, message = OUTLINES[case]
    with pytest.raises(FormatError, match=message):
        formats.read_masks(write(tmp_path / name, content), photo_hw=(3, 4))


def test_a_zigzag_longer_than_memory_is_refused(tmp_path):
    corners = np.tile([[0, 0], [30_000, 30_000]], (200, 1)).ravel().tolist()
    image = {**IMAGE, "width": 30_000, "height": 30_000}
    content = {"images": [image], "annotations": [{"image_id": 1, "segmentation": [corners]}]}
    with pytest.raises(FormatError, match=r"annotation 1 of .* is longer than 5,000,000 pixels"):
        formats.read_masks(write(tmp_path / "a.json", content))


SIZES = {
    # what height and width a file claims: the message
    (10**7, 10**7): "claims a photo of 10000000 x 10000000 pixels; at most 4,294,967,296 are read",
    (0, 4): "the height of .* must be a whole number of pixels, got",
    (-3, 4): "the height of .* must be a whole number of pixels, got",
    (3, 4.5): "the width of .* must be a whole number of pixels, got|must be int, got float",
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["coco", "cvat", "labelme", "sa1b", "label-studio"])
def test_a_photo_size_that_no_photo_has_is_refused(tmp_path, kind, size):
    height, width = size
    image = {"id": 1, "image_id": 1, "height": height, "width": width, "file_name": "a.jpg"}
    name, content = {
        "coco": ("a.json", {"images": [image], "annotations": []}),
        "cvat": ("a.xml", cvat("", width, height)),
        "labelme": ("a.json", labelme([[1, 0], [3, 0], [3, 2]], imageHeight=height, imageWidth=width)),
        "sa1b": ("a.json", {"image": image, "annotations": []}),
        "label-studio": ("a.json", [task(polygon(PERCENT, original_height=height, original_width=width))]),
    }[kind]
    message = SIZES[size] if (height, kind) != (0, "label-studio") else "does not say how large the photo is"
    with pytest.raises(FormatError, match=message):
        formats.read_masks(write(tmp_path / name, content))


def test_a_polygon_in_a_huge_photo_takes_memory_for_itself_only(tmp_path):
    shape = '<polygon label="x" points="60000,60000;60002,60000;60002,60003;60000,60003"/>'
    (mask,) = formats.read_masks(write(tmp_path / "a.xml", cvat(shape, "65536", "65536")))
    assert (mask.area, mask.bbox) == (6, (60000, 60000, 1, 2))


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [3, 4], "counts": [5.5, 6.5]}, "an RLE must be a dict with 'size'"),
        ({"size": [3, 4], "counts": [10**30]}, "an RLE must be a dict with 'size'"),
        (
            {"size": [3, 4], "counts": [-1, 13]},
            "run lengths must be positive and add up to 3 x 4 = 12 pixels",
        ),
        ({"size": [3], "counts": [12]}, "an RLE must be a dict with 'size'"),
        ({"size": "34", "counts": [12]}, "annotation 0|an RLE must be"),
        ({"counts": [12]}, "an RLE must be a dict with 'size'"),
        ("12", "must be dict or list, got str"),
        (True, "must be dict or list, got bool"),
    ],
)
def test_an_rle_that_is_none_is_refused(tmp_path, segmentation, message):
    with pytest.raises(FormatError, match=message):
        formats.read_masks(write(tmp_path / "a.json", coco(segmentation)))


# --- COCO: numbers, flags and attributes

DATASET = {
    "images": [{**IMAGE, "id": 42, "license": 3, "coco_url": "http://x/a.jpg"}],
    "categories": [
        {"id": 1, "name": "person", "supercategory": "animal"},
        {"id": 3, "name": "car", "supercategory": "thing"},
        {"id": 18, "name": "dog", "supercategory": "animal"},
    ],
    "annotations": [
        {"id": 900, "image_id": 42, "category_id": 18, "segmentation": [SQUARE], "iscrowd": 0,
         "attributes": {"occluded": True}, "num_keypoints": 3},
        {"id": 7, "image_id": 42, "category_id": 3, "segmentation": {"size": [3, 4], "counts": [11, 1]},
         "iscrowd": 1},
    ],
}  # fmt: skip


def converted(tmp_path, source, name, format_from=None):
    """A file converted to a format as the command line does: what it wrote, and the losses."""
    photos = formats.read_photos(source, format_from, photo_hw=lambda name: (3, 4))
    format_ = formats.find_format(name)
    options = formats.WriteOptions(formats.categories_of(photos))
    fitted, losses = zip(*(formats.fit(photo, format_) for photo in photos), strict=True)
    path = tmp_path / f"out{format_.suffix}"
    written = formats.write_file(format_, path, fitted, options)
    return path, formats.Losses.total([*losses, written])


def test_coco_to_coco_keeps_numbers_flags_attributes_and_classes_without_masks(tmp_path):
    path, losses = converted(tmp_path, write(tmp_path / "in.json", DATASET), "coco")
    content = json.loads(path.read_text())
    assert str(losses) == "nothing lost"
    assert content["images"] == DATASET["images"]
    assert content["categories"] == DATASET["categories"]
    dog, car = content["annotations"]
    assert [dog[key] for key in ("id", "image_id", "category_id", "iscrowd")] == [900, 42, 18, 0]
    assert [car[key] for key in ("id", "image_id", "category_id", "iscrowd")] == [7, 42, 3, 1]
    assert dog["attributes"] == {"occluded": True}
    assert dog["num_keypoints"] == 3


@pytest.mark.parametrize("name", ["parquet", "label-studio"])
def test_attributes_survive_the_way_through_another_format(tmp_path, name):
    path, _ = converted(tmp_path, write(tmp_path / "in.json", DATASET), name)
    back = formats.read_masks(path)
    assert dict(back[1].attributes) == {"id": 7, "iscrowd": 1}
    assert dict(back[0].attributes) == {"num_keypoints": 3, "occluded": True, "id": 900}


def test_what_yolo_cannot_hold_is_said(tmp_path):
    path, losses = converted(tmp_path, write(tmp_path / "in.json", DATASET), "yolo")
    assert str(losses).split("; ")[:3] == [
        "2 masks lost values that the format has no place for (attribute num_keypoints, attribute occluded, "
        "attribute id, attribute iscrowd)",
        "2 masks lost values that the format has no place for (photo's id, photo's license, photo's coco_url)",
        "2 masks given another class number (YOLO counts from 0, without gaps)",
    ]
    assert [line.split()[0] for line in path.read_text().splitlines()] == ["2", "1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"image_id": 43},
            r"annotation 1 of .* is of an image that the file does not list \(id 43\), as are 0 others",
        ),
        ({"image_id": None}, "'image_id' of annotation 1 of .* must be int or str, got NoneType"),
        ({"category_id": 2}, "annotation 1 of .* is of category 2, which the file does not list"),
        ({"category_id": "dog"}, "annotation 1 of .* is of category 'dog', which the file does not list"),
        ({"segmentation": [], "bbox": [1, 0, 2, 2]}, "has a box and no pixels; boxes are prompts"),
        ({"attributes": [1]}, "the attributes of annotation 1 of .* must be a mapping, got list"),
        ({"predicted_iou": "1e999"}, "has a value of the wrong kind"),
    ],
)
def test_a_coco_annotation_that_belongs_nowhere_is_refused_not_dropped(tmp_path, change, message):
    first, *others = DATASET["annotations"]
    content = {**DATASET, "annotations": [{**first, **change}, *others]}
    with pytest.raises(FormatError, match=message):
        formats.read_photos(write(tmp_path / "in.json", content))


def test_image_and_category_numbers_may_be_written_as_text(tmp_path):
    first, second = DATASET["annotations"]
    rows = [{**first, "image_id": "42", "category_id": "18"}, second]
    masks = formats.read_masks(write(tmp_path / "in.json", {**DATASET, "annotations": rows}))
    assert [mask.label for mask in masks] == ["dog", "car"]
    assert drawn(masks[0]) == SQUARE_PIXELS


def test_two_images_or_classes_of_one_number_are_refused_and_of_one_name_told_apart(tmp_path):
    twice = {**DATASET, "images": [DATASET["images"][0]] * 2}
    with pytest.raises(FormatError, match="lists two images with the id 42; give each its own"):
        formats.read_photos(write(tmp_path / "in.json", twice))
    categories = [{"id": 3, "name": "car"}, {"id": 3, "name": "bus"}]
    with pytest.raises(FormatError, match="class 3 is named twice, 'car' and 'bus'"):
        formats.read_photos(write(tmp_path / "in.json", {**DATASET, "categories": categories}))
    categories = [{"id": 3, "name": "mouse"}, {"id": 18, "name": "mouse"}]
    masks = formats.read_masks(write(tmp_path / "in.json", {**DATASET, "categories": categories}))
    assert [mask.label for mask in masks] == ["mouse (18)", "mouse (3)"]


def test_files_that_number_alike_are_joined_and_what_had_to_change_is_said(tmp_path):
    other = {**DATASET, "categories": [{"id": 18, "name": "cat"}, {"id": 3, "name": "car"}]}
    photos = [
        *formats.read_photos(write(tmp_path / "1.json", DATASET)),
        *formats.read_photos(write(tmp_path / "2.json", other)),
    ]
    options = formats.WriteOptions(formats.categories_of(photos))
    losses = formats.write_file(formats.FORMATS["coco"], tmp_path / "out.json", photos, options)
    assert dict(options.categories.numbers) == {"person": 1, "car": 3, "dog": 18, "cat": 19}
    assert str(losses) == "2 masks given another number; 1 mask given another class number (cat 18 -> 19)"


@pytest.mark.parametrize(
    "name", ["yolo", "labelme", "cvat", "labelmap", "labelmap-tiff", "geojson", "geopackage"]
)
def test_a_mask_without_pixels_is_counted_where_a_format_cannot_hold_it(tmp_path, name):
    masks = MaskSet([Mask.from_segmentation(np.zeros((3, 4))), Mask.from_segmentation(np.eye(3, 4))])
    path = tmp_path / f"a{formats.FORMATS[name].suffix}"
    assert "1 mask without a pixel left out" in str(masks.save(path, format=name))
    assert len(formats.read_masks(path, format=name, photo_hw=(3, 4))) == 1


@pytest.mark.parametrize("name", list(formats.FORMATS))
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_score_that_is_no_number_is_left_out_and_said(tmp_path, name, value):
    mask = Mask.from_segmentation(np.eye(3, 4), predicted_iou=0.5, stability_score=value)
    path = tmp_path / f"a{formats.FORMATS[name].suffix}"
    losses = MaskSet([mask]).save(path, format=name)
    assert "1 mask lost values that the format has no place for (stability_score that is no number)" in str(
        losses
    )
    assert formats.read_masks(path, format=name, photo_hw=(3, 4))[0].stability_score is None


# --- YOLO: class numbers and names

ROW = "0.25 0 0.5 0 0.5 0.5 0.25 0.5"
DATA_YAML = {
    "names: [cat, dog, 'big bird']": ["cat", "dog", "big bird"],
    "names: {0: cat, 1: dog}": ["cat", "dog"],
    "names:\n- cat # the first\n- 'dog'": ["cat", "dog"],
    "names:\n  0: cat  # a comment\n  1: dog": ["cat", "dog"],
    "names: [\n  cat,\n  dog,\n]\nnc: 2": ["cat", "dog"],
    "# names: [a]\ntrain: x\nnames: ['a: b', \"c'd\", no]": ["a: b", "c'd", "False"],
    "names:\n  '0': cat\n  '1': dog": ["cat", "dog"],
    "names: [cat, cat]": ["cat (0)", "cat (1)"],
}


@pytest.mark.parametrize("text", DATA_YAML)
def test_class_names_are_read_as_yaml(tmp_path, text):
    write(tmp_path / "data.yaml", text)
    rows = "\n".join(f"{number} {ROW}" for number in range(len(DATA_YAML[text])))
    masks = formats.read_masks(write(tmp_path / "a.txt", rows), photo_hw=(3, 4))
    assert [mask.label for mask in masks] == DATA_YAML[text]


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{to}: &{to} [{', '.join([f'*{of}'] * 9)}]\n" for of, to in zip("abcdef", "bcdefg", strict=True)
)
"""A list of lists of lists ... with 4.8 million words in them."""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [cat", "data.yaml is not YAML: while parsing a flow sequence"),
        (
            "nc: 3",
            "'names' of .*data.yaml must be a list of class names or a mapping from number to name, got 'None'",
        ),
        ("names: {a: b}", "'names' of .*data.yaml must be a list of class names or a mapping"),
        ("names: {0: a, 0: b}", "data.yaml is not YAML: '0' stands twice"),
        ("names: [a]\nnames: [b]", "data.yaml is not YAML: 'names' stands twice"),
        ("names: [a, [b, c]]", "'names' of .*data.yaml must have a name for class 1, got .*b.*c"),
        ("names: {0: {en: a}}", "'names' of .*data.yaml must have a name for class 0, got .*en"),
        ("names: {100000: a}", "each name in 'names' of .* has a class number from 0 to 99,999, got 100000"),
        (LAUGHS + "names: *g", "'names' of .*data.yaml must have a name for class 0, got "),
        (LAUGHS + "names: {a: *g}", "'names' of .*data.yaml must be a list of class names or a mapping"),
        ("- a\n- b", "data.yaml must be dict, got list"),
        (
            "names: !!python/object/apply:os.system ['true']",
            "data.yaml is not YAML: could not determine a constructor",
        ),
    ],
)
def test_a_data_yaml_that_names_no_classes_is_refused(tmp_path, text, message):
    write(tmp_path / "data.yaml", text)
    with pytest.raises(FormatError, match=message):
        formats.read_masks(write(tmp_path / "a.txt", f"0 {ROW}"), photo_hw=(3, 4))


def test_yolo_to_yolo_keeps_class_numbers_also_of_classes_without_masks(tmp_path):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "data.yaml", "names: [person, bicycle, car, dog]")
    path, losses = converted(tmp_path, write(tmp_path / "in" / "a.txt", f"3 {ROW}\n2 {ROW}"), "yolo")
    assert [line.split()[0] for line in path.read_text().splitlines()] == ["3", "2"]
    assert str(losses) == "nothing lost"


def test_yolo_class_numbers_without_names_are_kept(tmp_path):
    path, losses = converted(tmp_path, write(tmp_path / "in.txt", f"3 {ROW}\n7 {ROW}"), "yolo")
    assert [line.split()[0] for line in path.read_text().splitlines()] == ["3", "7"]
    assert str(losses) == "nothing lost"


# --- Label Studio


def brush(pixels, **more):
    from everymask.formats.label_studio import encode

    value = {"format": "rle", "rle": encode(pixels), "brushlabels": ["dog"]}
    return {"type": "brushlabels", "original_width": 4, "original_height": 3, "value": value, **more}


def region(kind, x, y, **value):
    return {
        **{"type": f"{kind}labels", "original_width": 4, "original_height": 3},
        "value": {"x": x, "y": y, f"{kind}labels": ["cat"], **value},
    }


CORNER = "#... .... ...."
LABEL_STUDIO = {
    "a polygon beside a brush": ([task(brush(np.eye(3, 4)), polygon(PERCENT))], ["#... .#.. ..#.", SQUARE_PIXELS]),
    "a rectangle": ([task(region("rectangle", 25, 0, width=50, height=200 / 3))], [SQUARE_PIXELS]),
    "a turned rectangle": ([task(region("rectangle", 75, 0, width=50, height=200 / 3, rotation=90))], [SQUARE_PIXELS]),
    "an ellipse": ([task(region("ellipse", 50, 50, radiusX=25, radiusY=50))], [".##. .##. .##."]),
    "two annotators": (
        [{**task(), "annotations": [{"result": [polygon(PERCENT)]}, {"result": [brush(np.eye(3, 4))]}]}],
        [SQUARE_PIXELS, "#... .#.. ..#."],
    ),
    "a cancelled annotation before a good one": (
        [{**task(), "annotations": [{"was_cancelled": True, "result": []}, {"result": [polygon(PERCENT)]}]}],
        [SQUARE_PIXELS],
    ),
    "predictions only": ([{**task(), "annotations": [], "predictions": [{"result": [polygon(PERCENT)]}]}], [SQUARE_PIXELS]),
    "only a cancelled annotation, and a prediction": (
        [{**task(), "annotations": [{"was_cancelled": True, "result": []}],
          "predictions": [{"result": [polygon(PERCENT)]}]}],
        [SQUARE_PIXELS],
    ),
    "two cancelled annotations around a good one": (
        [{**task(), "annotations": [{"was_cancelled": True}, {"result": [polygon(PERCENT)]}, {"was_cancelled": True}]}],
        [SQUARE_PIXELS],
    ),
    "a cancelled annotation in which somebody drew": (
        [{**task(), "annotations": [{"was_cancelled": True, "result": [brush(np.eye(3, 4))]},
                                    {"result": [polygon(PERCENT)]}]}],
        [SQUARE_PIXELS],
    ),
    "JSON-MIN of a brush": (
        [{"image": "a.jpg", "tag": [{**brush(np.eye(3, 4))["value"], "original_width": 4, "original_height": 3}]}],
        ["#... .#.. ..#."],
    ),
    "JSON-MIN of two controls": (
        [{"image": "a.jpg",
          "tag": [{**polygon(PERCENT)["value"], "original_width": 4, "original_height": 3}],
          "box": [{**region("rectangle", 25, 0, width=50, height=200 / 3)["value"],
                   "original_width": 4, "original_height": 3}]}],
        [SQUARE_PIXELS, SQUARE_PIXELS],
    ),
    "JSON-MIN beside a choice, the photo under another key": (
        [{"photo": "a.jpg", "id": 1, "choice": "good",
          "tag": [{**polygon(PERCENT)["value"], "original_width": 4, "original_height": 3}]}],
        [SQUARE_PIXELS],
    ),
    "JSON-MIN": (
        [{"image": "a.jpg", "id": 1, "annotator": 1, "annotation_id": 5,
          "tag": [{**polygon(PERCENT)["value"], "original_width": 4, "original_height": 3}]}],
        [SQUARE_PIXELS],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LABEL_STUDIO)
def test_label_studio_regions(tmp_path, case):
    content, expected = LABEL_STUDIO[case]
    (photo,) = formats.read_photos(write(tmp_path / "tasks.json", content))
    assert [drawn(mask) for mask in photo.masks] == expected
    assert photo.photo == "a.jpg"


def test_masks_of_several_annotators_say_whose_they_are(tmp_path):
    answers = [
        {"id": 5, "completed_by": 1, "result": [polygon(PERCENT)]},
        {"id": 6, "result": [polygon(PERCENT)]},
    ]
    masks = formats.read_masks(write(tmp_path / "a.json", [{**task(), "annotations": answers}]))
    assert [dict(m.attributes) for m in masks] == [{"annotation": 5, "completed_by": 1}, {"annotation": 6}]


def test_what_label_studio_holds_besides_areas_is_said(tmp_path):
    point = {"type": "keypointlabels", "value": {"x": 1, "y": 1, "width": 1, "keypointlabels": ["cat"]}}
    content = [task(polygon(PERCENT), point, predictions=[{"id": 1, "result": [polygon(PERCENT)]}])]
    path = write(tmp_path / "a.json", content)
    with pytest.warns(
        UserWarning,
        match=r"1 mask not read \(points, lines and relations\); 1 mask not read \(predictions beside",
    ):
        assert len(formats.read_masks(path)) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            [task(polygon(PERCENT, image_rotation=90))],
            "was drawn on the photo turned by 90 degrees, which is not read",
        ),
        ([{"data": {}, "annotations": []}], r"task 1 of .* names no photo in its data \(keys: none\)"),
        (
            [task({"type": "brushlabels", "value": {"rle": [1], "brushlabels": ["a"]}})],
            "does not say how large the photo is",
        ),
        (
            [task(brush(np.eye(3, 4), value={"rle": [999], "format": "rle"}))],
            "must be a list of bytes, 0 to 255",
        ),
        ([task("x")], "a result of task 1 of .* must be dict, got str"),
        ([3], "mask 1 of .* must be dict, got int"),
    ],
)
def test_label_studio_files_that_cannot_be_read_right_are_refused(tmp_path, content, message):
    with pytest.raises(FormatError, match=message):
        formats.read_photos(write(tmp_path / "a.json", content))


TURNED = {
    "a polygon by 180": polygon(PERCENT, image_rotation=180),
    "a brush by 270": brush(np.eye(3, 4), image_rotation=270),
    "a rectangle by 90": {**region("rectangle", 25, 0, width=50, height=60), "image_rotation": 90},
    "an ellipse by -90": {**region("ellipse", 50, 50, radiusX=25, radiusY=50), "image_rotation": -90},
}


@pytest.mark.parametrize("case", TURNED)
def test_what_was_drawn_on_a_turned_photo_is_never_read_as_if_it_were_not(tmp_path, case):
    degrees = case.rpartition(" ")[2]
    with pytest.raises(
        FormatError, match=f"was drawn on the photo turned by {degrees} degrees, which is not read"
    ):
        formats.read_photos(write(tmp_path / "a.json", [task(TURNED[case])]))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"img": "x/b.png"}, "x/b.png"),
        ({"id": "7", "photo": "/data/upload/b.jpg?x=1"}, "/data/upload/b.jpg?x=1"),
        ({"meta": "note", "src": "s3://bucket/b"}, "s3://bucket/b"),
        ({"image": "b", "other": "c.jpg"}, "b"),
    ],
)
def test_the_photo_of_a_task_is_found_under_any_key(tmp_path, data, name):
    (photo,) = formats.read_photos(write(tmp_path / "a.json", [{**task(polygon(PERCENT)), "data": data}]))
    assert photo.photo == name


def test_sizes_of_photos_may_come_from_outside(tmp_path):
    shape = polygon(PERCENT)
    del shape["original_width"], shape["original_height"]
    path = write(tmp_path / "a.json", [task(shape)])
    (photo,) = formats.read_photos(path, photo_hw=lambda name: {"a.jpg": (3, 4)}[name])
    assert drawn(photo.masks[0]) == SQUARE_PIXELS


# --- CVAT and LabelMe

CVAT = {
    '<box label="x" xtl="1" ytl="0" xbr="3" ybr="2" rotation="0.00"/>': SQUARE_PIXELS,
    '<box label="x" xtl="0" ytl="1" xbr="3" ybr="2" rotation="90"/>': ".#.. .#.. .#..",
    '<box label="x" xtl="1" ytl="0" xbr="3" ybr="2" rotation="180"/>': SQUARE_PIXELS,
    '<box label="x" xtl="0" ytl="1" xbr="3" ybr="2" rotation="-90"/>': ".#.. .#.. .#..",
    '<box label="x" xtl="0" ytl="1" xbr="3" ybr="2" rotation="450.0"/>': ".#.. .#.. .#..",
    '<ellipse label="x" cx="2" cy="1.5" rx="1" ry="1.5"/>': ".##. .##. .##.",
    '<ellipse label="x" cx="2" cy="1.5" rx="1.5" ry="1" rotation="90"/>': ".##. .##. .##.",
    '<mask label="x" rle="0, 1" left="0" top="0" width="1" height="1"/>': CORNER,
}


@pytest.mark.parametrize("shape", CVAT)
def test_cvat_shapes(tmp_path, shape):
    (mask,) = formats.read_masks(write(tmp_path / "a.xml", cvat(shape)))
    assert drawn(mask) == CVAT[shape]


def test_cvat_attributes_are_kept_and_tags_of_a_photo_are_said(tmp_path):
    shape = '<polygon label="x" points="1,0;3,0;3,2;1,2" occluded="1"><attribute name="sex">f</attribute></polygon>'
    (photo,) = formats.read_photos(write(tmp_path / "a.xml", cvat(f'{shape}<tag label="night"/>')))
    assert dict(photo.masks[0].attributes) == {"sex": "f", "occluded": "1"}
    assert "tags of the photo: night" in str(photo.unread)


def test_cvat_to_cvat_keeps_attributes_flags_and_groups(tmp_path):
    shape = (
        '<polygon label="x" points="1,0;3,0;3,2;1,2" occluded="1" group_id="4">'
        '<attribute name="sex">f &lt; m</attribute><attribute name="age">30</attribute></polygon>'
    )
    source = write(
        tmp_path / "a.xml", cvat(f'{shape}<box label="x" xtl="0" ytl="0" xbr="1" ybr="1" occluded="0"/>')
    )
    path, losses = converted(tmp_path, source, "cvat")
    assert str(losses) == "nothing lost"
    first, second = formats.read_masks(path)
    assert dict(first.attributes) == {"sex": "f < m", "age": "30", "occluded": "1", "group_id": "4"}
    assert (drawn(first), dict(second.attributes)) == (SQUARE_PIXELS, {})


def test_what_cvat_holds_of_other_attributes_and_what_not_is_said(tmp_path):
    content = coco([SQUARE], attributes={"occluded": True, "colour": "red", "age": 30, "tags": ["a"]})
    path, losses = converted(tmp_path, write(tmp_path / "in.json", content), "cvat")
    assert "(attribute age, attribute tags, attribute id)" in str(losses)
    assert dict(formats.read_masks(path)[0].attributes) == {"colour": "red", "occluded": "1"}


@pytest.mark.parametrize("text", ["a\x00b", "\x1b[31m", "\x0bx", "\udc80", "\uffff"])
@pytest.mark.parametrize("where", ["label", "attribute", "photo"])
def test_characters_that_xml_lacks_are_refused_not_written(tmp_path, text, where):
    mask = Mask.from_segmentation(np.eye(3, 4), label="x", attributes={"note": "y"})
    mask = {"label": mask.replace(label=text), "attribute": mask.replace(attributes={"note": text})}.get(
        where, mask
    )
    with pytest.raises(FormatError, match=r"has the character .*, which XML cannot hold"):
        MaskSet([mask]).save(tmp_path / "a.xml", format="cvat", photo=text if where == "photo" else "a.jpg")
    assert list(tmp_path.iterdir()) == []


CVAT_VIDEOS = {
    "boxes": '<track id="0" label="x"><box frame="0"/></track>',
    "polygons": '<track id="0" label="x"><polygon frame="0" points="1,0;3,0;3,2"/></track>',
    "masks beside a header": '<meta/><track id="0" label="x"><mask frame="0" rle="0, 1"/></track>',
    "a track without a shape": '<version>1.1</version><track id="0" label="x"/>',
}


@pytest.mark.parametrize("case", CVAT_VIDEOS)
def test_a_cvat_video_is_no_empty_run(tmp_path, case):
    text = f"<annotations>{CVAT_VIDEOS[case]}</annotations>"
    with pytest.raises(FormatError, match=r"is in the format CVAT for video, .* as 'CVAT for images 1.1'"):
        formats.read_photos(write(tmp_path / "a.xml", text))


WINDOWS_PATHS = {
    "C:\\photos\\a.jpg": "C:/photos/a.jpg",
    "..\\in\\a.jpg": "../in/a.jpg",
    "\\\\host\\share\\a.jpg": "//host/share/a.jpg",
    "in/sub\\a.jpg": "in/sub/a.jpg",
}


@pytest.mark.parametrize("path", WINDOWS_PATHS)
def test_the_photo_of_a_labelme_file_from_windows_is_found(tmp_path, path):
    content = labelme([[1, 0], [3, 0], [3, 2], [1, 2]], imagePath=path)
    (photo,) = formats.read_photos(write(tmp_path / "a.json", content))
    assert photo.photo == WINDOWS_PATHS[path]


LABELME = {
    "polygon": [[1, 0], [3, 0], [3, 2], [1, 2]],
    "oriented_rectangle": [[3, 0], [3, 2], [1, 2], [1, 0]],
    "rectangle": [[3, 2], [1, 0]],
    "": [[1, 0], [3, 0], [3, 2], [1, 2]],
}


@pytest.mark.parametrize("kind", LABELME)
def test_labelme_shapes(tmp_path, kind):
    (mask,) = formats.read_masks(write(tmp_path / "a.json", labelme(LABELME[kind], kind)))
    assert drawn(mask) == SQUARE_PIXELS


def test_labelme_from_windows_and_without_sizes(tmp_path):
    content = labelme([[1, 0], [3, 0], [3, 2], [1, 2]], imagePath="C:\\\\photos\\\\a.jpg")
    del content["imageHeight"]
    path = write(tmp_path / "a.json", content)
    (photo,) = formats.read_photos(path, photo_hw=(3, 4))
    assert drawn(photo.masks[0]) == SQUARE_PIXELS
    assert photo.photo.endswith("/photos//a.jpg")
    with pytest.raises(
        FormatError, match=r"does not say how large the photo is; give photo_hw=\(height, width\)"
    ):
        formats.read_photos(path)


def test_a_labelme_circle_and_its_group(tmp_path):
    content = labelme([[2, 1], [3, 1]], "circle")
    content["shapes"][0] |= {"group_id": 4, "flags": {"seen": True}, "description": ""}
    (mask,) = formats.read_masks(write(tmp_path / "a.json", content))
    assert drawn(mask) == SQUARE_PIXELS
    assert dict(mask.attributes) == {"group_id": 4, "flags": {"seen": True}}
    MaskSet([mask]).save(tmp_path / "b.json", format="labelme")
    assert formats.read_masks(tmp_path / "b.json")[0].attributes == mask.attributes


# --- GeoJSON

UTM = Georeference((10.0, 0.0, 500000.0, 0.0, -10.0, 5400000.0), "EPSG:32632")
CRS84 = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
UTM_CRS = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
CORNERS = np.array([[1, 0], [3, 0], [3, 2], [1, 2], [1, 0]], float)


@pytest.mark.parametrize(
    ("ring", "more"),
    [
        (UTM.to_wgs84(CORNERS), {"crs": CRS84, "name": "layer"}),
        (UTM.to_wgs84(CORNERS), {}),
        (UTM.to_crs(CORNERS), {"crs": UTM_CRS}),
        (np.column_stack([UTM.to_wgs84(CORNERS), np.zeros(5)]), {"crs": CRS84}),
    ],
)
def test_geojson_of_a_map_is_placed_by_the_photos_georeference(tmp_path, ring, more):
    path = write(tmp_path / "a.geojson", geojson(ring.tolist(), **more))
    (mask,) = formats.read_masks(path, photo_hw=(3, 4), georeference=UTM)
    assert drawn(mask) == SQUARE_PIXELS


@pytest.mark.parametrize(
    ("ring", "more", "message"),
    [
        (
            UTM.to_wgs84(CORNERS),
            {"crs": CRS84},
            r"has coordinates on the map \(OGC:CRS84\), not pixels; say where",
        ),
        (
            UTM.to_crs(CORNERS) / 1e6,
            {},
            "no polygon of .* has a pixel of the photo of 4 x 3; are its coordinates degr",
        ),
        (CORNERS + 3.9, {}, "no polygon of .* has a pixel of the photo of 4 x 3"),
        (
            CORNERS,
            {"crs": {"type": "name", "properties": {"name": "EPSG:nonsense"}}},
            "has coordinates on the map",
        ),
    ],
)
def test_geojson_that_lies_nowhere_is_refused(tmp_path, ring, more, message):
    with pytest.raises(FormatError, match=message):
        formats.read_masks(write(tmp_path / "a.geojson", geojson(ring.tolist(), **more)), photo_hw=(3, 4))


@pytest.mark.parametrize(
    ("crs", "corner", "message"),
    [
        (
            "urn:ogc:def:crs:EPSG::999999",
            [9, 48],
            "there is no coordinate system 'urn:ogc:def:crs:EPSG::999999'",
        ),
        ("my own grid", [9, 48], "there is no coordinate system 'my own grid'; name one by its EPSG number"),
        (
            "urn:ogc:def:crs:OGC:1.3:CRS84",
            [9, 4800],
            "^coordinates lie beyond the photo's map: .*[Ll]atitude",
        ),
    ],
)
def test_geojson_in_a_system_or_at_a_place_that_there_is_none_of(tmp_path, capfd, crs, corner, message):
    pytest.importorskip("rasterio")
    utm = Georeference((10, 0, 500_000, 0, -10, 5_400_000), "EPSG:32632")
    content = geojson([corner, [9.1, 48], [9.1, 48.1]], crs={"properties": {"name": crs}})
    with pytest.raises(FormatError, match=message):
        formats.read_masks(write(tmp_path / "a.geojson", content), photo_hw=(3, 4), georeference=utm)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("lone", [True, False])
def test_a_feature_alone_and_a_list_of_features_are_geojson(tmp_path, lone):
    (feature,) = geojson([[1, 0], [3, 0], [3, 2], [1, 2]])["features"]
    path = write(tmp_path / "a.geojson", feature if lone else [feature, feature])
    masks = formats.read_masks(path, photo_hw=(3, 4))
    assert [drawn(mask) for mask in masks] == [SQUARE_PIXELS] * (1 if lone else 2)


@pytest.mark.parametrize(
    ("properties", "label", "attributes"),
    [
        (
            {"classification": {"name": "Tumor", "color": [200, 0, 0]}, "objectType": "annotation"},
            "Tumor",
            {},
        ),
        ({"classification": "Tumor"}, "Tumor", {}),
        ({"classification": {"names": ["Tumor", "Positive"]}}, "Tumor: Positive", {}),
        ({"classification": {"name": None}, "isLocked": True}, None, {"isLocked": True}),
        ({"label": 7, "note": "x"}, "7", {"note": "x"}),
        ({}, None, {}),
        (None, None, {}),
    ],
)
def test_class_names_of_qupath_and_further_properties_are_kept(tmp_path, properties, label, attributes):
    content = geojson(CORNERS.tolist())
    content["features"][0]["properties"] = properties
    (mask,) = formats.read_masks(write(tmp_path / "a.geojson", content), photo_hw=(3, 4))
    assert (mask.label, dict(mask.attributes)) == (label, attributes)


# --- whatever else a JSON file can be


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "cannot be read as JSON|is not JSON"),
        ('{"images": [], "annotations": ' + "9" * 5000 + "}", "cannot be read as JSON: Exceeds the limit"),
        ('{"images": [], "annotations": null}', "'annotations' of .* must be list, got NoneType"),
        ('{"images": {}, "annotations": []}', "'images' of .* must be list, got dict"),
        ("null", r"none of the JSON formats of masks \(its keys: none\)"),
        ("", "is not JSON"),
    ],
)
def test_json_that_is_no_mask_file(tmp_path, text, message):
    with pytest.raises(FormatError, match=message):
        formats.read_photos(write(tmp_path / "a.json", text))


def damaged(save, **options):
    """A picture file that is cut short and has some bytes wrong in its middle."""
    file = io.BytesIO()
    save(Image.fromarray(np.random.default_rng(0).integers(0, 9, (60, 80), np.uint8)), file, **options)
    content = bytearray(file.getvalue())
    for at in range(len(content) // 3, len(content) // 2, 7):
        content[at] ^= 255
    return bytes(content[: -len(content) // 8])


PRINTED = {
    "OpenCV: a PNG in LabelMe": ("a.json", None),
    "libpng: a label map": ("a.png", lambda: damaged(Image.Image.save, format="PNG")),
    "libtiff: a label map by LZW": ("a.tif", lambda: damaged(Image.Image.save, format="TIFF", compression="tiff_lzw")),
    "libtiff: a label map by deflate": (
        "a.tif", lambda: damaged(Image.Image.save, format="TIFF", compression="tiff_adobe_deflate"),
    ),
    "libpng: the masks of AMG": ("amg", lambda: damaged(Image.Image.save, format="PNG")),
}  # fmt: skip


@pytest.mark.parametrize("case", PRINTED)
def test_nothing_is_printed_by_libraries_below(tmp_path, case):
    """They write to the process's stderr; only another process can see it."""
    name, content = PRINTED[case]
    if content is None:
        task = labelme([[0, 0], [1, 1]], "mask")
        task["shapes"][0]["mask"] = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAAAAA=="
        write(tmp_path / name, task)
    elif name == "amg":
        MaskSet([Mask.from_segmentation(np.ones((60, 80), bool))]).save(tmp_path / "amg", format="amg")
        (tmp_path / "amg" / "0.png").write_bytes(content())
    else:
        (tmp_path / name).write_bytes(content())
    code = (
        "from everymask import formats\n"
        f"try: print('read', len(formats.read_masks({name!r})))\n"
        "except Exception as error: print(error)"
    )
    here = {**os.environ, "PYTHONPATH": str(Path(formats.__file__).parents[2])}
    asked = [sys.executable, "-c", code]
    ran = subprocess.run(asked, cwd=tmp_path, env=here, capture_output=True, text=True, check=True)
    assert len(ran.stdout.splitlines()) == 1
    assert ran.stdout.startswith(
        "the mask of shape 1 of a.json is not a PNG in base64" if content is None else ("read", "a.", "amg")
    )
    assert ran.stderr == ""
