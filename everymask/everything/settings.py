"""The settings that masks depend on, as values that files can hold and compare.

Runs over many photos keep them with the masks: the same photo under the same settings has the same masks, so
that a run can go on where it stopped, and masks of two kinds never mix unsaid.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

NOT_IN_THE_MASKS = {"points_per_batch", "output_mode"}
"""Options that change the speed or the form of an answer, not the masks."""

UNSAID = {"preset": None, "renditions": "plain"}
"""Options that runs of earlier versions do not name: left out where they change nothing."""


def plain(value: Any) -> Any:
    """An option as a JSON value.

    >>> plain([np.float64(0.5), (1, 2)])
    [0.5, [1, 2]]
    """
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def short_hash(settings: Mapping[str, Any]) -> str:
    """Sixteen hex digits that stand for settings.

    >>> short_hash({"model": "nano"}) == short_hash({"model": "nano"}) != short_hash({"model": "other"})
    True
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two settings, "" for nothing; values are told short.

    >>> differences({"model": "nano", "points_per_side": 32}, {"model": "nano", "points_per_side": 16})
    'points_per_side: 32 -> 16'
    """
    both = dict.fromkeys([*now, *before])  # an option may have been given then and not now
    names = [name for name in both if before.get(name) != now.get(name)]
    return ", ".join(f"{name}: {_short(before.get(name))} -> {_short(now.get(name))}" for name in names)


def as_read_back(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON gives them back."""
    return json.loads(json.dumps(settings))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 16 else f"{text[:13]}..."
