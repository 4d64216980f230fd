"""Run as a program: a studio with a fake model, to be killed. Prints its port."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fakes import FakeModel
from tests.studio.harness import running

if __name__ == "__main__":
    with running(Path(sys.argv[1]), FakeModel("sam2")) as studio:
        print(studio.port, flush=True)
        sys.stdin.read()
