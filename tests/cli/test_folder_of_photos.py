"""A folder as folders are: 200 photos, ten of them odd, and a machine that stops now and then."""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import tempfile
import time
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from everymask import formats
from everymask.cli import main as cli
from everymask.cli.segment import command as segment
from tests.cli.fake_engine import FakeSegmenter
from tests.cli.test_segment import blobs, contents, files

KILLS = 20
NOBODY = 65534
"""The user without rights, on every Unix."""


def bomb() -> bytes:
    """A PNG of a hundred bytes that claims 100,000 x 100,000 pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def make_folder(folder: Path, count: int) -> None:
    """``count`` good photos."""
    folder.mkdir()
    for index in range(count):
        Image.fromarray(blobs(index)).save(folder / f"photo{index:03d}.{'png' if index % 2 else 'jpg'}")


def add_odd_ones(folder: Path) -> dict[str, str]:
    """Ten odd inputs; those that cannot be done, with a part of the reason."""
    whole = (folder / "photo000.jpg").read_bytes()
    (folder / "odd_truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "odd_text.jpg").write_text("this is no picture")
    (folder / "odd_empty.jpg").write_bytes(b"")
    (folder / "odd_secret.jpg").write_bytes(whole)
    (folder / "odd_secret.jpg").chmod(0)
    frames = [Image.fromarray(blobs(index)) for index in range(3)]
    frames[0].save(folder / "odd_animated.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(blobs(1)).convert("CMYK").save(folder / "odd_cmyk.jpg")
    Image.fromarray((blobs(2).mean(axis=2) * 250).astype(np.uint16)).save(folder / "odd_deep.tif")
    (folder / "odd_folder.jpg").mkdir()
    (folder / "odd_bomb.png").write_bytes(bomb())
    os.symlink("nowhere", folder / "odd_link.jpg")
    return {
        "odd_truncated.jpg": "truncated",
        "odd_text.jpg": "not a picture in a known format",
        "odd_empty.jpg": "is empty (0 bytes)",
        "odd_secret.jpg": "permission denied",
        "odd_animated.gif": "holds 3 pages or frames; pass page=0",
        "odd_folder.jpg": "is a folder, not a picture",
        "odd_bomb.png": "pixels that are decoded from one file",
        "odd_link.jpg": "there is no picture at",
    }


@pytest.fixture
def plain_folder():
    """An empty folder in which anyone may work, also below a private temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@contextmanager
def as_a_plain_user():
    """The superuser may read everything: for a while this process is nobody, if it is root."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_two_hundred_photos_with_ten_odd_ones(plain_folder, monkeypatch, capsys):
    monkeypatch.setattr(segment, "open_segmenter", lambda model, device, o, r: FakeSegmenter(o, r))
    monkeypatch.chdir(plain_folder)
    make_folder(plain_folder / "in", 190)
    command = ["segment", "in", "--format", "coco", "--format", "labelmap", "--json"]
    assert cli.run([*command, "-o", "first"]) == 0  # all that is imported late is read while we may
    capsys.readouterr()
    reasons = add_odd_ones(plain_folder / "in")
    with as_a_plain_user():
        if can_read(plain_folder / "in" / "odd_secret.jpg"):
            pytest.skip("this system lets everyone read a file of permission 0")
        assert cli.run(command) == 1
    said = capsys.readouterr()
    summary = json.loads(said.out)
    said_reasons = {each["photo"]: each["reason"] for each in summary["failed"]}
    assert set(said_reasons) == set(reasons)
    for name, part in reasons.items():
        assert part in said_reasons[name]
        assert f"failed: {name}: " in said.err
    good = 200 - len(reasons)
    assert summary["done"] == good
    out = plain_folder / "out"
    photos = formats.read_photos(out / "coco.json")
    assert {each.photo for each in photos} == {p.name for p in (plain_folder / "in").iterdir()} - set(reasons)
    assert len(list((out / "labelmap").iterdir())) == good
    report = json.loads((out / "report.json").read_text())
    assert {each["photo"] for each in report["failed"]} == set(reasons)


def can_read(path: Path) -> bool:
    """Whether this process, as whoever it is now, may open a file."""
    try:
        path.read_bytes()
    except PermissionError:
        return False
    return True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_killed_at_random_moments_and_run_again(tmp_path, monkeypatch):
    """20 kills: the same files in the end, nothing done twice once it was noted, nothing half-written."""
    make_folder(tmp_path / "in", 40)
    wanted = ["--format", "coco", "--format", "amg", "--format", "sa1b", "--overlay"]
    monkeypatch.setattr(segment, "open_segmenter", lambda model, device, o, r: FakeSegmenter(o, r, 0.01))
    monkeypatch.chdir(tmp_path)
    assert cli.run(["segment", "in", "-o", "whole", *wanted]) == 0
    monkeypatch.setenv("FAKE_ENGINE_LOG", str(tmp_path / "log"))
    (tmp_path / "log").touch()
    command = ["segment", "in", "-o", "killed", *wanted]
    moments = random.Random(0)
    kills, finished = 0, []
    for _ in range(KILLS):
        kills += killed(command, tmp_path / "log", moments.uniform(0, 0.04))
        check_nothing_is_half_written(tmp_path / "killed")
        before, finished = finished, noted(tmp_path / "killed")
        assert finished[: len(before)] == before, "what was noted stays noted"
        assert len(finished) == len(set(finished)), "a finished photo was done again"
    assert kills >= KILLS // 2
    assert cli.run(command) == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert sorted(noted(tmp_path / "killed")) == sorted(path.name for path in (tmp_path / "in").iterdir())
    worked = (tmp_path / "log").read_text().count("\n")
    assert worked <= 40 + kills, "a kill costs no more than the photo that was being worked on"


def killed(command: list[str], log: Path, delay_s: float) -> bool:
    """Run a command in a child, kill it ``delay_s`` after its first photo began; whether it was alive."""
    begun = log.read_text()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os._exit(cli.run(command))
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if log.read_text() != begun:
            time.sleep(delay_s)
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            return os.WIFSIGNALED(status)
        time.sleep(0.002)
    return False


def noted(out: Path) -> list[str]:
    """The photos noted as finished, in order."""
    index = out / ".everymask" / "finished.jsonl"
    names = []
    for line in index.read_text().splitlines() if index.exists() else []:
        try:
            names.append(json.loads(line)["name"])
        except ValueError:
            continue
    return names


def check_nothing_is_half_written(out: Path) -> None:
    """Every file under its final name opens."""
    for name in files(out) if out.exists() else []:
        path = out / name
        if path.suffix == ".jpg" or path.suffix == ".png":
            with Image.open(path) as picture:
                picture.load()
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.name == "metadata.csv":
            rows = path.read_text().splitlines()[1:]
            assert len(rows) == len(list(path.parent.glob("*.png")))
