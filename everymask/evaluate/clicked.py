"""How good several clicks are, on photos with masks: as a person corrects, and all in one call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from everymask.evaluate.data import LEAST_SHARE, Annotated
from everymask.evaluate.metrics import iou
from everymask.image.clicks import Click, ClickSession
from everymask.image.predictor import ImagePredictor
from everymask.masks.regions import innermost
from everymask.models.base import PromptableModel

ENOUGH = 0.8
"""IoU from which a mask counts as done."""


@dataclass(frozen=True)
class ClickScores:
    """Means over regions; the first click of each is at its innermost pixel, every other one at the innermost
    pixel of the largest error of the answer before."""

    one_by_one: tuple[float, ...]
    """IoU after 1, 2, ... clicks of a :class:`everymask.ClickSession`."""
    at_once: tuple[float, ...]
    """IoU of the same clicks in one call, which knows nothing of the answers between them."""
    disobeyed: float
    """Share of the clicks that the last answer does not obey, one by one."""
    disobeyed_at_once: float
    clicks_to_80: float
    """Clicks until the IoU is 0.8, one by one; one more than were set where it never is."""


def score_clicks(
    model: PromptableModel, photos: Iterable[Annotated], clicks: int = 5, least_share: float = LEAST_SHARE
) -> ClickScores:
    """Scores of so many simulated clicks on each region of annotated photos."""
    predictor = ImagePredictor(model)
    return click_scores(
        (row for example in photos for row in measure_clicks(predictor, example, clicks, least_share)), clicks
    )


Clicked = tuple[list[float], list[float], list[float]]
"""Of a region: IoU after each click, one by one and at once; disobeyed shares of both."""


def measure_clicks(
    predictor: ImagePredictor, example: Annotated, clicks: int, least_share: float = LEAST_SHARE
) -> list[Clicked]:
    """So many simulated clicks on each region of a photo."""
    regions = example.regions(least_share)
    if regions:
        predictor.set_image(example.photo)
    return [_clicked(predictor, region, clicks) for region in regions]


def click_scores(regions: Iterable[Clicked], clicks: int) -> ClickScores:
    """The means over regions."""
    rows = list(regions)
    one_by_one, at_once, disobeyed = (np.mean([row[n] for row in rows], axis=0).tolist() for n in range(3))
    enough = [next((n for n, value in enumerate(row[0], 1) if value >= ENOUGH), clicks + 1) for row in rows]
    return ClickScores(tuple(one_by_one), tuple(at_once), disobeyed[0], disobeyed[1], float(np.mean(enough)))


def _clicked(predictor: ImagePredictor, region: np.ndarray, count: int) -> Clicked:
    """IoU of a region bool [H, W] after each click, one by one and at once; disobeyed shares of both."""
    session = ClickSession(predictor)
    one_by_one, at_once, mask = [], [], np.zeros_like(region)
    for _ in range(count):
        click = correction(mask, region)
        mask = session.click(click.x, click.y, click.include).masks[0]
        one_by_one.append(_iou(mask, region))
        said = [(each.x, each.y) for each in session.clicks], [int(each.include) for each in session.clicks]
        together = predictor.predict(*said, multimask=len(session.clicks) == 1).best().masks[0]
        at_once.append(_iou(together, region))
    disobeyed = [
        float(np.mean([not each.is_obeyed_by(m) for each in session.clicks])) for m in (mask, together)
    ]
    return one_by_one, at_once, disobeyed


def correction(mask: np.ndarray, region: np.ndarray) -> Click:
    """Where a person would click next: at the innermost pixel of what is missing or too much, by its depth.

    >>> correction(np.zeros((3, 3), bool), np.ones((3, 3), bool))
    Click(x=1.0, y=1.0, include=True)
    """
    missing, too_much = innermost(region & ~mask), innermost(mask & ~region)
    include = missing[1] >= too_much[1]
    x, y = (missing if include else too_much)[0]
    return Click(float(x), float(y), include)


def _iou(mask: np.ndarray, region: np.ndarray) -> float:
    return float(iou(mask[None], region)[0])
