"""Mutated files and command lines in a process of its own: a reader that kills it is seen as well.

The counts of the whole run: seeds 0 to 9,999 of files, 0 to 1,999 of command lines (``-m full``).
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(module, first, count):
    here = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    asked = [sys.executable, "-m", module, str(first), str(count)]
    ran = subprocess.run(asked, cwd=ROOT, env=here, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    return ran.stdout


def test_six_hundred_mutated_mask_files_give_masks_or_one_line():
    assert run("tests.formats.fuzz", 0, 600).startswith("600 files, 0 faults")


def test_a_hundred_mutated_command_lines_end_in_a_status():
    assert run("tests.cli.fuzz", 0, 100).startswith("100 command lines, 0 faults")


@pytest.mark.full
def test_ten_thousand_mutated_mask_files_give_masks_or_one_line():
    assert run("tests.formats.fuzz", 0, 10_000).startswith("10000 files, 0 faults")


@pytest.mark.full
def test_two_thousand_mutated_command_lines_end_in_a_status():
    assert run("tests.cli.fuzz", 0, 2_000).startswith("2000 command lines, 0 faults")
