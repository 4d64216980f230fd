"""Photos that failed, to be done again: their parts go back to the plan, their good rows wait beside it."""

from __future__ import annotations

import io
from functools import partial

from ..errors import require
from .manifest import Manifest
from .storage import persistently


def set_failures_aside(manifest: Manifest) -> int:
    """Take parts with failures back, keeping their good rows; how many photos are to be done again.

    First the copy, then the removal: a run killed in between has lost nothing and does it again.
    """
    parquet = require("pyarrow.parquet", "batch", "a batch")
    failures = 0
    for name in (manifest.place / "parts").names():
        unit = name.removesuffix(".parquet")
        part = manifest.part(unit)
        content = persistently(part.read, f"cannot read {part}")
        errors = parquet.read_table(io.BytesIO(content), columns=["error"]).column("error")
        if errors.null_count == len(errors):
            continue
        failures += len(errors) - errors.null_count
        kept = manifest.kept(unit)
        persistently(partial(kept.write, content), f"cannot write {kept}")
        persistently(part.remove, f"cannot remove {part}")
        (manifest.place / "air" / unit).remove()
    return failures
