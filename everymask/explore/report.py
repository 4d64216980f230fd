"""What a tuning found, as one HTML page: numbers, the trade-off, the photos that came out worst."""

from __future__ import annotations

import html
from pathlib import Path

import cv2
import numpy as np

from everymask.explore.tune import Told, Trial, Tuning
from everymask.media import html as pictures
from everymask.media.captions import side_by_side
from everymask.media.draw import draw_overlay

WORST = 3
CURVE = "score of each trial over its number of masks a photo; the best in red"
WIDTH, HEIGHT, MARGIN = 640, 400, 56


def write_report(tuning: Tuning, path: str | Path) -> Path:
    """Write the page; it needs no other file and no network."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(tuning), "utf-8")
    return path


def page(tuning: Tuning) -> str:
    """The report of a tuning as HTML."""
    goal = tuning.goal if isinstance(tuning.goal, str) else f"wish {dict(tuning.goal.weights)}"
    where = (
        "photos kept aside"
        if tuning.is_held_out
        else "the photos tuned on: there were too few to keep any aside"
    )
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(value))}</td></tr>"
        for name, value in tuning.options.items()
    )
    worst = sorted(tuning.told, key=lambda each: each.after)[:WORST]
    problems = "".join(f"<li>{html.escape(line)}</li>" for line in tuning.problems)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>everymask tune</title><style>
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; }}
table {{ border-collapse: collapse; }} td {{ padding: .15rem 1rem .15rem 0; border-bottom: 1px solid #ddd; }}
img {{ max-width: 100%; height: auto; }} .number {{ font-size: 1.6rem; }}
</style></head><body>
<h1>Tuned for {html.escape(goal)}</h1>
<p class="number">{tuning.before:.3f} &rarr; {tuning.after:.3f}</p>
<p>{html.escape(tuning.model)}'s defaults against the tuned options, mean over {len(tuning.told)} {where};
{len(tuning.trials)} trials on {len(tuning.tuned_on)} photos.</p>
<h2>The options</h2><table>{rows}</table>
<h2>What more masks bring</h2>
{pictures.with_caption(trade_off(tuning.trials), CURVE)}
<h2>The photos that came out worst</h2>
{"".join(_compared(each) for each in worst)}
{f"<h2>Not used</h2><ul>{problems}</ul>" if problems else ""}
</body></html>
"""


def _compared(told: Told) -> str:
    photo = told.example.read().values
    before, after = (draw_overlay(photo, masks) for masks in (told.masks_before, told.masks_after))
    captions = [
        f"defaults: {told.before:.3f}, {len(told.masks_before)} masks",
        f"tuned: {told.after:.3f}, {len(told.masks_after)} masks",
    ]
    return pictures.with_caption(
        side_by_side([before, after], captions, 600), told.example.name, longest=1200
    )


def trade_off(trials: tuple[Trial, ...]) -> np.ndarray:
    """The score of every trial over its masks a photo, the best so far joined, RGB uint8."""
    masks = np.array([trial.masks_per_photo for trial in trials])
    scores = np.array([trial.score for trial in trials])
    low, high = float(scores.min()), float(scores.max())
    spread, most = max(high - low, 1e-6), max(float(masks.max()), 1.0)
    x = (MARGIN + np.log1p(masks) / np.log1p(most) * (WIDTH - 2 * MARGIN)).round().astype(int)
    y = (HEIGHT - MARGIN - (scores - low) / spread * (HEIGHT - 2 * MARGIN)).round().astype(int)
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    frame = (MARGIN, MARGIN), (WIDTH - MARGIN, HEIGHT - MARGIN)
    cv2.rectangle(picture, *frame, (200, 200, 200), 1)
    order = np.argsort(masks, kind="stable")
    front = [i for n, i in enumerate(order) if scores[i] >= scores[order[: n + 1]].max()]
    cv2.polylines(picture, [np.stack([x[front], y[front]], 1)], False, (20, 110, 110), 2, cv2.LINE_AA)
    for column, row in zip(x.tolist(), y.tolist(), strict=True):
        cv2.circle(picture, (column, row), 3, (120, 160, 160), -1, cv2.LINE_AA)
    best = int(scores.argmax())
    cv2.circle(picture, (int(x[best]), int(y[best])), 6, (200, 30, 30), -1, cv2.LINE_AA)
    for text, place in (
        (f"{high:.3f}", (4, MARGIN + 5)),
        (f"{low:.3f}", (4, HEIGHT - MARGIN)),
        ("0", (MARGIN - 4, HEIGHT - MARGIN + 20)),
        ("masks a photo (logarithmic)", (WIDTH // 2 - 100, HEIGHT - MARGIN + 20)),
        (f"{most:.0f}", (WIDTH - MARGIN - 12, HEIGHT - MARGIN + 20)),
    ):
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (60, 60, 60), 1, cv2.LINE_AA)
    return picture
