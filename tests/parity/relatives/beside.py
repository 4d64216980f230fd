"""Official packages of the relatives, each in a folder of its own: EdgeTAM's and EfficientTAM's are called
``sam2`` as well.

``make`` puts them into ``.venv/relatives/NAME``; ``EVERYMASK_RELATIVES`` is another place. They are only ever
imported in a process of their own, which says what it computed in a file.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from torch import Tensor, nn

ROOT = Path(__file__).parents[3]


def folder(name: str) -> Path:
    """Where the packages of ``relatives/NAME.txt`` are; the test is skipped where they are not."""
    path = Path(os.environ.get("EVERYMASK_RELATIVES") or Path(sys.prefix) / "relatives") / name
    if not path.is_dir():
        pytest.skip(f"{name} is not in {path}: run make setup")
    return path


def answers(packages: Path, script: str, out: Path, *arguments: str) -> dict[str, Tensor]:
    """What ``python -m tests.parity.relatives.SCRIPT OUT ...`` computed with the ``packages`` of a folder."""
    from safetensors.torch import load_file

    path = os.pathsep.join([str(packages), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", f"tests.parity.relatives.{script}", str(out), *arguments],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return load_file(out)


def install_torchvision() -> None:
    """The project's stand-in, and for whatever else timm imports names that stand for nothing."""
    from tests.parity import torchvision_standin

    torchvision_standin.install()
    if not any(isinstance(finder, _Nothing) for finder in sys.meta_path):
        sys.meta_path.append(_Nothing())
        for name in ("torchvision", "torchvision.ops", "torchvision.transforms"):
            sys.modules[name].__getattr__ = _named  # type: ignore[method-assign]


def _named(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (nn.Module,), {"BILINEAR": 2, "BICUBIC": 3, "NEAREST": 0})


class _Nothing(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds every module of torchvision that is not there; each name in it is an empty class."""

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        found = name.startswith("torchvision.")
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if found else None

    def exec_module(self, module: ModuleType) -> None:
        module.__getattr__ = _named  # type: ignore[method-assign]
