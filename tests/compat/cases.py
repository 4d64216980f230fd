"""What the parity tests of the predictors share: sizes of photos, kinds of prompts, what "equal" means."""

from __future__ import annotations

from typing import Any

import numpy as np

PHOTO_SIZES = {
    "landscape": (90, 160),
    "portrait": (150, 100),
    "square": (128, 128),
    "tiny": (5, 7),
    "row": (1, 40),
}
"""H x W."""

SPREAD = 1e-4
"""Largest difference of logits and scores, as a share of the reference's spread."""

PIXELS = 1e-4
"""Largest share of mask pixels that may differ."""

KINDS = (
    "click",
    "clicks",
    "box",
    "box and click",
    "box and clicks",
    "mask",
    "click and mask",
    "box and mask",
    "box, clicks and mask",
)


def prompt(kind: str, photo_hw: tuple[int, int], logits_hw: tuple[int, int]) -> dict[str, Any]:
    """The arguments of an official ``predict`` for this kind of prompt; fractions of pixels among them."""
    height, width = photo_hw
    given: dict[str, Any] = {}
    if "click" in kind:
        share = np.array([(0.4, 0.55), (0.8, 0.2), (0.1, 0.9)])[: 3 if "clicks" in kind else 1]
        given["point_coords"] = share * (width, height)
        given["point_labels"] = np.array([1, 0, 1])[: len(share)]
    if "box" in kind:
        given["box"] = np.array([0.2 * width, 0.1 * height, 0.75 * width, 0.8 * height])
    if "mask" in kind:
        rng = np.random.default_rng(3)
        given["mask_input"] = rng.normal(0, 8, (1, *logits_hw)).astype(np.float32)
    return given


def assert_equal_answers(ours: Any, official: Any) -> None:
    """(masks, scores, logits) of both: the same shapes and types, and values by the two bounds above."""
    for mine, theirs in zip(ours, official, strict=True):
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype)
    for mine, theirs in zip(ours[1:], official[1:], strict=True):
        assert_close(mine, theirs)
    if official[0].dtype == bool or set(np.unique(official[0])) <= {0.0, 1.0}:
        assert (ours[0] != official[0]).mean() <= PIXELS
    else:
        assert_close(ours[0], official[0])


def assert_close(mine: Any, theirs: Any) -> None:
    mine, theirs = np.asarray(mine, np.float64), np.asarray(theirs, np.float64)
    spread = max(float(np.ptp(theirs)), 0.1)  # a single score has no spread of its own
    worst = np.abs(mine - theirs).max() / spread
    assert worst <= SPREAD, f"differs by {worst:.2e} of the spread"
