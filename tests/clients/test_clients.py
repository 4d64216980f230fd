"""Programs of others, unchanged, on everymask's modules in place of the official ones: the same results.

``make`` puts the programs of PyPI into ``.venv/clients``, ``make test-clients`` repositories into
``.venv/checkouts`` (``EVERYMASK_CLIENTS`` and ``EVERYMASK_CHECKOUTS`` are other places).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.clients.checkouts import CHECKOUTS, place
from tests.clients.programs import PROGRAMS

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("EVERYMASK_CLIENTS") or Path(sys.prefix) / "clients")
NAMES = {
    "sam_lora": "sam-lora",
    "medsam": "medsam",
    "lang_sam": "lang-sam",
    "vos_inference": "sam2",
    "sam2_training": "sam2",
}
"""Of the checkouts; those not named are Label Studio's."""


def run(program, side, out):
    done = subprocess.run(
        [sys.executable, "-m", "tests.clients.programs", program, side, str(out)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(FOLDER), str(ROOT)]),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return load_file(out)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_gets_what_the_official_package_gives_it(program, tmp_path):
    if not FOLDER.is_dir():
        said = f"the programs are not in {FOLDER}; run: make setup"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    compare(program, tmp_path)


@pytest.mark.parametrize(
    "program", [pytest.param(name, marks=[pytest.mark.full] * (name == "lang_sam")) for name in CHECKOUTS]
)
def test_a_program_that_is_fetched_gets_what_the_official_package_gives_it(program, tmp_path):
    checkout = place() / NAMES.get(program, "label-studio")
    if not checkout.is_dir():
        pytest.skip(f"{checkout} was not fetched; run: make test-clients, where GitHub can be reached")
    compare(program, tmp_path)


def compare(program, folder):
    ours, official = (run(program, side, folder / side) for side in ("ours", "official"))
    assert ours.keys() == official.keys()
    assert ours, "something was computed"
    for name, value in official.items():
        mine = ours[name]
        assert (mine.shape, mine.dtype) == (value.shape, value.dtype), name
        if "mask" in name and not value.is_floating_point():
            assert (mine == value).float().mean() > 0.999, name
        elif not value.is_floating_point():
            assert (mine == value).all(), name
        elif "gradient" in name:
            assert float((mine - value).norm()) <= 5e-3 * float(value.norm()) + 1e-6, name
        else:
            spread = max(float(value.max() - value.min()), 0.1)
            assert float((mine - value).abs().max()) <= 1e-4 * spread, name
