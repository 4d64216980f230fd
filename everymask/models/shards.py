"""Weights in several files, and the index that says which tensor is in which of them."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import CheckpointError, one_line

INDEX = ".index.json"
"""How the name of an index ends."""


def shards_of(index: Path) -> dict[str, str]:
    """The file of each tensor, by an index; names without folders. Raises CheckpointError."""
    try:
        places = json.loads(index.read_text("utf-8"))["weight_map"]
        names = set(places.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} is not an index of weights in shards: {one_line(error)}") from error
    if strange := [name for name in names if not isinstance(name, str) or Path(name).name != name]:
        raise CheckpointError(f"{index.name} names files elsewhere ({strange[0]!r}); they must lie beside it")
    return dict(places)
