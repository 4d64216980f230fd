"""The page's modules say the types of what they pass around; TypeScript checks that they hold."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COMPILER = HERE / "node_modules" / ".bin" / "tsc"


def test_the_page_has_no_type_error():
    if not COMPILER.exists():
        said = "TypeScript is not installed; run: make page-tools"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    command = [str(COMPILER), "-p", str(HERE / "jsconfig.json")]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.stdout == ""
    assert outcome.returncode == 0
