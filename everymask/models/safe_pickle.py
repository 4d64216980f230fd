"""What torch's safe reader may make of a pickle besides tensors: values that trainers save beside weights.

A best score is a NumPy number, the arguments of the script an ``argparse.Namespace``, its folders are paths,
its counts a ``defaultdict``. None of them is code: making one runs nothing that the file brings.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import pathlib
import types
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch

_NUMPY_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY_RECONSTRUCT = np.zeros(0).__reduce__()[0]
_NUMPY_DTYPES = [type(np.dtype(kind)) for kind in "?bBhHiIlLqQefdgFDGSUMm"]


def plain_values_allowed() -> AbstractContextManager[Any]:
    """Lets ``torch.load(weights_only=True)`` make such values. torch before 2.6 cannot be told so."""
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 6):
        return nullcontext()
    return torch.serialization.safe_globals([*_numpy(), *_paths(), *_containers()])


def _numpy() -> list[Any]:
    allowed: list[Any] = [np.dtype, np.ndarray, *_NUMPY_DTYPES]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):  # the name before NumPy 2, and since
        for name, made_by in (("scalar", _NUMPY_SCALAR), ("_reconstruct", _NUMPY_RECONSTRUCT)):
            allowed.append((made_by, f"{module}.{name}"))
    return allowed


def _paths() -> list[Any]:
    """Paths of either system as plain names: a path of the other system cannot be made on this one."""
    return [
        (pure, f"{module}.{name}")
        for module in ("pathlib", "pathlib._local")  # the name until Python 3.12, in 3.13
        for kind, pure in (("Posix", pathlib.PurePosixPath), ("Windows", pathlib.PureWindowsPath))
        for name in (f"{kind}Path", f"Pure{kind}Path")
    ]


def _containers() -> list[Any]:
    return [
        *(argparse.Namespace, types.SimpleNamespace, collections.Counter),
        (_as_dict, "collections.defaultdict"),  # torch's reader fills plain dictionaries only
        *(dict, list, set, frozenset, tuple, int, float, str, bool, complex),  # what a defaultdict makes
        *(datetime.datetime, datetime.date, datetime.timedelta, datetime.timezone),
    ]


def _as_dict(*_factory: object) -> dict[Any, Any]:
    return {}
