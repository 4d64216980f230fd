"""Run as a program: a studio on a clip with nano, to be killed. Prints its port."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import everymask as em
from tests.studio.harness import running

if __name__ == "__main__":
    with running(Path(sys.argv[1]), em.load("nano", device="cpu")) as studio:
        print(studio.port, flush=True)
        time.sleep(3600)
