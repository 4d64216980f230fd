"""Options in two kinds: thresholds, which findings answer without the model, and what the model is asked."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from everymask.errors import OptionError
from everymask.everything.findings import THRESHOLDS
from everymask.everything.options import GeneratorOptions

Options = dict[str, Any]


def combinations(axes: Mapping[str, Any]) -> list[Options]:
    """Every combination of option values, the last option varying fastest; one value need not be a list.

    >>> combinations({"crop_n_layers": [0, 1], "points_per_side": 16})
    [{'crop_n_layers': 0, 'points_per_side': 16}, {'crop_n_layers': 1, 'points_per_side': 16}]
    """
    known = {option.name for option in fields(GeneratorOptions)}
    unknown = sorted(set(axes) - known)
    if unknown:
        GeneratorOptions.for_model({}, dict.fromkeys(unknown))  # says what is meant
    lists = [list(values) if isinstance(values, list | tuple) else [values] for values in axes.values()]
    for name, values in zip(axes, lists, strict=True):
        if not values:
            raise OptionError(f"{name} needs at least one value, got none")
    return [dict(zip(axes, chosen, strict=True)) for chosen in itertools.product(*lists)]


def split(options: Mapping[str, Any]) -> tuple[Options, Options]:
    """What the model is asked, and the thresholds.

    >>> split({"points_per_side": 16, "pred_iou_thresh": 0.5})
    ({'points_per_side': 16}, {'pred_iou_thresh': 0.5})
    """
    asked = {name: value for name, value in options.items() if name not in THRESHOLDS}
    return asked, {name: value for name, value in options.items() if name in THRESHOLDS}


def grouped(settings: Sequence[Options]) -> list[tuple[Options, list[int]]]:
    """Settings that ask the model the same, together: what is asked, and the numbers of the settings."""
    groups: list[tuple[Options, list[int]]] = []
    for number, setting in enumerate(settings):
        asked, _ = split(setting)
        same = next((numbers for known, numbers in groups if known == asked), None)
        if same is None:
            groups.append((asked, [number]))
        else:
            same.append(number)
    return groups
