"""Rows of options for what people look for: where to begin, instead of turning a dozen parameters.

``options`` are the same for every model; what counts on a model's own scale, its thresholds, stands under the
model's name and was measured for it (docs/explore.md says on what). Options that are given go before both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from everymask.errors import OptionError


@dataclass(frozen=True)
class Preset:
    """One row."""

    purpose: str
    options: Mapping[str, Any]
    of_model: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By the model's name, what goes before ``options`` for it."""


_CLOSER = {"crop_n_layers": 1, "crop_n_points_downscale_factor": 2}

PRESETS: Mapping[str, Preset] = {
    "objects": Preset(
        "whole things, few masks, none twice",
        {"mask_nms_thresh": 0.7},
        {"nano": {"pred_iou_thresh": 0.6, "stability_score_thresh": 0.8, "box_nms_thresh": 0.5}},
    ),
    "parts": Preset(
        "wheels, windows, letters: parts beside wholes",
        _CLOSER,
        {"nano": {"pred_iou_thresh": 0.25, "box_nms_thresh": 0.7}},
    ),
    "everything": Preset(
        "all of the photo under masks, whatever they are",
        _CLOSER,
        {"nano": {"pred_iou_thresh": 0.15, "stability_score_thresh": 0.6, "box_nms_thresh": 0.7}},
    ),
    "cells": Preset(
        "many small things alike on a plain ground: nuclei, pills, seeds",
        {"box_nms_thresh": 0.3},
        {"nano": {"pred_iou_thresh": 0.5, "stability_score_thresh": 0.9}},
    ),
    "aerial": Preset(
        "roofs, fields, roads from above",
        _CLOSER,
        {"nano": {"pred_iou_thresh": 0.42, "stability_score_thresh": 0.9}},
    ),
}
"""The presets by name."""


def preset_options(name: str, model: str) -> dict[str, Any]:
    """The options of a preset for a model. Raises :class:`OptionError` for a name that is none."""
    if not isinstance(name, str) or name not in PRESETS:
        raise OptionError(f"preset must be one of {', '.join(PRESETS)}; got {name!r}")
    preset = PRESETS[name]
    return {**preset.options, **preset.of_model.get(model, {})}
