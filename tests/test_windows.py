"""What is otherwise on Windows, as far as another system can show it: paths, consoles, disks, processes.

The workflow file runs the whole suite there; these tests fail here too when somebody forgets.
"""

from __future__ import annotations

import errno
import io
import json
import ntpath
import os
import pickle
import subprocess
import sys
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest
from PIL import Image

import everymask as em
from everymask import formats
from everymask.batching.storage import Place
from everymask.cli import main as cli
from everymask.cli.shared.inputs import Keys, paths_from_what_is_shared
from everymask.formats.folder_names import FolderNames, safe_path
from everymask.formats.georeference import Georeference

NAMES = [
    *("con.jpg", "AUX", "nul.tar.gz", "COM1.png", "lpt9", "prn .jpg", "a/con/b.jpg", "CON"),
    *(
        "dots...",
        "trailing .jpg",
        "space ",
        "a./b .jpg",
        "...",
        ". .",
        "a:b.jpg",
        "x?y*z.jpg",
        "new\nline.jpg",
    ),
    *("C:\\photos\\a.jpg", "\\\\server\\share\\a.jpg", "D:a.jpg", "..\\..\\a.jpg", "a|b<c>.jpg", 'q"q.jpg'),
]


def is_a_name_there(path: str) -> bool:
    """Whether Windows has a file of this relative path, and under no shorter name."""
    parts = PureWindowsPath(path).parts
    reserved = getattr(ntpath, "isreserved", lambda name: PureWindowsPath(name).is_reserved())
    forbidden = set(':*?"<>|') | {chr(number) for number in range(32)}
    return not any(
        reserved(part) or forbidden & set(part) or part.rstrip(". ") != part or not part for part in parts
    )


@pytest.mark.parametrize("name", NAMES)
def test_no_output_has_a_name_that_windows_has_not(name):
    for path in (safe_path(name), Keys([]).new(name), FolderNames().new(name, ".png")):
        assert is_a_name_there(path)
        assert not PureWindowsPath(path).anchor
        assert ".." not in PureWindowsPath(path).parts


def test_names_that_windows_takes_for_one_get_outputs_of_their_own():
    keys = Keys([])
    found = [
        keys.new(name).casefold() for name in ("a.jpg", "A.png", "a .jpg", "a..jpg", "con.jpg", "con_.jpg")
    ]
    assert len(set(found)) == len(found)
    assert all(map(is_a_name_there, found))


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ((r"C:\in\a\x.jpg", r"C:\in\b\x.jpg"), ["a/x.jpg", "b/x.jpg"]),
        ((r"C:\in\x.jpg", r"D:\in\x.jpg"), ["C:/in/x.jpg", "D:/in/x.jpg"]),
        ((r"\\host\share\a\x.jpg", r"\\host\share\x.jpg"), ["a/x.jpg", "x.jpg"]),
        ((r"C:\x.jpg", r"\\host\share\x.jpg"), ["C:/x.jpg", "//host/share/x.jpg"]),
    ],
)
def test_photos_of_one_name_on_several_drives_are_told_apart(sources, expected):
    assert paths_from_what_is_shared(sources, ntpath) == expected
    keys = Keys([])
    assert all(is_a_name_there(keys.new(name)) for name in expected)


LABELS = ("写真", "naïve → café", "кот")


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii", "utf-8"])
def test_names_that_a_console_has_no_characters_for_do_not_end_a_run(tmp_path, encoding):
    """A pipe on Windows has 256 characters; so have old consoles."""
    (tmp_path / "写真").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "写真" / "кот.png")
    masks = em.MaskSet([em.Mask.from_segmentation(np.eye(6, 8, dtype=bool), label=each) for each in LABELS])
    masks.save(tmp_path / "写真" / "кот.json", format="coco", photo="кот.png")
    words = [
        "convert",
        "写真/кот.json",
        "-f",
        "labelme",
        "-f",
        "voc",
        "--photos",
        "写真",
        "-o",
        "выход",
        "--json",
    ]
    here = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C.UTF-8"}
    here["PYTHONPATH"] = str(Path(em.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-m", "everymask", *words, "--json"],
        cwd=tmp_path,
        env=here,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert b"Traceback" not in ran.stderr
    assert json.loads(ran.stdout.decode(encoding))["masks"] == 3
    (written,) = (tmp_path / "выход").rglob("кот.json")
    assert [mask.label for mask in formats.read_masks(written)] == list(LABELS)


def test_a_printed_name_has_numbers_for_what_the_console_lacks(monkeypatch):
    for encoding, printed in (("cp1252", b"caf\xe9 \\u5199"), ("utf-8", "café 写".encode())):
        console = io.TextIOWrapper(io.BytesIO(), encoding)
        monkeypatch.setattr(sys, "stdout", console)
        cli._print_any_name()
        console.write("café 写")
        console.flush()
        assert console.buffer.getvalue() == printed
    console = io.TextIOWrapper(io.BytesIO(), "utf-8")
    monkeypatch.setattr(sys, "stdout", console)
    cli._print_any_name()
    console.write(os.fsdecode(b"caf\xe9.jpg"))
    console.flush()
    assert console.buffer.getvalue() == os.fsencode(os.fsdecode(b"caf\xe9.jpg"))


def test_a_closed_pipe_is_no_error_there_either(monkeypatch, capsys):
    def closed(*_: object, **__: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(cli, "_assembled", lambda wanted: closed)
    assert cli.run(["doctor"]) == cli.FAILED
    assert "error: invalid argument" in capsys.readouterr().err
    monkeypatch.setattr(cli, "os", type("Windows", (), {"name": "nt", "environ": os.environ}))
    assert cli.run(["doctor"]) == cli.FAILED
    assert capsys.readouterr().err == ""


def test_a_disk_without_hard_links_holds_a_batch(tmp_path, monkeypatch):
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "not supported")

    monkeypatch.setattr(os, "link", no_links)
    place = Place.of(tmp_path) / "manifest.json"
    assert place.create(b"first")
    assert not place.create(b"second")
    assert place.read() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_what_is_handed_to_a_spawned_process_arrives_whole():
    """Windows has no fork: arguments and answers are pickled."""
    masks = em.MaskSet(
        [
            em.Mask.from_segmentation(
                np.eye(6, 8, dtype=bool), label="кот", predicted_iou=0.5, attributes={"id": 7}
            )
        ]
    )
    place = Georeference((10.0, 0.0, 5.0, 0.0, -10.0, 6.0), "EPSG:32632")
    record = formats.PhotoMasks("a.jpg", masks, place)
    back = pickle.loads(pickle.dumps(record))
    assert back.masks.to_dicts("coco_rle") == masks.to_dicts("coco_rle")
    assert dict(back.masks[0].attributes) == {"id": 7}
    assert (back.photo, back.georeference) == ("a.jpg", place)


def test_no_process_is_forked_by_us():
    """Spawned processes alone: a fork after threads hangs, and Windows has none."""
    sources = {path: path.read_text("utf-8") for path in Path(em.__file__).parent.rglob("*.py")}
    for path, text in sources.items():
        assert "os.fork" not in text, path
        assert 'get_context("fork' not in text, path
        if "multiprocessing" in text:
            assert 'get_context("spawn")' in text or "multiprocessing.spawn(" in text, path
