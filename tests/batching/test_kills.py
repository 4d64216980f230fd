"""A batch killed again and again, by real signals, wherever it is: its rows are those of an undisturbed run.

Without Ray, so that every test run can afford it: driver and worker are one process here. On a real Ray:
``python -m benchmarks.batch_kills``.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import everymask as em
from tests.batching.files import save_photos
from tests.batching.here import no_ray
from tests.batching.test_run import rows_in
from tests.cli.fake_engine import FakeSegmenter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc")
ROOT = Path(__file__).resolve().parents[2]
SECONDS = 0.03  # that the fake takes for a photo


def run(photos: str, out: str) -> None:
    """What the processes here do."""
    with pytest.MonkeyPatch.context() as patch, no_ray(patch, FakeSegmenter({}, {}, SECONDS)):
        em.batch(photos, out, photos_per_part=4)


def started(photos: Path, out: Path) -> subprocess.Popen[bytes]:
    code = f"from tests.batching import test_kills; test_kills.run({str(photos)!r}, {str(out)!r})"
    here = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", code], env=here, cwd=ROOT)


def children(process: int) -> list[int]:
    try:
        text = Path(f"/proc/{process}/task/{process}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def wait_until(condition, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None and not condition():
        time.sleep(0.005)


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.full)])
def test_rows_of_a_batch_killed_again_and_again_are_those_of_one_that_was_not(tmp_path, kills):
    chance = random.Random(kills)
    save_photos(tmp_path / "in", 12)
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    out, quiet = tmp_path / "out", tmp_path / "quiet"
    run(str(tmp_path / "in"), str(quiet))
    own_left = 2  # three of one photo would be its own doing
    left = kills
    while left:
        process = started(tmp_path / "in", out)
        wait_until(lambda: any(out.glob("batch-*/air/*")), process)
        time.sleep(chance.uniform(0, 5 * SECONDS))
        if own_left and chance.random() < 0.5:
            wait_until(lambda process=process: children(process.pid), process)
            for child in children(process.pid):
                os.kill(child, signal.SIGKILL)
                own_left, left = own_left - 1, left - 1
                time.sleep(chance.uniform(0, 5 * SECONDS))
        if left and process.poll() is None:
            process.kill()
            left -= 1
        if process.wait() == 0:  # it was done before: from the beginning, with what the notes say
            for path in out.glob("batch-*/parts/*.parquet"):
                path.unlink()
    assert started(tmp_path / "in", out).wait() == 0
    (undisturbed,), (disturbed,) = quiet.glob("batch-*"), out.glob("batch-*")
    assert rows_in(disturbed) == rows_in(undisturbed)
    assert len(rows_in(disturbed)) == 13
    assert not list(disturbed.glob("air/*"))
