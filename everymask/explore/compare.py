"""Options beside each other on one photo: a sheet of pictures, a table, a page."""

from __future__ import annotations

import base64
import csv
import html
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from everymask.errors import OptionError
from everymask.everything.generate import AutomaticMaskGenerator
from everymask.explore.structures import Options, combinations, grouped, split
from everymask.masks.coverage import layers
from everymask.maskset import MaskSet
from everymask.media.captions import side_by_side
from everymask.media.draw import draw_overlay
from everymask.media.photos import PhotoLike, read_pixels
from everymask.media.rasters import Pixels
from everymask.models.base import PromptableModel
from everymask.models.load import load
from everymask.opencv import encoded

MOST = 100
"""Settings that one comparison may have: a sheet of more helps nobody."""
COLUMNS = ("masks", "coverage", "median_area", "overlaps", "seconds")


@dataclass(frozen=True, eq=False)
class Setting:
    """One combination of options, and what came of it."""

    options: Options
    masks: MaskSet
    seconds: float
    """Of the model and of everything after it; settings that differ in thresholds share the model's."""

    @property
    def caption(self) -> str:
        """The options in a line."""
        return ", ".join(f"{name} {value}" for name, value in self.options.items()) or "defaults"

    def row(self) -> dict[str, Any]:
        """The options, then masks, coverage 0 to 1, median area in pixels, pixels under two masks or more
        as a share of those covered, seconds."""
        times = layers((mask.runs for mask in self.masks), self.masks.photo_hw)
        return {
            **self.options,
            "masks": len(self.masks),
            "coverage": round(self.masks.coverage, 4),
            "median_area": float(np.median(self.masks.areas)) if len(self.masks) else 0.0,
            "overlaps": round(float((times > 1).sum() / max((times > 0).sum(), 1)), 4),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """What :func:`compare` found, setting after setting."""

    photo: np.ndarray
    settings: tuple[Setting, ...]
    per_row: int
    """Settings that stand in a row of the sheet: the values of the last option."""

    def __repr__(self) -> str:
        height, width = self.photo.shape[:2]
        options = ", ".join(self.settings[0].options) if self.settings else "nothing"
        return f"Comparison({len(self.settings)} settings of {options} on a {width} x {height} photo)"

    @property
    def table(self) -> list[dict[str, Any]]:
        """A row a setting; see :meth:`Setting.row`."""
        return [setting.row() for setting in self.settings]

    def draw(self, longest: int = 500, **look: Any) -> np.ndarray:
        """The contact sheet, RGB uint8: a picture a setting under its options and number of masks.

        ``longest`` is the longer side of a picture in pixels, ``look`` the options of ``draw_overlay``.
        """
        pictures = [draw_overlay(self.photo, setting.masks, **look) for setting in self.settings]
        captions = [f"{setting.caption}: {_counted(len(setting.masks))}" for setting in self.settings]
        blank = np.full_like(self.photo, 255)
        missing = -len(pictures) % self.per_row
        pictures, captions = pictures + [blank] * missing, captions + [""] * missing
        rows = [
            side_by_side(pictures[i : i + self.per_row], captions[i : i + self.per_row], longest)
            for i in range(0, len(pictures), self.per_row)
        ]
        return np.concatenate(rows, axis=0)

    def save(self, folder: str | Path, **look: Any) -> list[Path]:
        """Write ``sheet.png``, ``table.csv`` and ``index.html`` (zoom and pan go along in all pictures)."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = {
            "sheet.png": _png(self.draw(**look)),
            "table.csv": self.csv().encode("utf-8"),
            "index.html": self.page(**look).encode("utf-8"),
        }
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return [folder / name for name in files]

    def csv(self) -> str:
        """The table as CSV."""
        text = io.StringIO()
        rows = self.table
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def page(self, **look: Any) -> str:
        """One HTML file with all pictures in it; needs no network."""
        figures = []
        for setting, row in zip(self.settings, self.table, strict=True):
            source = base64.b64encode(_png(draw_overlay(self.photo, setting.masks, **look))).decode()
            facts = ", ".join(f"{name.replace('_', ' ')} {row[name]}" for name in COLUMNS)
            figures.append(
                f"<figure><figcaption><b>{html.escape(setting.caption)}</b><br>{facts}</figcaption>"
                f'<div class="view"><img alt="{html.escape(setting.caption)}" '
                f'src="data:image/png;base64,{source}"></div></figure>'
            )
        return PAGE.replace("COLUMNS", str(self.per_row)).replace("FIGURES", "\n".join(figures))

    def _repr_html_(self) -> str:
        from everymask.media import html as pictures

        return pictures.with_caption(
            self.draw(), f"Comparison of {len(self.settings)} settings", longest=1600
        )


def compare(
    photo: PhotoLike,
    model: str | Path | PromptableModel = "nano",
    *,
    progress: Callable[[int, int], None] | None = None,
    device: str | None = None,
    valid: np.ndarray | None = None,
    **options: Any,
) -> Comparison:
    """The masks of a photo under every combination of options.

    ``options`` are those of :class:`AutomaticMaskGenerator`, each a value or a list of values to compare:
    ``compare("photo.jpg", crop_n_layers=[0, 1], points_per_side=[16, 32])``. Thresholds vary without the
    model; it is asked once for each other combination. ``progress`` is called with (done, settings).

    ``valid``, bool [H, W], is where an array has data; files say so themselves. Nothing is asked about other
    pixels, nor do they count.

    Raises :class:`OptionError` for an option that is wrong, before the model is asked, and for more than
    100 settings.
    """
    settings = combinations(options)
    if len(settings) > MOST:
        raise OptionError(f"{len(settings)} combinations are more than a sheet can show; take at most {MOST}")
    read = read_pixels(photo)
    picture = Pixels(read.values, read.valid if valid is None else valid)
    ready = model if isinstance(model, PromptableModel) else load(str(model), device=device)
    for setting in settings:
        AutomaticMaskGenerator(ready, **setting)  # a wrong one is said now
    results: dict[int, Setting] = {}
    for asked, numbers in grouped(settings):
        for number, masks, seconds in _answers(ready, picture, asked, {n: settings[n] for n in numbers}):
            results[number] = Setting(settings[number], masks, seconds)
            if progress is not None:
                progress(len(results), len(settings))
    last = next(reversed(options.values()), None)
    per_row = len(last) if isinstance(last, list | tuple) else 1
    return Comparison(picture.values, tuple(results[number] for number in range(len(settings))), per_row)


def _answers(
    model: PromptableModel, photo: Pixels, asked: Options, settings: dict[int, Options]
) -> list[tuple[int, MaskSet, float]]:
    """Number, masks and seconds of settings that ask the model the same."""
    if len(settings) == 1 or asked.get("effort") == "fast":
        return [(number, *_timed(model, photo, options)) for number, options in settings.items()]
    start = time.perf_counter()
    depths = [
        options.get("mask_threshold", 0.0) - options.get("stability_score_offset", 1.0)
        for options in settings.values()
    ]
    generator = AutomaticMaskGenerator(model, **asked)
    findings = generator.explore(photo.values, lowest=min(-8.0, *depths), valid=photo.valid)
    exploring = time.perf_counter() - start
    answers = []
    for number, options in settings.items():
        start = time.perf_counter()
        masks = findings.masks(**split(options)[1])
        answers.append((number, masks, exploring + time.perf_counter() - start))
    return answers


def _timed(model: PromptableModel, photo: Pixels, options: Options) -> tuple[MaskSet, float]:
    start = time.perf_counter()
    masks = AutomaticMaskGenerator(model, **options).generate(photo.values, valid=photo.valid)
    return masks, time.perf_counter() - start


def _counted(masks: int) -> str:
    return f"{masks} mask" + "s" * (masks != 1)


def _png(picture: np.ndarray) -> bytes:
    return encoded(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>everymask compare</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { margin: 1rem; font: 14px/1.4 system-ui, sans-serif; background: #16181d; color: #e8eaed; }
main { display: grid; grid-template-columns: repeat(COLUMNS, minmax(0, 1fr)); gap: 1rem; }
figure { margin: 0; } figcaption { margin-bottom: .4rem; color: #b6bcc6; } b { color: #fff; }
.view { overflow: hidden; border-radius: 6px; cursor: grab; touch-action: none; background: #000; }
.view img { display: block; width: 100%; transform-origin: 0 0; user-select: none; }
</style></head><body>
<p>Wheel to zoom, drag to move, double click to see all of it again: the pictures go together.</p>
<main>
FIGURES
</main>
<script>
const images = [...document.querySelectorAll(".view img")];
let scale = 1, x = 0, y = 0;                       // x, y in widths and heights of a picture
const show = () => images.forEach(i => i.style.transform =
  `translate(${x * i.clientWidth}px, ${y * i.clientHeight}px) scale(${scale})`);
const limit = () => { x = Math.min(0, Math.max(1 - scale, x)); y = Math.min(0, Math.max(1 - scale, y)); };
document.querySelectorAll(".view").forEach(view => {
  view.addEventListener("wheel", e => {
    e.preventDefault();
    const box = view.getBoundingClientRect();
    const u = (e.clientX - box.x) / box.width, v = (e.clientY - box.y) / box.height;
    const next = Math.min(40, Math.max(1, scale * Math.exp(-e.deltaY / 400)));
    x = u - (u - x) * next / scale; y = v - (v - y) * next / scale; scale = next; limit(); show();
  }, { passive: false });
  view.addEventListener("pointerdown", e => view.setPointerCapture(e.pointerId));
  view.addEventListener("pointermove", e => {
    if (!view.hasPointerCapture(e.pointerId)) return;
    x += e.movementX / view.clientWidth; y += e.movementY / view.clientHeight; limit(); show();
  });
  view.addEventListener("dblclick", () => { scale = 1; x = y = 0; show(); });
});
</script></body></html>
"""
