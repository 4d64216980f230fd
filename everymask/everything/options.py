"""The options of everything mode: one frozen dataclass that checks itself.

The command line's flags and the docs' table are made from the fields and their metadata, so a name, a
default and an explanation live here and nowhere else. Names and meanings are the official ones of
segment-anything and sam2; ``effort`` is ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from everymask.errors import OptionError
from everymask.everything.presets import PRESETS, preset_options
from everymask.maskset import OUTPUT_MODES
from everymask.media.renditions import PLAIN, RENDITIONS, checked_names

EFFORTS = ("exact", "bf16", "fast")


def _option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    return field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True)
class GeneratorOptions:
    """All options of :class:`everymask.AutomaticMaskGenerator`.

    A field's metadata holds ``help``, the range ``low`` to ``high`` (inclusive; None: open), ``choices``.
    Raises :class:`OptionError` where a value is out of range or does not fit another one.

    >>> GeneratorOptions(points_per_side=16).points_per_side
    16
    """

    points_per_side: int | None = _option(
        32, "Points along one side of the photo; their square is the number of prompts.", low=1
    )
    points_per_batch: int = _option(
        64, "Prompts that a GPU decodes at once. Does not change the masks; a CPU chooses for itself.", low=1
    )
    pred_iou_thresh: float = _option(
        0.88, "Keep masks whose quality, as the model estimates it, is above this.", low=0.0, high=1.0
    )
    stability_score_thresh: float = _option(
        0.95,
        "Keep masks that hardly change when their threshold is shifted: at least this.",
        low=0.0,
        high=1.0,
    )
    stability_score_offset: float = _option(
        1.0, "How far the threshold is shifted, both ways, to measure stability.", low=0.0
    )
    mask_threshold: float = _option(0.0, "A logit above this belongs to the mask.")
    box_nms_thresh: float = _option(
        0.7, "Of two masks whose boxes overlap by more than this IoU the better one stays.", low=0.0, high=1.0
    )
    crop_n_layers: int = _option(
        0,
        "Look again at 4, 16, ... overlapping crops, this many times: finds smaller objects.",
        low=0,
        high=8,
    )
    crop_nms_thresh: float = _option(
        0.7, "As box_nms_thresh, between the masks of different crops.", low=0.0, high=1.0
    )
    mask_nms_thresh: float = _option(
        1.0,
        "Of two masks whose pixels overlap by more than this IoU the better one stays; 1: off.",
        low=0.0,
        high=1.0,
    )
    crop_overlap_ratio: float = _option(
        512 / 1500,
        "How much the first layer's crops overlap, as a share of the shorter side.",
        low=0.0,
        high=1.0,
    )
    crop_n_points_downscale_factor: int = _option(
        1, "Points per side are divided by this once per crop layer.", low=1
    )
    point_grids: Sequence[np.ndarray] | None = _option(
        None, "Points of your own instead of a grid: one array (N, 2) of shares 0 to 1 per crop layer."
    )
    min_mask_region_area: float = _option(
        0, "Fill holes and drop islands smaller than this many pixels.", low=0.0
    )
    output_mode: str = _option(
        "binary_mask", "What 'segmentation' is in the official dicts.", choices=OUTPUT_MODES
    )
    use_m2m: bool = _option(
        False, "Feed each mask back as a prompt once: cleaner masks, about four times the work."
    )
    multimask_output: bool = _option(True, "Three masks per point (whole, part, subpart) rather than one.")
    preset: str | None = _option(
        None,
        f"Begin with a row of options for {', '.join(PRESETS)}; options that are given go before it.",
    )
    renditions: str = _option(
        PLAIN,
        f"Look at the photo in these renditions, joined by +: {', '.join(RENDITIONS)}; auto chooses.",
    )
    effort: str = _option(
        "exact",
        "exact: the official masks. bf16: half precision. fast: only prompts that promise masks.",
        choices=EFFORTS,
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "renditions", checked_names(self.renditions))
        for option in fields(self):
            _check(option.name, getattr(self, option.name), option.metadata)
        if (self.points_per_side is None) == (self.point_grids is None):
            given = "both" if self.point_grids is not None else "neither"
            raise OptionError(
                f"give either points_per_side or point_grids, got {given}; the other one is None"
            )
        if self.point_grids is not None:
            _check_grids(self.point_grids, self.crop_n_layers)

    @classmethod
    def for_model(
        cls, defaults: Mapping[str, Any], options: Mapping[str, Any], model: str = ""
    ) -> GeneratorOptions:
        """The options given, over their preset's, over a model's own ``defaults`` (``spec.generator``).

        Beneath all are SAM's. ``model`` is the name under which a preset knows the model.
        ``point_grids`` without ``points_per_side`` means points_per_side=None.
        """
        unknown = set(options) - {option.name for option in fields(cls)}
        if unknown:
            raise OptionError(_unknown(sorted(unknown)))
        preset = options.get("preset")
        values = {**defaults, **({} if preset is None else preset_options(preset, model)), **options}
        if values.get("point_grids") is not None and "points_per_side" not in options:
            values["points_per_side"] = None
        return cls(**values)


def _check(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    if limits["choices"]:
        if value not in limits["choices"]:
            raise OptionError(f"{name} must be one of {', '.join(limits['choices'])}, got {value!r}")
        return
    if name == "preset":
        if value is not None:
            preset_options(value, "")
        return
    if name in ("point_grids", "renditions") or (name == "points_per_side" and value is None):
        return
    if name in ("use_m2m", "multimask_output"):
        if not isinstance(value, bool | np.bool_):
            raise OptionError(f"{name} must be True or False, got {value!r}")
        return
    _check_number(name, value, limits["low"], limits["high"])


_WHOLE = ("points_per_side", "points_per_batch", "crop_n_layers", "crop_n_points_downscale_factor")


def _check_number(name: str, value: Any, low: float | None, high: float | None) -> None:
    kind = "a whole number" if name in _WHOLE else "a number"
    allowed = int | np.integer if name in _WHOLE else int | float | np.integer | np.floating
    if isinstance(value, bool | np.bool_) or not isinstance(value, allowed) or not math.isfinite(value):
        raise OptionError(f"{name} must be {kind}, got {value!r}")
    if low is not None and high is not None and not low <= value <= high:
        raise OptionError(f"{name} must be between {low:g} and {high:g}, got {value!r}")
    if low is not None and value < low:
        raise OptionError(f"{name} must be at least {low:g}, got {value!r}")


def _check_grids(grids: Sequence[np.ndarray], crop_n_layers: int) -> None:
    if isinstance(grids, np.ndarray) and grids.ndim == 2:
        raise OptionError("point_grids must be a list with one array (N, 2) per crop layer; put yours in [ ]")
    if len(grids) < crop_n_layers + 1:
        raise OptionError(
            f"point_grids must have one array for the photo and one per crop layer, {crop_n_layers + 1}; "
            f"got {len(grids)}"
        )
    for layer, grid in enumerate(grids):
        points = np.asarray(grid)
        if points.ndim != 2 or points.shape[1] != 2:
            raise OptionError(f"point_grids[{layer}] must have shape (N, 2) as x, y; got {points.shape}")
        if points.size and not (np.isfinite(points).all() and points.min() >= 0 and points.max() <= 1):
            raise OptionError(
                f"point_grids[{layer}] must hold shares of the photo's sides, 0 to 1; "
                "divide pixels by (width, height)"
            )


def _unknown(names: Sequence[str]) -> str:
    import difflib

    known = [option.name for option in fields(GeneratorOptions)]
    hints = [(name, difflib.get_close_matches(name, known, n=1)) for name in names]
    said = [f"{name} (did you mean {near[0]}?)" if near else name for name, near in hints]
    return f"unknown option {', '.join(said)}; known are {', '.join(known)}"


def options_table() -> str:
    """The options as a Markdown table, one row a field: docs/everything.md holds it, and a test compares."""
    rows = ["| option | default | range | what it does |", "|---|---|---|---|"]
    for option in fields(GeneratorOptions):
        default = option.default
        shown = f"{default:.4g}" if isinstance(default, float) else str(default)
        rows.append(f"| `{option.name}` | {shown} | {_range(option.metadata)} | {option.metadata['help']} |")
    return "\n".join(rows)


def _range(limits: Mapping[str, Any]) -> str:
    if limits["choices"]:
        return ", ".join(limits["choices"])
    low, high = limits["low"], limits["high"]
    if low is None:
        return ""
    return f"from {low:g}" if high is None else f"{low:g} to {high:g}"
