"""The server is killed in the middle of work: everything it said yes to is in the project file."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from everymask.studio.project import Project
from tests.studio.harness import TOKEN

ROOT = Path(__file__).resolve().parents[2]


def killed_run(folder: Path, seed: int) -> list[int]:
    """Draw masks until the server is killed; the numbers of masks that were accepted."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.studio.killed_server", str(folder)]
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    )
    port = int(server.stdout.readline())
    accepted: list[int] = []
    begun = threading.Event()

    def work() -> None:
        url = f"http://127.0.0.1:{port}/api/photos/1"
        with httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            version = client.get(url).json()["version"]
            try:
                while True:
                    ring = [[1, 1], [9, 1], [9, 1 + version % 9 + 1], [1, 9]]
                    body = {"version": version, "action": {"type": "polygon", "rings": [ring]}}
                    answer = client.post(f"{url}/actions", json=body).json()
                    version = answer["version"]
                    accepted.extend(int(id) for id in answer["patch"]["masks"])
                    begun.set()
            except (httpx.HTTPError, ValueError):
                return  # killed

    worker = threading.Thread(target=work)
    worker.start()
    assert begun.wait(60)
    threading.Event().wait(random.Random(seed).uniform(0, 0.25))
    server.send_signal(signal.SIGKILL)
    worker.join(60)
    server.wait(60)
    server.stdin.close()
    server.stdout.close()
    return accepted


def check(tmp_path: Path, kills: int) -> None:
    Image.fromarray(np.zeros((12, 16, 3), np.uint8)).save(tmp_path / "a.png")
    accepted: list[int] = []
    for seed in range(kills):
        accepted += killed_run(tmp_path, seed)
        project = Project(tmp_path / "everymask-studio.db")
        state = project.state(1)
        project.close()
        kept = list(state.document.items)
        # What was answered is there; one more may have been written and not answered any more.
        assert kept[: len(accepted)] == accepted
        assert len(kept) - len(accepted) <= 1
        assert state.version == len(kept)
        accepted = kept
    assert len(accepted) >= kills


def test_nothing_accepted_is_lost_when_the_server_is_killed(tmp_path):
    check(tmp_path, 2)


@pytest.mark.full
def test_nothing_accepted_is_lost_in_twenty_kills(tmp_path):
    check(tmp_path, 20)
