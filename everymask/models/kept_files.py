"""Where encoded photos are kept between runs, under which names, and how much of them.

All in ``EVERYMASK_HOME/features``; the variable ``EVERYMASK_FEATURE_CACHE`` sets another limit in bytes,
0 for none at all.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from everymask.models.places import home

DISK_LIMIT = 2 * 10**9
"""Bytes of all files together where the variable EVERYMASK_FEATURE_CACHE says nothing else."""


def disk_limit() -> int:
    """How many bytes may be kept."""
    limit = os.environ.get("EVERYMASK_FEATURE_CACHE", "")
    return int(limit) if limit.isdecimal() else DISK_LIMIT


def folder() -> Path:
    """The folder, which need not exist yet."""
    return home() / "features"


def key_from(made_by: str, photo: np.ndarray) -> str:
    """What an RGB photo [H, W, 3], encoded by ``made_by``, is known by."""
    digest = hashlib.sha256(f"{made_by} {photo.shape} ".encode())
    digest.update(np.ascontiguousarray(photo).data)
    return digest.hexdigest()[:40]


def write_whole(path: Path, data: bytes) -> None:
    """Write beside ``path`` and move into place, so that no half-written file is ever found there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def mark_used(path: Path) -> None:
    """Say that a file was used just now, to the nanosecond; the system alone is milliseconds behind."""
    now = time.time_ns()
    os.utime(path, ns=(now, now))


def trim(where: Path, limit: int) -> None:
    """Remove the files used longest ago until all together are within the limit."""
    files = [(each.stat(), each) for each in where.glob("*.safetensors")]
    files.sort(key=lambda pair: pair[0].st_mtime_ns, reverse=True)
    total = 0
    for status, path in files:
        total += status.st_size
        if total > limit:
            path.unlink(missing_ok=True)
