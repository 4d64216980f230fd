"""A disk that takes nothing more, streams that nobody reads: one line, and what was done stays."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import everymask as em
from everymask.cli import main as cli
from everymask.cli.segment import command
from everymask.cli.segment import run as segment_run
from everymask.errors import one_line
from everymask.formats import FORMATS, read_photos
from everymask.formats.landing import landing
from tests.cli.fake_engine import FakeSegmenter

HERE = {**os.environ, "PYTHONPATH": str(Path(em.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
POSIX = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")

WRITERS = """
import json, sys
from pathlib import Path
import numpy as np
import everymask as em
from everymask.errors import one_line
from everymask.export.weights_file import convert_weights
from everymask.formats import FORMATS

noise = np.random.default_rng(0).random((60, 80)) > 0.5
masks = em.MaskSet([em.Mask.from_segmentation(noise)] * 3)
calls = {name: lambda path, name=name: masks.save(path, format=name, photo="a.png") for name in FORMATS}
paths = {name: f"{name}{format_.suffix}" for name, format_ in FORMATS.items()}
for kind in ("pt", "safetensors"):
    calls[f"weights as {kind}"] = lambda path: convert_weights("nano", path)
    paths[f"weights as {kind}"] = f"nano.{kind}"
said = {}
for name, call in calls.items():
    try:
        call(Path(paths[name]))
        said[name] = "written"
    except OSError as error:
        said[name] = one_line(error)
    except Exception as error:
        said[name] = f"{type(error).__name__}: {error}"
print(json.dumps(said), flush=True)
"""


@POSIX
def test_every_writer_says_which_file_the_disk_does_not_take_and_leaves_nothing(tmp_path):
    words = ["bash", "-c", 'ulimit -f 1; exec "$0" -c "$1"', sys.executable, WRITERS]
    ran = subprocess.run(words, cwd=tmp_path, env=HERE, capture_output=True, text=True, check=True)
    said = json.loads(ran.stdout)
    suffixes = {name: each.suffix for name, each in FORMATS.items()}
    for name, text in said.items():
        if text == "written":
            assert name in ("dota", "labelmap", "voc")
            continue
        file = name.replace("weights as ", "nano.") if "weights" in name else f"{name}{suffixes[name]}"
        assert text.startswith(f"{file}"), (name, text)
        assert "partial" not in text
        assert "\n" not in text
        assert not (tmp_path / file).exists()
    assert sum(text != "written" for text in said.values()) >= 12


FAULTS = {
    errno.ENOSPC: "no space left on device; make room, or name a folder on another disk",
    errno.EROFS: "read-only file system; name a folder that can be written to",
    errno.EACCES: "permission denied; change its permissions, or name another path",
    errno.ENOTDIR: "not a directory; a file stands where a folder is needed, name another path",
}


@pytest.mark.parametrize("number", FAULTS)
def test_an_error_of_the_system_is_told_with_its_place_and_what_to_do(tmp_path, number):
    path = tmp_path / "a.png"
    for raised in (OSError(number, os.strerror(number)), Exception(f"I/O error: x (os error {number})")):
        with pytest.raises(OSError) as caught, landing(path):  # noqa: PT011 (the text is compared below)
            raise raised
        assert one_line(caught.value) == f"{path}: {FAULTS[number]}"


@pytest.fixture
def three_photos(tmp_path, monkeypatch):
    """Three photos in ``in``, a stand-in for the model; and names of photos that the disk has no room for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        command, "open_segmenter", lambda model, device, options, reading: FakeSegmenter(options, reading)
    )
    Path("in").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        pixels = np.zeros((30, 40, 3), np.uint8)
        pixels[5:10, 5:12] = 200
        Image.fromarray(pixels).save(Path("in", name))
    full: set[str] = set()
    write = segment_run.write_output

    def written(outputs, output, key, *more):
        if key in full:
            raise OSError(errno.ENOSPC, "No space left on device", f"out/{key}.txt")
        return write(outputs, output, key, *more)

    monkeypatch.setattr(segment_run, "write_output", written)
    return full


def test_a_run_ends_at_the_photo_for_which_there_is_no_room_and_goes_on_from_there(three_photos, capsys):
    words = ["segment", "in", "-f", "coco", "-f", "labelmap"]
    three_photos.add("b")
    assert cli.run(words) == 1
    said = capsys.readouterr().err
    assert said.splitlines()[-2:] == [
        "note: 1 finished photo kept; the same command goes on from there",
        "error: out/b.txt: no space left on device; make room, or name a folder on another disk",
    ]
    assert "c.png" not in said, "nor was there room for it"
    three_photos.clear()
    assert cli.run(words) == 0
    assert "3 photos (1 before)" in capsys.readouterr().err
    assert [record.photo for record in read_photos("out/coco.json")] == ["a.png", "b.png", "c.png"]


def test_a_run_without_any_photo_done_does_not_stand_in_the_way_of_the_next(three_photos, capsys):
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(
        "pages.tif", save_all=True, append_images=[Image.fromarray(np.zeros((9, 9), np.uint8))]
    )
    assert cli.run(["segment", "pages.tif", "-f", "coco"]) == 1
    assert not Path("out/coco.json").exists()
    assert cli.run(["segment", "pages.tif", "-f", "coco", "--page", "2"]) == 0
    assert [record.photo for record in read_photos("out/coco.json")] == ["pages.tif"]


@POSIX
@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full", "2</dev/null", "2> >(true)"])
def test_work_goes_on_when_nobody_can_be_told_of_it(tmp_path, stderr):
    if not Path("/dev/full").exists() and "full" in stderr:
        pytest.skip("there is no /dev/full")
    masks = em.MaskSet([em.Mask.from_segmentation(np.eye(30, 40, dtype=bool))])
    masks.save(tmp_path / "a.json", format="coco", photo="a.png")
    line = f'"$0" -m everymask convert a.json -f labelmap {stderr}'
    ran = subprocess.run(["bash", "-c", line, sys.executable], cwd=tmp_path, env=HERE, check=False)
    assert ran.returncode == 0
    assert em.read_masks(tmp_path / "out/labelmap/a.png")[0].area == 30


@POSIX
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", ["models list", "completion bash", "man", "convert a.json -f amg --json"])
def test_a_full_disk_under_stdout_is_one_line(tmp_path, words):
    masks = em.MaskSet([em.Mask.from_segmentation(np.eye(30, 40, dtype=bool))])
    masks.save(tmp_path / "a.json", format="coco", photo="a.png")
    line = f'"$0" -m everymask {words} >/dev/full'
    words = ["bash", "-c", line, sys.executable]
    ran = subprocess.run(words, cwd=tmp_path, env=HERE, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith("error: no space left on device; make room")
    assert "Traceback" not in ran.stderr
