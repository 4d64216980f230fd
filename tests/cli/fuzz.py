# ruff: noqa: E501 (command lines read best in one line)
"""Mutated command lines: ``python -m tests.cli.fuzz SEED COUNT`` prints those that end in anything but a status.

Every line is run in this process, in a folder of small files, with a stand-in for the model. A status of 0, 1 or 2
and at most a few lines on stderr are right; an exception, a traceback or more than five seconds are not.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import shlex
import signal
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch  # noqa: F401 (not to be imported within the five seconds)
from PIL import Image

from everymask.cli import main as cli
from everymask.cli.segment import command as segment
from tests.cli.fake_engine import FakeSegmenter
from tests.formats.fuzz import SECONDS, TooSlow
from tests.formats.mask_examples import PHOTO_HW, example_masks

LINES = (
    "segment photos -o out -f coco --overlay --overwrite",
    "segment photos -r -f yolo -f geojson --min-mask-region-area 10 --overwrite",
    "segment photos/a.png --points-per-side 8 --pred-iou-thresh 0.5 --range minmax --overwrite",
    "segment photos/a.png --bands 1,2,3 --page 1 --dry-run",
    "segment photos --json --overlap disjoint --rings largest --cutouts --ids --overwrite",
    "convert coco.json -f yolo -f cvat -o out2 --overwrite",
    "convert coco.json -f labelme --min-area 10 --label cat -o out3 --photos photos --overwrite",
    "convert photo.txt -f coco --from yolo --photos photos -o out4 --json --overwrite",
    "predict photos/none.png --point 10,10 --box 1,1,20,20 --mask photos/a.png -m nowhere.pt",
    "models list --json",
    "models info coco.json",
    "track photos/none.mp4 --point 0,10,10",
)
ODD = (
    *(
        "",
        "-",
        "--",
        "-1",
        "0",
        "1e9",
        "nan",
        "inf",
        "99999999999999999999",
        "a,b",
        ",",
        "1,2",
        "3,2,1",
        "@",
        "=",
        "*",
    ),
    *(
        "../..",
        "/nowhere",
        ".",
        "coco.json",
        "photos",
        "é",
        "\udce9",
        "x" * 300,
        "--help",
        "--json",
        "-f",
        "-o",
        "[a",
        "~",
    ),
)


def mutated(line: str, chance: random.Random) -> list[str]:
    """The words of a line with one to three things wrong."""
    words = shlex.split(line)
    for _ in range(chance.randint(1, 3)):
        spot = chance.randrange(1, len(words) + 1)
        kind = chance.randrange(5)
        if kind == 0:
            words.insert(spot, chance.choice(ODD))
        elif kind == 1:
            words[spot - 1 : spot] = [chance.choice(ODD)] if spot > 1 else words[:1]
        elif kind == 2 and len(words) > 2:
            del words[spot - 1]
        elif kind == 3:
            words.insert(spot, chance.choice(words))
        else:
            word = words[spot - 1]
            at = chance.randrange(len(word) + 1)
            words[spot - 1] = word[:at] + chance.choice(ODD)[:3] + word[at + chance.randrange(2) :]
    return [word.replace("\0", "") for word in words]


def files() -> None:
    """The files that the lines speak of, in the present folder."""
    Path("photos/sub").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 255, (*PHOTO_HW, 3), dtype=np.uint8)
    for name in ("a.png", "photo.jpg", "sub/b.png"):
        Image.fromarray(pixels).save(f"photos/{name}")
    example_masks(labels=True).save("coco.json", photo="photo.jpg")
    example_masks().save("photo.txt")


def run(words: list[str]) -> str | None:
    """What is wrong with how a command line ends, or None."""
    out, err = io.StringIO(), io.StringIO()
    sys.stdin = io.StringIO("photos/a.png\nnowhere.jpg\n")  # for lines with -
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.run(words)
    except TooSlow:
        return f"longer than {SECONDS} s"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if status not in (0, 1, 2):
        return f"status {status}"
    return "a traceback" if "Traceback" in err.getvalue() else None


def main(first: int, count: int) -> int:
    """Run ``count`` command lines with the seeds from ``first`` on; the number of faults, each printed."""
    signal.signal(signal.SIGPROF, lambda *_: (_ for _ in ()).throw(TooSlow()))
    warnings.simplefilter("ignore")
    segment.open_segmenter = lambda model, device, options, reading: FakeSegmenter(options, reading)  # type: ignore[assignment]
    faults, home = 0, Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            files()
            for seed in range(first, first + count):
                chance = random.Random(seed)
                words = mutated(chance.choice(LINES), chance)
                if any(word.startswith(("/", "..", "~")) for word in words):
                    words = [word for word in words if not word.startswith(("/", "..", "~"))]  # stay in here
                if (fault := run(words)) is not None:
                    faults += 1
                    print(f"seed {seed}: {words}: {fault}", flush=True)
        finally:
            os.chdir(home)
    print(f"{count} command lines, {faults} faults", flush=True)
    return faults


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), int(sys.argv[2]))))
