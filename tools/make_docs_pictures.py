"""Make every picture of the docs and the README from one photo and one model.

    python tools/make_docs_pictures.py [--photo PHOTO] [--model nano] [--out docs/pictures]
        [--set pred_iou_thresh=0.7 ...]     # for every picture that does not vary the option itself;
                                            # without it the options of `everymask demo`
        [--only hero prompts ...]           # some of the pictures

Run again whenever the model or the drawing changes; counts and times are written into the pictures. The
photo must be free to publish; the default is the CC0 one that ships in the package.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import everymask as em
from everymask.cli.demo import SURE
from everymask.everything.grid import crops, grids, points_in
from everymask.maskset import Mask, MaskSet
from everymask.media.draw import draw_overlay

ROOT = Path(__file__).resolve().parents[1]
PHOTO = ROOT / "everymask" / "assets" / "photo.jpg"
PANEL_WIDTH = 560
CAPTION_HEIGHT = 34
LIMIT_BYTES = 200_000


@dataclass(frozen=True)
class Panel:
    """A picture and the words under it."""

    picture: np.ndarray  # RGB uint8 [H, W, 3]
    caption: str


@dataclass(frozen=True)
class Studio:
    """What every picture is made with."""

    model: em.PromptableModel
    photo: np.ndarray  # RGB uint8 [H, W, 3]
    out: Path
    base: dict[str, float]
    """Options of everything mode that hold wherever a picture does not set them itself."""

    def masks(self, **options: Any) -> tuple[MaskSet, float]:
        """Everything mode, and how long it took in seconds."""
        begun = time.perf_counter()
        found = em.AutomaticMaskGenerator(self.model, **{**self.base, **options}).generate(self.photo)
        return found, time.perf_counter() - begun

    def save(self, name: str, panels: Sequence[Panel], columns: int = 2) -> None:
        """Put panels beside and below each other, small enough for a web page."""
        rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
        sheet = np.concatenate([np.concatenate([framed(panel) for panel in row], axis=1) for row in rows])
        path = self.out / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        for quality in (88, 80, 72, 64, 56, 48):
            Image.fromarray(sheet).save(path, quality=quality, subsampling=0, optimize=True)
            if path.stat().st_size <= LIMIT_BYTES:
                break
        print(f"{path}: {path.stat().st_size // 1000} kB; " + "; ".join(panel.caption for panel in panels))


def framed(panel: Panel) -> np.ndarray:
    """A panel at the common width, its caption under it, a white margin around."""
    height, width = panel.picture.shape[:2]
    size = (PANEL_WIDTH, round(height * PANEL_WIDTH / width))
    shrinks = size[0] < width
    picture = cv2.resize(panel.picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    sheet = Image.new("RGB", (size[0] + 8, size[1] + CAPTION_HEIGHT), "white")
    sheet.paste(Image.fromarray(picture), (4, 4))
    font = ImageFont.load_default(size=18)
    ImageDraw.Draw(sheet).text((size[0] / 2, size[1] + 18), panel.caption, "black", font, anchor="mm")
    return np.asarray(sheet)


def hero(studio: Studio) -> None:
    """The README's picture: a photo, and all that is in it."""
    masks, seconds = studio.masks()
    share = masks.segmentations().any(axis=0).mean() if len(masks) else 0
    panels = [
        Panel(studio.photo, "photo.jpg"),
        Panel(
            draw_overlay(studio.photo, masks), f"{len(masks)} masks in {seconds:.1f} s, {share:.0%} covered"
        ),
    ]
    studio.save("hero", panels)


def prompts(studio: Studio) -> None:
    """One object from a click, from two clicks, from a box."""
    predictor = em.ImagePredictor(studio.model)
    predictor.set_image(studio.photo)
    height, width = studio.photo.shape[:2]
    click = (width * 0.5, height * 0.15)
    cases: list[tuple[str, dict[str, Any]]] = [
        ("one click, the best of three", {"points": [click]}),
        ("a box", {"box": (width * 0.14, height * 0.2, width * 0.88, height * 0.92)}),
    ]
    panels = []
    for caption, prompt in cases:
        answer = predictor.predict(**prompt).best()
        drawn = draw_overlay(studio.photo, answer.masks, colors=[(30, 144, 255)])
        panels.append(
            Panel(with_prompt(drawn, **prompt), f"{caption}: IoU {answer.scores[0]:.2f} by its own estimate")
        )
    studio.save("prompts", panels)


def with_prompt(
    picture: np.ndarray, points: Sequence[Any] = (), box: Sequence[float] | None = None
) -> np.ndarray:
    """A picture with the clicks and the box that were asked with."""
    picture = picture.copy()
    for x, y in points:
        star(picture, round(x), round(y))
    if box is not None:
        x0, y0, x1, y1 = (round(side) for side in box)
        cv2.rectangle(picture, (x0, y0), (x1, y1), (255, 255, 255), 3)
        cv2.rectangle(picture, (x0, y0), (x1, y1), (20, 160, 60), 1)
    return picture


def star(picture: np.ndarray, x: int, y: int) -> None:
    """A marker that shows on any ground."""
    for size, colour, weight in ((16, (255, 255, 255), 5), (13, (20, 160, 60), 2)):
        cv2.drawMarker(picture, (x, y), colour, cv2.MARKER_STAR, size, weight)


def points_per_side(studio: Studio) -> None:
    """The grid, coarser and finer."""
    panels = []
    for count in (8, 16, 32, 64):
        masks, seconds = studio.masks(points_per_side=count)
        drawn = draw_overlay(studio.photo, masks)
        for x, y in points_in(crops(studio.photo.shape[:2], 0, 0.3)[0], grids(em.GeneratorOptions(count))[0]):
            cv2.circle(drawn, (round(x), round(y)), 2, (255, 255, 255), -1, cv2.LINE_AA)
        panels.append(Panel(drawn, f"points_per_side={count}: {len(masks)} masks, {seconds:.1f} s"))
    studio.save("points_per_side", panels)


def crop_n_layers(studio: Studio) -> None:
    """Crops: each layer looks four times as closely; new masks in colour."""
    panels = []
    for layers in (0, 1, 2, 3):
        masks, seconds = studio.masks(crop_n_layers=layers, crop_n_points_downscale_factor=2)
        drawn = draw_overlay(studio.photo, masks)
        windows = [
            window for window in crops(studio.photo.shape[:2], layers, 512 / 1500) if window.layer == layers
        ]
        for window in windows:
            x0, y0, x1, y1 = window.xyxy
            cv2.rectangle(drawn, (x0 + 1, y0 + 1), (x1 - 2, y1 - 2), (255, 255, 255), 1)
        noun = "crop" if len(windows) == 1 else "crops"
        panels.append(
            Panel(
                drawn, f"crop_n_layers={layers}: +{len(windows)} {noun}, {len(masks)} masks, {seconds:.1f} s"
            )
        )
    studio.save("crop_n_layers", panels)


def threshold(name: str, values: Sequence[float]) -> Callable[[Studio], None]:
    """A sheet for a filter: from hardly any masks to too many."""

    def make(studio: Studio) -> None:
        panels = []
        for value in values:
            masks, _ = studio.masks(**{name: value})
            panels.append(Panel(draw_overlay(studio.photo, masks), f"{name}={value}: {len(masks)} masks"))
        studio.save(name, panels)

    make.__name__ = name
    return make


def stability(studio: Studio) -> None:
    """What stability means: the same mask cut a little higher and a little lower."""
    masks, _ = studio.masks(stability_score_thresh=0.0, pred_iou_thresh=0.3)
    large = [mask for mask in masks if mask.area > studio.photo.shape[0] * studio.photo.shape[1] / 100]
    by_score = sorted(large or list(masks), key=lambda mask: mask.stability_score or 0)
    predictor = em.ImagePredictor(studio.model)
    predictor.set_image(studio.photo)
    panels = []
    for word, mask in (("unstable", by_score[0]), ("stable", by_score[-1])) if by_score else ():
        panels.append(
            Panel(_band(studio.photo, predictor, mask), f"{word}: stability {mask.stability_score:.2f}")
        )
    if panels:
        studio.save("stability", panels)


def _band(photo: np.ndarray, predictor: em.ImagePredictor, mask: Mask) -> np.ndarray:
    """The masks at logits above +1 (dark) and above -1 (light) for the prompt of a mask."""
    answer = predictor.predict(points=list(mask.point_coords or ()), return_logits=True)
    assert answer.photo_logits is not None
    shared = [
        (found & mask.segmentation).sum() / max((found | mask.segmentation).sum(), 1)
        for found in answer.masks
    ]
    logits = answer.photo_logits[int(np.argmax(shared))]
    masks = np.stack([logits > -1, logits > 1])
    return draw_overlay(photo, masks, colors=[(255, 140, 0), (30, 100, 255)], opacity=0.6)


def min_mask_region_area(studio: Studio) -> None:
    """Holes and islands before and after."""
    before, _ = studio.masks()
    after, _ = studio.masks(min_mask_region_area=200)
    studio.save(
        "min_mask_region_area",
        [
            Panel(draw_overlay(studio.photo, before), f"min_mask_region_area=0: {len(before)} masks"),
            Panel(draw_overlay(studio.photo, after), f"min_mask_region_area=200: {len(after)} masks"),
        ],
    )


def effort(studio: Studio) -> None:
    """The three efforts side by side."""
    panels = []
    for name in ("exact", "bf16", "fast"):
        masks, seconds = studio.masks(effort=name)
        panels.append(
            Panel(draw_overlay(studio.photo, masks), f"effort={name}: {len(masks)} masks, {seconds:.1f} s")
        )
    studio.save("effort", panels, columns=3)


def cutouts(studio: Studio) -> None:
    """The largest objects alone, on a grey ground."""
    masks = studio.masks()[0].sorted_by("area")[:4]
    panels = []
    for mask in masks:
        alone = np.full_like(studio.photo, 225)
        alone[mask.segmentation] = studio.photo[mask.segmentation]
        panels.append(Panel(alone, f"{mask.area:,} px"))
    if panels:
        studio.save("cutouts", panels, columns=len(panels))


SHEETS: tuple[Callable[[Studio], None], ...] = (
    hero,
    prompts,
    points_per_side,
    crop_n_layers,
    threshold("pred_iou_thresh", (0.55, 0.45, 0.35, 0.3)),
    threshold("stability_score_thresh", (0.95, 0.9, 0.8, 0.6)),
    stability,
    min_mask_region_area,
    effort,
    cutouts,
)


def main() -> None:
    """Read the arguments and make every sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photo", type=Path, default=PHOTO)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    parser.add_argument("--only", nargs="*", choices=[sheet.__name__ for sheet in SHEETS])
    arguments = parser.parse_args()
    base = {name: float(value) for name, value in (text.split("=") for text in arguments.set)} or SURE
    studio = Studio(em.load(arguments.model), em.read_photo(arguments.photo), arguments.out, base)
    studio.masks(points_per_side=4)  # the first call pays for starting up
    for sheet in SHEETS:
        if arguments.only is None or sheet.__name__ in arguments.only:
            sheet(studio)


if __name__ == "__main__":
    main()
