"""Files read with the tools they are meant for, and compared pixel by pixel."""

import base64
import io
import json
import logging
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from everymask import formats
from everymask.errors import FormatError
from everymask.formats import voc
from everymask.formats.classes import Classes
from everymask.formats.georeference import Georeference, has_georeference, read_georeference
from everymask.formats.record import PhotoMasks, WriteOptions
from everymask.maskset import Mask, MaskSet
from tests.formats.mask_examples import PHOTO_HW, apart_masks, example_masks
from tests.parity.relatives import beside as relatives

# pycocotools' compiled decoder is older than numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_pycocotools_reads_coco(tmp_path, capsys):
    from pycocotools.coco import COCO

    masks = example_masks(labels=True)
    masks.save(tmp_path / "photo.json", format="coco")
    data = COCO(str(tmp_path / "photo.json"))
    annotations = data.loadAnns(data.getAnnIds())
    assert [data.annToMask(each).astype(bool).tolist() for each in annotations] == [
        mask.segmentation.tolist() for mask in masks
    ]
    from pycocotools import mask as coco_mask

    for annotation, mask in zip(annotations, masks, strict=True):
        assert annotation["bbox"] == coco_mask.toBbox(mask.rle).tolist()
        assert annotation["area"] == coco_mask.area(mask.rle)
        assert annotation["iscrowd"] == 0
        assert annotation["id"] > 0
    assert {each["name"] for each in data.loadCats(data.getCatIds())} == {"cat", "dog", "object"}


def test_pycocotools_scores_a_file_against_itself_as_perfect(tmp_path, capsys):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    example_masks().save(tmp_path / "photo.json", format="coco")
    truth = COCO(str(tmp_path / "photo.json"))
    found = truth.loadRes([{**each, "score": 0.9} for each in truth.loadAnns(truth.getAnnIds())])
    judge = COCOeval(truth, found, "segm")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    assert judge.stats[0] == pytest.approx(1.0)


def test_pycocotools_reads_sa1b_and_amg_rle(tmp_path):
    from pycocotools import mask as coco_mask

    masks = example_masks()
    masks.save(tmp_path / "sa1b.json", format="sa1b")
    masks.save(tmp_path / "amg.json", format="amg-rle")
    rows = json.loads((tmp_path / "sa1b.json").read_text())["annotations"]
    for row, plain, mask in zip(rows, json.loads((tmp_path / "amg.json").read_text()), masks, strict=True):
        assert np.array_equal(coco_mask.decode(row["segmentation"]), mask.segmentation)
        assert row["segmentation"] == plain["segmentation"]
        assert set(row) == {
            *("id", "segmentation", "bbox", "area", "predicted_iou", "stability_score"),
            *("crop_box", "point_coords"),
        }
        assert plain == mask.to_dict("coco_rle")


def test_amg_folder_has_the_official_columns_and_pictures(tmp_path):
    masks = example_masks()
    masks.save(tmp_path / "photo", format="amg")
    header, first, *_ = (tmp_path / "photo" / "metadata.csv").read_text().splitlines()
    assert header == (
        "id,area,bbox_x0,bbox_y0,bbox_w,bbox_h,point_input_x,point_input_y,predicted_iou,stability_score,"
        "crop_box_x0,crop_box_y0,crop_box_w,crop_box_h"
    )
    assert first == "0,290,8,5,21,14,0.5,2.0,0.9,0.95,0.0,0.0,60.0,40.0"
    for index, mask in enumerate(masks):
        with Image.open(tmp_path / "photo" / f"{index}.png") as picture:
            assert np.array_equal(picture, mask.segmentation * np.uint8(255))


def test_label_studio_decodes_its_own_stream(tmp_path):
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    masks = example_masks()
    masks.save(tmp_path / "tasks.json", format="label-studio")
    (task,) = json.loads((tmp_path / "tasks.json").read_text())
    for result, mask in zip(task["predictions"][0]["result"], masks, strict=True):
        pixels = brush.decode_rle(result["value"]["rle"]).reshape(*PHOTO_HW, 4)
        assert np.array_equal(pixels[..., 3] > 0, mask.segmentation)
        assert result["value"]["rle"] == brush.mask2rle(mask.segmentation.astype(np.uint8) * 255)


def test_long_runs_are_split_as_label_studio_splits_them():
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    pixels = np.zeros((300, 200), dtype=bool)
    pixels[100, 100] = True
    stream = formats.find_format("label-studio").load().encode(pixels)
    assert stream == brush.mask2rle(pixels.astype(np.uint8) * 255)


def test_supervision_reads_yolo(tmp_path):
    sv = pytest.importorskip("supervision")
    masks = example_masks()[[2, 3]]
    (tmp_path / "images").mkdir()
    Image.new("RGB", PHOTO_HW[::-1]).save(tmp_path / "images" / "photo.png")
    labelled = MaskSet([masks[0].replace(label="a: cat"), masks[1].replace(label='"dog"')])
    labelled.save(tmp_path / "photo.txt", format="yolo")
    (tmp_path / "labels").mkdir()
    (tmp_path / "photo.txt").rename(tmp_path / "labels" / "photo.txt")
    data = sv.DetectionDataset.from_yolo(
        images_directory_path=str(tmp_path / "images"),
        annotations_directory_path=str(tmp_path / "labels"),
        data_yaml_path=str(tmp_path / "data.yaml"),
        force_masks=True,
    )
    ((_, _, found),) = list(data)
    assert np.array_equal(found.mask, masks.segmentations())
    assert [data.classes[index] for index in found.class_id] == ["a: cat", '"dog"']


def test_supervision_reads_coco_masks(tmp_path):
    sv = pytest.importorskip("supervision")
    masks = example_masks()
    Image.new("RGB", PHOTO_HW[::-1]).save(tmp_path / "photo.jpg")
    masks.save(tmp_path / "coco.json", format="coco", photo="photo.jpg")
    data = sv.DetectionDataset.from_coco(str(tmp_path), str(tmp_path / "coco.json"), force_masks=True)
    ((_, _, found),) = list(data)
    assert np.array_equal(found.mask, masks.segmentations())


@pytest.mark.parametrize("seed", range(6))
def test_pycocotools_fills_coco_polygons_to_the_pixel(tmp_path, capsys, seed):
    import cv2
    from pycocotools.coco import COCO

    random = np.random.default_rng(seed)
    field = cv2.GaussianBlur(random.random(PHOTO_HW, np.float32), (0, 0), 1 + seed / 2)
    masks = example_masks(labels=True) + MaskSet([Mask.from_segmentation(field > np.median(field))])
    losses = masks.save(tmp_path / "photo.json", format="coco-polygons")
    assert str(losses) == "nothing lost"
    data = COCO(str(tmp_path / "photo.json"))
    annotations = data.loadAnns(data.getAnnIds())
    assert all(isinstance(each["segmentation"], list) for each in annotations)
    for annotation, mask in zip(annotations, masks, strict=True):
        assert np.array_equal(data.annToMask(annotation), mask.segmentation)


def test_supervision_reads_coco_polygons(tmp_path):
    sv = pytest.importorskip("supervision")
    masks = example_masks()[[2, 3]]
    Image.new("RGB", PHOTO_HW[::-1]).save(tmp_path / "photo.jpg")
    masks.save(tmp_path / "coco.json", format="coco-polygons", photo="photo.jpg")
    data = sv.DetectionDataset.from_coco(str(tmp_path), str(tmp_path / "coco.json"), force_masks=True)
    ((_, _, found),) = list(data)
    for seen, mask in zip(found.mask, masks, strict=True):  # it counts the outline as inside
        assert not (mask.segmentation & ~seen).any()


def test_largest_part_and_filled_holes_of_polygons_are_counted(tmp_path):
    masks = example_masks()[[0, 1]]
    losses = masks.save(tmp_path / "photo.json", format="coco-polygons", rings="largest")
    back = formats.read_masks(tmp_path / "photo.json")
    changed = (back.segmentations() != masks.segmentations()).sum(axis=(1, 2))
    assert [(loss.kind, loss.pixels) for loss in losses.items] == [
        ("holes", changed[0]),
        ("parts", changed[1]),
    ]


def test_the_specification_reads_panoptic_coco(tmp_path):
    masks = apart_masks()
    labelled = MaskSet(
        [mask.replace(label=name) for mask, name in zip(masks, ("cat", "dog", "cat"), strict=True)]
    )
    labelled.save(tmp_path / "out", format="coco-panoptic", photo="sub/photo.jpg")
    content = json.loads((tmp_path / "out" / "panoptic.json").read_text())
    (image,), (annotation,) = content["images"], content["annotations"]
    assert (image["file_name"], image["height"], image["width"]) == ("sub/photo.jpg", *PHOTO_HW)
    assert annotation["image_id"] == image["id"]
    with Image.open(tmp_path / "out" / "panoptic" / annotation["file_name"]) as picture:
        assert (picture.mode, picture.format) == ("RGB", "PNG")
        red, green, blue = np.asarray(picture).astype(int).transpose(2, 0, 1)
    ids = red + 256 * green + 256**2 * blue  # rgb2id of COCO's panopticapi
    names = {row["id"]: (row["name"], row["isthing"]) for row in content["categories"]}
    assert {*np.unique(ids)} == {0, *(segment["id"] for segment in annotation["segments_info"])}
    for segment, mask in zip(annotation["segments_info"], labelled, strict=True):
        pixels = ids == segment["id"]
        assert np.array_equal(pixels, mask.segmentation)
        rows, columns = np.nonzero(pixels)
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert (segment["area"], segment["bbox"], segment["iscrowd"]) == (pixels.sum(), box, 0)
        assert names[segment["category_id"]] == (mask.label, 1)


PANOPTIC_QUALITY = """
import json, sys
from panopticapi.evaluation import pq_compute_single_core
read = lambda name: json.load(open(f"{name}/panoptic.json", encoding="utf-8"))
truth, found = read("truth"), read(sys.argv[1])
classes = {row["id"]: row for row in truth["categories"]}
pairs = list(zip(truth["annotations"], found["annotations"]))
of_all = pq_compute_single_core(0, pairs, "truth/panoptic", f"{sys.argv[1]}/panoptic", classes)
print(json.dumps(of_all.pq_average(classes, isthing=True)[0], default=float))
"""


def test_panopticapi_finds_every_segment_and_each_change(tmp_path):
    """COCO's own evaluation of all classes, of a file against itself and against a changed one."""
    names = ("cat", "dog", "cat")
    masks = [mask.replace(label=name) for mask, name in zip(apart_masks(), names, strict=True)]
    MaskSet(masks).save(tmp_path / "truth", format="coco-panoptic", photo="sub/photo.jpg")
    cut = masks[1].segmentation & (np.cumsum(masks[1].segmentation).reshape(PHOTO_HW) > masks[1].area // 4)
    changed = [masks[0], Mask.from_segmentation(cut, label="dog")]  # a dog of three quarters, a cat less
    MaskSet(changed).save(tmp_path / "changed", format="coco-panoptic", photo="sub/photo.jpg")
    there = {**os.environ, "PYTHONPATH": str(relatives.folder("panopticapi"))}
    quality = {}
    for name in ("truth", "changed"):
        words = [sys.executable, "-c", PANOPTIC_QUALITY, name]
        told = subprocess.run(words, cwd=tmp_path, env=there, capture_output=True, text=True, check=True)
        quality[name] = json.loads(told.stdout.splitlines()[-1])
    assert quality["truth"] == {"pq": 1, "sq": 1, "rq": 1, "n": 2}
    share = cut.sum() / masks[1].area  # of two cats one is found: RQ 1 / 1.5
    expected = {"pq": (2 / 3 + share) / 2, "sq": (1 + share) / 2, "rq": (2 / 3 + 1) / 2, "n": 2}
    assert quality["changed"] == pytest.approx(expected)


def test_pillow_reads_pascal_voc_with_its_palette(tmp_path):
    masks = apart_masks()
    labelled = MaskSet(
        [mask.replace(label=name) for mask, name in zip(masks, ("cat", "dog", "cat"), strict=True)]
    )
    labelled.save(tmp_path / "out", format="voc", photo="photo.jpg")
    names = (tmp_path / "out" / "labels.txt").read_text().split()
    assert names == ["background", "cat", "dog"]
    assert (tmp_path / "out/ImageSets/Segmentation/train.txt").read_text() == "photo\n"
    for folder, wanted in (("SegmentationObject", (1, 2, 3)), ("SegmentationClass", (1, 2, 1))):
        with Image.open(tmp_path / "out" / folder / "photo.png") as picture:
            assert picture.mode == "P"
            assert picture.getpalette()[:15] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128]
            numbers = np.asarray(picture)
        for mask, number in zip(masks, wanted, strict=True):
            assert (numbers[mask.segmentation] == number).all()
        assert (numbers > 0).sum() == masks.areas.sum()
    (back,) = formats.read_photos(tmp_path / "out")
    assert [mask.label for mask in back.masks] == ["cat", "dog", "cat"]


def test_voc_numbers_the_classes_that_occur_of_more_than_its_png_holds(tmp_path):
    def photos(count):
        for number in range(count):
            pixels = np.zeros((4, 5), bool)
            pixels[1:3, 2:] = True
            yield PhotoMasks(
                f"{number}.jpg", MaskSet([Mask.from_segmentation(pixels).replace(label=f"kind {number * 2}")])
            )

    options = WriteOptions(categories=Classes({f"kind {number}": number + 1 for number in range(1000)}))
    voc.write(tmp_path / "few", photos(254), options)
    listed = (tmp_path / "few/labels.txt").read_text().splitlines()
    assert listed == ["background", *(f"kind {number * 2}" for number in range(254))]
    again = {photo.photo: photo.masks[0].label for photo in voc.read(tmp_path / "few")}
    assert again == {f"{number}.jpg": f"kind {number * 2}" for number in range(254)}
    with pytest.raises(FormatError, match="holds 254 classes, and there are more; leave out voc"):
        voc.write(tmp_path / "many", photos(255), options)


def test_more_objects_than_voc_holds_are_counted_not_dropped_in_silence(tmp_path):
    row = np.zeros((1, 600), bool)
    masks = []
    for number in range(256):
        pixels = row.copy()
        pixels[0, 2 * number : 2 * number + (1 if number in (3, 9) else 2)] = True
        masks.append(Mask.from_segmentation(pixels))
    losses = MaskSet(masks).save(tmp_path / "out", format="voc")
    assert str(losses) == "2 masks left out, more than the format holds (2 px; 254 a photo)"
    assert formats.read_masks(tmp_path / "out").areas.sum() == 508


def test_shapely_reads_dota(tmp_path):
    shapely = pytest.importorskip("shapely")
    pixels = np.zeros((100, 120), np.uint8)
    import cv2

    cv2.fillPoly(pixels, [np.array([[20, 50], [60, 10], [75, 25], [35, 65]])], 1)
    masks = MaskSet([Mask.from_segmentation(pixels, label="small ship")])
    losses = masks.save(tmp_path / "photo.txt", format="dota")
    words = (tmp_path / "photo.txt").read_text().split()
    box = shapely.Polygon(np.array(words[:8], float).reshape(4, 2))
    assert words[8:] == ["small_ship", "0"]
    assert box.exterior.is_ccw  # clockwise on the screen, where y counts downwards
    sides = sorted(np.hypot(*(np.diff(np.array(box.exterior.coords), axis=0).T)))
    assert sides[0] == pytest.approx(22.6, abs=1)
    assert sides[2] == pytest.approx(57.9, abs=1)
    (back,) = formats.read_masks(tmp_path / "photo.txt", photo_hw=(100, 120))
    (loss,) = [each for each in losses.items if each.kind == "boxes"]
    assert loss.pixels == (back.segmentation != pixels).sum() < 0.1 * pixels.sum()
    assert back.label == "small_ship"


def test_labelme_mask_shapes_place_the_crop_as_labelme_does(tmp_path):
    masks = example_masks()
    masks.save(tmp_path / "photo.json", format="labelme", photo="photo.jpg")
    content = json.loads((tmp_path / "photo.json").read_text())
    assert (content["imagePath"], content["imageData"]) == ("photo.jpg", None)
    for shape, mask in zip(content["shapes"], masks, strict=True):
        # LabelMe: mask[y1 : y2 + 1, x1 : x2 + 1] = png
        (x1, y1), (x2, y2) = shape["points"]
        with Image.open(io.BytesIO(base64.b64decode(shape["mask"]))) as picture:
            crop = np.asarray(picture).astype(bool)
        pixels = np.zeros(PHOTO_HW, dtype=bool)
        pixels[y1 : y2 + 1, x1 : x2 + 1] = crop
        assert np.array_equal(pixels, mask.segmentation)


def test_cvat_runs_are_row_major_within_the_box(tmp_path):
    from xml.etree import ElementTree

    masks = example_masks()
    masks.save(tmp_path / "photo.xml", format="cvat")
    shapes = ElementTree.parse(tmp_path / "photo.xml").getroot().findall("image/mask")
    for shape, mask in zip(shapes, masks, strict=True):
        left, top, width, height = (int(shape.get(key)) for key in ("left", "top", "width", "height"))
        flat, value = [], False
        for run in shape.get("rle").split(","):  # as CVAT's own converter reads it
            flat += [value] * int(run)
            value = not value
        pixels = np.zeros(PHOTO_HW, dtype=bool)
        pixels[top : top + height, left : left + width] = np.reshape(flat, (height, width))
        assert np.array_equal(pixels, mask.segmentation)


def test_shapely_and_rasterio_read_geojson(tmp_path):
    shapely = pytest.importorskip("shapely")
    features = pytest.importorskip("rasterio.features")
    masks = example_masks()
    masks.save(tmp_path / "photo.geojson")
    content = json.loads((tmp_path / "photo.geojson").read_text())
    for feature, mask in zip(content["features"], masks, strict=True):
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.is_valid
        assert shape.area == mask.area
        assert np.array_equal(features.rasterize([shape], out_shape=PHOTO_HW) > 0, mask.segmentation)


def test_pillow_and_rasterio_read_label_maps(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    masks = apart_masks()
    masks.save(tmp_path / "map.png")
    masks.save(tmp_path / "map.tif")
    expected = sum(number * mask.segmentation.astype(int) for number, mask in enumerate(masks, 1))
    with Image.open(tmp_path / "map.png") as picture:
        assert np.array_equal(np.asarray(picture), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "map.tif") as picture:
            assert np.array_equal(picture.read(1), expected)


def test_pyarrow_and_pycocotools_read_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    from pycocotools import mask as coco_mask

    masks = example_masks(labels=True)
    masks.save(tmp_path / "masks.parquet")
    table = parquet.read_table(tmp_path / "masks.parquet").to_pylist()
    for row, mask in zip(table, masks, strict=True):
        pixels = coco_mask.decode({"size": [row["height"], row["width"]], "counts": row["rle_counts"]})
        assert np.array_equal(pixels, mask.segmentation)
    assert [row["category"] for row in table] == ["cat", "object", "dog", "cat", "object"]
    assert {"image_id", "path", "width", "height", "bbox", "area", "model_hash", "params_hash"} <= set(
        table[0]
    )


# A photo on the map: 10 m pixels in UTM zone 32 north, turned a little.


@pytest.fixture
def geotiff(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    affine = rasterio.Affine.translation(500_000, 5_400_000) @ rasterio.Affine.rotation(10)
    affine = affine @ rasterio.Affine.scale(10, -10)
    path = tmp_path / "scene.tif"
    height, width = PHOTO_HW
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, crs="EPSG:32632", transform=affine) as file:
        file.write(np.zeros((3, height, width), dtype=np.uint8))
    return path


def test_georeference_is_read(geotiff, tmp_path):
    place = read_georeference(geotiff)
    assert place.affine[2::3] == (500_000, 5_400_000)
    assert "UTM zone 32N" in place.crs_wkt
    corners = np.array([[0.0, 0.0], [60.0, 40.0]])
    assert np.allclose(place.to_pixels(place.to_crs(corners)), corners)
    assert np.allclose(place.from_wgs84(place.to_wgs84(corners)), corners, atol=1e-6)
    Image.new("L", (3, 3)).save(tmp_path / "plain.tif")
    assert not has_georeference(tmp_path / "plain.tif")
    assert read_georeference(tmp_path / "plain.tif") is None


@pytest.mark.parametrize("name", ["geojson", "geopackage", "labelmap-tiff"])
def test_georeferenced_masks_come_back_exactly(geotiff, tmp_path, name):
    place = read_georeference(geotiff)
    masks = apart_masks()
    path = tmp_path / f"out{formats.FORMATS[name].suffix}"
    losses = masks.save(path, format=name, georeference=place)
    (back,) = formats.read_photos(path)
    assert np.array_equal(back.masks.segmentations(), masks.segmentations())
    assert np.allclose(back.georeference.affine, place.affine)
    assert "georeference" not in {loss.kind for loss in losses.items}


def test_a_format_without_a_map_says_so(geotiff, tmp_path):
    losses = apart_masks().save(tmp_path / "out.json", georeference=read_georeference(geotiff))
    assert str(losses) == "3 masks lost their place on the map"


def test_geojson_is_in_longitude_and_latitude_with_shells_anticlockwise(geotiff, tmp_path):
    shapely = pytest.importorskip("shapely")
    example_masks().save(tmp_path / "out.geojson", georeference=read_georeference(geotiff))
    content = json.loads((tmp_path / "out.geojson").read_text())
    ring = shapely.geometry.shape(content["features"][0]["geometry"])
    assert ring.exterior.is_ccw
    assert not ring.interiors[0].is_ccw
    longitude, latitude = ring.centroid.coords[0]
    assert 8.99 < longitude < 9.02
    assert 48.7 < latitude < 48.8


@pytest.mark.parametrize("placed", [True, False])
def test_gdal_reads_geopackage(geotiff, tmp_path, placed):
    pyogrio = pytest.importorskip("pyogrio")
    shapely = pytest.importorskip("shapely")
    features = pytest.importorskip("rasterio.features")
    rasterio = pytest.importorskip("rasterio")
    place = read_georeference(geotiff) if placed else None
    masks = example_masks(labels=True)
    masks.save(tmp_path / "out.gpkg", georeference=place)
    logging.getLogger("pyogrio").setLevel(logging.ERROR)
    assert pyogrio.list_layers(tmp_path / "out.gpkg")[0].tolist() == ["masks", "MultiPolygon"]
    info, _, geometry, (label, *_) = pyogrio.raw.read(tmp_path / "out.gpkg", layer="masks")
    assert label.tolist() == ["cat", "object", "dog", "cat", "object"]
    if placed:
        assert info["crs"] == "EPSG:32632"
    affine = rasterio.Affine(*place.affine) if place else rasterio.Affine.scale(1, -1)
    for blob, mask in zip(geometry, masks, strict=True):
        shape = shapely.from_wkb(blob)
        assert shape.is_valid
        pixels = features.rasterize([shape], out_shape=PHOTO_HW, transform=affine)
        assert np.array_equal(pixels > 0, mask.segmentation)


def test_a_missing_extra_names_the_install_command(tmp_path, monkeypatch):
    import sys

    from everymask.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'everymask\[parquet\]'"):
        example_masks().save(tmp_path / "masks.parquet")
    assert list(tmp_path.iterdir()) == []


def test_affine_maps_pixel_corners():
    place = Georeference((2.0, 0.0, 100.0, 0.0, -2.0, 50.0), "")
    assert place.to_crs(np.array([[0, 0], [1, 3]])).tolist() == [[100.0, 50.0], [102.0, 44.0]]
    assert place.mirrors
