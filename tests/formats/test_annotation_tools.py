"""LabelMe and CVAT files read by the tools' own code, and compared pixel by pixel.

cvat_sdk is small and part of the development extra. LabelMe brings Qt, datumaro older versions of much that
we have: their tests are ``full`` and run in an environment that has them (``pip install labelme datumaro``).
"""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from everymask import formats
from tests.formats.mask_examples import PHOTO_HW, example_masks

LABELS = ["cat", "object", "dog", "cat", "object"]


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photos" / "sub" / "photo.png"
    path.parent.mkdir(parents=True)
    Image.new("RGB", PHOTO_HW[::-1]).save(path)
    return path


def write(name, path, photo):
    record = formats.PhotoMasks("sub/photo.png", example_masks(labels=True), source=photo)
    options = formats.WriteOptions(formats.categories_of([record]))
    assert not formats.write_file(formats.FORMATS[name], path, [record], options)


def test_cvat_decodes_our_runs_as_its_own(tmp_path, photo):
    masks = pytest.importorskip("cvat_sdk.masks")
    write("cvat", tmp_path / "cvat.xml", photo)
    elements = ElementTree.parse(tmp_path / "cvat.xml").getroot().findall("image/mask")
    assert [element.get("label") for element in elements] == LABELS
    for element, mask in zip(elements, example_masks(), strict=True):
        left, top, width, height = (int(element.get(key)) for key in ("left", "top", "width", "height"))
        runs = [int(run) for run in element.get("rle").split(",")]
        points = [*runs, left, top, left + width - 1, top + height - 1]  # as CVAT's importer joins them
        assert points == masks.encode_mask(mask.segmentation)
        pixels = masks.decode_mask(points, image_width=PHOTO_HW[1], image_height=PHOTO_HW[0])
        assert np.array_equal(pixels, mask.segmentation)


def test_cvat_shows_the_smaller_mask_on_top(tmp_path, photo):
    write("cvat", tmp_path / "cvat.xml", photo)
    elements = ElementTree.parse(tmp_path / "cvat.xml").getroot().findall("image/mask")
    areas = {
        int(each.get("z_order")): mask.area for each, mask in zip(elements, example_masks(), strict=True)
    }
    assert [areas[z] for z in range(len(areas))] == sorted(areas.values(), reverse=True)


def test_cvat_lists_the_labels_of_the_run(tmp_path, photo):
    write("cvat", tmp_path / "cvat.xml", photo)
    names = ElementTree.parse(tmp_path / "cvat.xml").getroot().findall("meta/task/labels/label/name")
    assert [name.text for name in names] == ["cat", "dog", "object"]


def test_labelme_is_led_to_the_photo_and_we_to_its_name(tmp_path, photo):
    path = tmp_path / "out" / "labelme" / "sub" / "photo.json"
    write("labelme", path, photo)
    content = json.loads(path.read_text())
    assert content["imagePath"] == "../../../photos/sub/photo.png"
    assert (path.parent / content["imagePath"]).resolve() == photo.resolve()
    assert formats.read_photos(path)[0].photo == "sub/photo.png"


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")  # Qt's bindings
def test_labelme_opens_the_photo_and_the_masks(tmp_path, photo, monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    labelme = pytest.importorskip("labelme", reason="LabelMe brings Qt: pip install labelme")
    path = tmp_path / "out" / "labelme" / "sub" / "photo.json"
    write("labelme", path, photo)
    opened = labelme.LabelFile(str(path))
    assert opened.image_data == photo.read_bytes()
    assert [shape["label"] for shape in opened.shapes] == LABELS
    for shape, mask in zip(opened.shapes, example_masks(), strict=True):
        pixels, _ = labelme.utils.shapes_to_label(PHOTO_HW, [shape], {shape["label"]: 1})
        assert np.array_equal(pixels > 0, mask.segmentation)
    saved = tmp_path / "saved.json"
    opened.save(
        *(str(saved), json.loads(path.read_text())["shapes"], opened.image_path, *PHOTO_HW),
        other_data=opened.other_data,
    )
    (again,) = formats.read_photos(saved)
    assert again.photo == "sub/photo.png"
    assert np.array_equal(again.masks.segmentations(), example_masks().segmentations())


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_datumaro_reads_cvat(tmp_path, photo):
    datumaro = pytest.importorskip("datumaro", reason="it wants other versions: pip install datumaro")
    folder = tmp_path / "set"
    (folder / "images" / "sub").mkdir(parents=True)
    photo.rename(folder / "images" / "sub" / "photo.png")
    write("cvat", folder / "masks.xml", folder / "images" / "sub" / "photo.png")
    data = datumaro.Dataset.import_from(str(folder), "cvat")
    (item,) = data
    names = [label.name for label in data.categories()[datumaro.AnnotationType.label]]
    assert [names[each.label] for each in item.annotations] == LABELS
    for each, mask in zip(item.annotations, example_masks(), strict=True):
        assert np.array_equal(each.image > 0, mask.segmentation)
