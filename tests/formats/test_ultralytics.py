"""Ultralytics' own reading of the folders written for it: what it would train on, pixel by pixel.

Its licence is AGPL and it wants torchvision, so it is neither a dependency nor an extra. With its package
alone (``pip install --no-deps ultralytics`` into a folder on PYTHONPATH) these tests run: reading needs no
torchvision, and an empty module stands for it where there is none.
"""

import importlib.machinery
import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image

from everymask import formats
from everymask.cli import main as cli
from everymask.maskset import Mask, MaskSet

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(
        importlib.util.find_spec("ultralytics") is None,
        reason="pip install --no-deps ultralytics, into a folder of its own",
    ),
]
PHOTO_HW = (40, 60)


class Nothing:
    """Finds an empty module for whatever is in torchvision."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torchvision":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__, module.__version__ = [], spec, "0.0"
        return module

    def exec_module(self, module):
        pass


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    """``ultralytics.data.utils``, which keeps its settings in a folder of the test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YOLO_CONFIG_DIR", str(tmp_path_factory.mktemp("settings")))
        patch.setenv("YOLO_OFFLINE", "true")
        if importlib.util.find_spec("torchvision") is None:
            version = importlib.metadata.version
            patch.setattr(
                importlib.metadata, "version", lambda name: "0.0" if name == "torchvision" else version(name)
            )
            patch.setattr(sys, "meta_path", [*sys.meta_path, Nothing()])
        import ultralytics.data.utils as module

        yield module
        for name in [
            name for name in sys.modules if name.partition(".")[0] in ("torchvision", "ultralytics")
        ]:
            del sys.modules[name]


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A folder for YOLO of twelve photos, each with shapes of two classes, split; and the masks by photo."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    chance = np.random.default_rng(0)
    wanted, records = {}, []
    for number in range(12):
        name = f"photo {number}.jpg"
        Image.fromarray(chance.integers(0, 255, (*PHOTO_HW, 3), dtype=np.uint8)).save(tmp_path / "in" / name)
        corner = np.zeros(PHOTO_HW, bool)
        corner[number : number + 12, number : number + 9] = True
        corner[number : number + 4, number : number + 20] = True  # an L
        ring = np.zeros(PHOTO_HW, bool)
        ring[25:38, 30:50] = True
        masks = [
            Mask.from_segmentation(corner, label="cat"),
            Mask.from_segmentation(ring, label="big dog"),
        ]
        wanted[f"photo {number}"] = {"cat": corner, "big dog": ring}
        records.append(formats.PhotoMasks(name, MaskSet(masks)))
    options = formats.WriteOptions(formats.categories_of(records))
    formats.write_file(formats.find_format("coco"), tmp_path / "coco.json", records, options)
    assert cli.run(["convert", "coco.json", "-f", "yolo", "--photos", "in", "--val", "0.3", "-o", "out"]) == 0
    return tmp_path / "out" / "yolo", wanted


def test_ultralytics_reads_the_pixels_and_classes_that_were_written(written, reading, monkeypatch):
    folder, wanted = written
    monkeypatch.chdir(os.sep)  # data.yaml's paths hold from anywhere
    data = reading.check_det_dataset(str(folder / "data.yaml"), autodownload=False)
    assert data["nc"] == 2
    seen = set()
    for side in ("train", "val"):
        assert Path(data[side]) == folder / "images" / side
        pictures = sorted(str(path) for path in Path(data[side]).iterdir())
        for picture, label in zip(pictures, reading.img2label_paths(pictures), strict=True):
            _, rows, shape, segments, *_, found, _, corrupt, said = reading.verify_image_label(
                (picture, label, "", False, data["nc"], 0, 0, False)
            )
            assert (shape, found, corrupt, said) == (PHOTO_HW, 1, 0, "")
            masks = wanted[Path(picture).stem]
            assert sorted(data["names"][int(row[0])] for row in rows) == sorted(masks)
            for row, segment in zip(rows, segments, strict=True):
                corners = (segment * np.array(PHOTO_HW[::-1])).reshape(1, -1)
                filled = reading.polygon2mask(PHOTO_HW, list(corners)).astype(bool)
                assert np.array_equal(filled, masks[data["names"][int(row[0])]])
            seen.add(Path(picture).stem)
    assert seen == set(wanted)
