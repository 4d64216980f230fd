"""Make every picture of the docs and the README with one model, from photos that are free to publish.

    python tools/make_docs_pictures.py [--photo PHOTO] [--model nano] [--out docs/pictures]
        [--set pred_iou_thresh=0.7 ...]     # for every picture that does not vary the option itself;
                                            # without it the options of `everymask demo`
        [--only hero prompts ...]           # some of the pictures
        [--maps FOLDER]                     # only this: the masks of a folder's photos, not the photos

Run again whenever the model or the drawing changes. Prompts, masks and seconds are written into the
pictures; the seconds are processor time of one thread, so that a busy machine does not change them much. All
sheets together take some three minutes of one core with nano; a run that two sheets share is done once. The
photos are the CC0 ones that ship in the package and one in the public domain, docs/photos/coins.png.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import everymask as em
from everymask.everything.grid import crops, grids, points_in
from everymask.inpaint.clips import erased_frames
from everymask.inpaint.engines import open_engine
from everymask.maskset import Mask, MaskSet
from everymask.media.draw import draw_overlay
from everymask.media.videos import open_frames
from everymask.words.detect.lite import named

ROOT = Path(__file__).resolve().parents[1]
PHOTO = ROOT / "everymask" / "assets" / "photo.jpg"
DEMO_PHOTO = ROOT / "everymask" / "assets" / "cat.jpg"
MANY_THINGS = ROOT / "docs" / "photos" / "coins.png"
"""Many small things, on which grids, crops and thresholds show what they do."""
PANEL_WIDTH = 560
CAPTION_HEIGHT = 34
LIMIT_BYTES = 200_000
QUALITIES = (88, 0), (80, 0), (72, 0), (64, 0), (56, 0), (64, 2), (52, 2), (40, 2)
"""JPEG's quality and what colours are shrunk by, the best first; the first that is small enough is taken."""


@dataclass(frozen=True)
class Panel:
    """A picture and the words under it."""

    picture: np.ndarray  # RGB uint8 [H, W, 3]
    caption: str


@dataclass(frozen=True)
class Found:
    """What everything mode found, and what it cost."""

    masks: MaskSet
    prompts: int
    seconds: float
    """Processor time of one thread."""

    def __str__(self) -> str:
        """For a caption."""
        return f"{len(self.masks)} masks; {self.prompts:,} prompts, {self.seconds:.1f} s"


def prompts_of(options: em.GeneratorOptions, photo_hw: tuple[int, ...]) -> int:
    """How many points the whole grid has, over all crops."""
    windows = crops((photo_hw[0], photo_hw[1]), options.crop_n_layers, options.crop_overlap_ratio)
    layers = grids(options)
    return sum(len(layers[window.layer]) for window in windows)


@dataclass(frozen=True)
class Studio:
    """What every picture is made with."""

    model: em.PromptableModel
    photo: np.ndarray  # RGB uint8 [H, W, 3]
    out: Path
    base: dict[str, float]
    """Options of everything mode that hold wherever a picture does not set them itself."""
    many_things: np.ndarray
    """Another photo, of many small things."""
    known: dict[str, Found] = field(default_factory=dict)
    """What was found with options, by their text."""

    def of_many_things(self) -> Studio:
        """The same with the photo of many small things."""
        return self if self.photo is self.many_things else replace(self, photo=self.many_things, known={})

    def find(self, **options: Any) -> Found:
        """Everything mode with these options."""
        generator = em.AutomaticMaskGenerator(self.model, **{**self.base, **options})
        name = repr(generator.options)
        if name not in self.known:
            begun = time.process_time()
            masks = generator.generate(self.photo)
            seconds = time.process_time() - begun
            self.known[name] = Found(masks, prompts_of(generator.options, self.photo.shape[:2]), seconds)
        return self.known[name]

    def save(self, name: str, panels: Sequence[Panel], columns: int = 2) -> None:
        """Put panels beside and below each other, small enough for a web page."""
        rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
        sheet = np.concatenate([np.concatenate([framed(panel) for panel in row], axis=1) for row in rows])
        path = self.out / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        for quality, subsampling in QUALITIES:
            Image.fromarray(sheet).save(path, quality=quality, subsampling=subsampling, optimize=True)
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
    """The README's picture: the photo of `everymask demo`, and all that is in it."""
    shown = replace(studio, photo=em.read_photo(DEMO_PHOTO), known={})
    found = shown.find()
    caption = f"{len(found.masks)} masks in {found.seconds:.1f} s of one core"
    panels = [Panel(shown.photo, DEMO_PHOTO.name), Panel(draw_overlay(shown.photo, found.masks), caption)]
    shown.save("hero", panels)


def prompts(studio: Studio) -> None:
    """One object from a click, from two clicks, from a box."""
    predictor = em.ImagePredictor(studio.model)
    predictor.set_image(studio.photo)
    height, width = studio.photo.shape[:2]
    click = (width * 0.5, height * 0.15)
    cases: list[tuple[str, dict[str, Any]]] = [
        ("one click, the best of three", {"points": [click]}),
        ("a box", {"box": (width * 0.13, height * 0.03, width * 0.81, height * 0.98)}),
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
    studio = studio.of_many_things()
    panels = []
    for count in (8, 16, 32, 64):
        found = studio.find(points_per_side=count)
        drawn = draw_overlay(studio.photo, found.masks)
        for x, y in points_in(crops(studio.photo.shape[:2], 0, 0.3)[0], grids(em.GeneratorOptions(count))[0]):
            cv2.circle(drawn, (round(x), round(y)), 2 if count < 32 else 1, (255, 255, 255), -1, cv2.LINE_AA)
        panels.append(Panel(drawn, f"points_per_side={count}: {found}"))
    studio.save("points_per_side", panels)


def crop_n_layers(studio: Studio) -> None:
    """Crops: each layer looks again, closer. What only crops found is in colour, the rest grey."""
    studio = studio.of_many_things()
    panels = []
    height, width = studio.photo.shape[:2]
    for layers in (0, 1, 2, 3):
        found = studio.find(crop_n_layers=layers, crop_n_points_downscale_factor=2)
        whole = (0.0, 0.0, float(width), float(height))
        is_old = np.array([tuple(map(float, mask.crop_box or whole)) == whole for mask in found.masks], bool)
        old, new = found.masks[is_old], found.masks[~is_old]
        drawn = draw_overlay(studio.photo, old, colors=[(150, 150, 150)] * len(old), opacity=0.35)
        drawn = draw_overlay(drawn, new)
        for window in crops((height, width), layers, 512 / 1500):
            if window.layer == layers > 0:
                x0, y0, x1, y1 = window.xyxy
                cv2.rectangle(drawn, (x0 + 1, y0 + 1), (x1 - 2, y1 - 2), (255, 255, 255), 1)
        panels.append(Panel(drawn, f"crop_n_layers={layers}: {found}; {len(new)} from crops"))
    studio.save("crop_n_layers", panels)


def threshold(name: str, values: Sequence[float]) -> Callable[[Studio], None]:
    """A sheet for a filter: from hardly any masks to too many."""

    def make(studio: Studio) -> None:
        studio = studio.of_many_things()
        panels = []
        for value in values:
            masks = studio.find(**{name: value}).masks
            panels.append(Panel(draw_overlay(studio.photo, masks), f"{name}={value}: {len(masks)} masks"))
        studio.save(name, panels)

    make.__name__ = name
    return make


def stability(studio: Studio) -> None:
    """What stability means: the same mask cut a little higher and a little lower."""
    masks = studio.find(stability_score_thresh=0.0, pred_iou_thresh=0.3).masks
    photo_area = studio.photo.shape[0] * studio.photo.shape[1]
    telling = [mask for mask in masks if 0.02 < mask.area / photo_area < 0.3]
    by_score = sorted(telling or list(masks), key=lambda mask: mask.stability_score or 0)
    offset = em.AutomaticMaskGenerator(studio.model, **studio.base).options.stability_score_offset
    predictor = em.ImagePredictor(studio.model)
    predictor.set_image(studio.photo)
    panels = []
    for mask in (by_score[0], by_score[len(by_score) // 2], by_score[-1]) if by_score else ():
        caption = f"stability {mask.stability_score:.2f} (offset {offset:g})"
        panels.append(Panel(_band(studio.photo, predictor, mask, offset), caption))
    if panels:
        studio.save("stability", panels, columns=3)


def _band(photo: np.ndarray, predictor: em.ImagePredictor, mask: Mask, offset: float) -> np.ndarray:
    """The masks at logits above +offset (blue) and above -offset (orange too) for the prompt of a mask."""
    answer = predictor.predict(points=list(mask.point_coords or ()), return_logits=True)
    assert answer.photo_logits is not None
    shared = [
        (found & mask.segmentation).sum() / max((found | mask.segmentation).sum(), 1)
        for found in answer.masks
    ]
    logits = answer.photo_logits[int(np.argmax(shared))]
    masks = np.stack([logits > -offset, logits > offset])
    return draw_overlay(photo, masks, colors=[(255, 140, 0), (30, 100, 255)], opacity=0.6)


def min_mask_region_area(studio: Studio) -> None:
    """Holes and islands before and after."""
    before = studio.find().masks
    after = studio.find(min_mask_region_area=200).masks
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
        found = studio.find(effort=name)
        caption = f"effort={name}: {len(found.masks)} masks, {found.seconds:.1f} s of one core"
        panels.append(Panel(draw_overlay(studio.photo, found.masks), caption))
    studio.save("effort", panels, columns=3)


def words(studio: Studio) -> None:
    """What is asked for, what everything is called, and the photo without it."""
    cat = em.read_photo(DEMO_PHOTO)
    asked = em.find(cat, "cat . dog", studio.model)
    every = named(studio.photo, studio.find().masks, studio.model)
    clicks = em.ImagePredictor(studio.model)
    clicks.set_image(studio.photo)
    cup = clicks.predict(points=[(300, 60)]).best().masks[0]
    panels = [
        Panel(draw_overlay(cat, asked, labels=True), 'find cat.jpg --text "cat . dog"'),
        Panel(draw_overlay(studio.photo, every, labels=True), "segment photo.jpg --name"),
        Panel(em.erase(studio.photo, cup, grow=8), "erase photo.jpg -p 300,60 --grow 8"),
    ]
    studio.save("words", panels, columns=3)


def erasing(studio: Studio) -> None:
    """A hole in the wood, and what engines without weights make of it."""
    rows, columns = np.ogrid[: studio.photo.shape[0], : studio.photo.shape[1]]
    hole = (rows - 150) ** 2 + (columns - 510) ** 2 <= 55**2
    panels = [Panel(np.where(hole[..., None], 0, studio.photo).astype(np.uint8), "a hole")]
    panels += [
        Panel(em.erase(studio.photo, hole, engine=engine, grow=0), engine) for engine in ("opencv", "patches")
    ]
    studio.save("erasing", panels, columns=3)


def clips(studio: Studio) -> None:
    """A ball that passes before a moving camera; the same frame without it, two ways."""
    count, (height, width) = 13, (260, 390)
    frames, holes = [], []
    for index in range(count):
        top, left = 6 * index, 14 * index
        frame = np.ascontiguousarray(studio.photo[top : top + height, left : left + width])
        hole = np.zeros((height, width), np.uint8)
        cv2.circle(hole, (330 - 22 * index, 130), 42, 1, -1)
        cv2.circle(frame, (330 - 22 * index, 130), 42, (200, 40, 40), -1, cv2.LINE_AA)
        frames.append(frame)
        holes.append(hole > 0)
    middle = count // 2
    with open_frames(np.stack(frames)) as source:
        seen = list(erased_frames(source, lambda index: holes[index], open_engine("patches"), grow=6))
    alone = em.erase(frames[middle], holes[middle], engine="patches", grow=6)
    panels = [
        Panel(frames[middle], "one of 13 frames"),
        Panel(seen[middle], "erase clip.mp4 --grow 6: what other frames show"),
        Panel(alone, "the same frame alone: patches"),
    ]
    studio.save("clips", panels, columns=3)


def maps(studio: Studio, folder: Path) -> None:
    """What the model finds by default in photos that are not ours to publish: the masks on grey."""
    generator = em.AutomaticMaskGenerator(studio.model)
    panels = []
    for path in sorted(folder.glob("*.jpg")):
        photo = em.read_photo(path)
        masks = generator.generate(photo)
        drawn = draw_overlay(np.full_like(photo, 110), masks)
        panels.append(
            Panel(
                cv2.resize(drawn, (900, 600), interpolation=cv2.INTER_AREA),
                f"{path.name}: {len(masks)} masks",
            )
        )
    studio.save("maps", panels)


SHEETS: tuple[Callable[[Studio], None], ...] = (
    hero,
    prompts,
    points_per_side,
    crop_n_layers,
    threshold("pred_iou_thresh", (0.55, 0.42, 0.35, 0.3)),
    threshold("stability_score_thresh", (0.95, 0.9, 0.8, 0.6)),
    stability,
    min_mask_region_area,
    effort,
    words,
    erasing,
    clips,
)


def main() -> None:
    """Read the arguments and make every sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photo", type=Path, help="one for all pictures, instead of those of the docs")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    parser.add_argument("--only", nargs="*", choices=[sheet.__name__ for sheet in SHEETS])
    parser.add_argument("--maps", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    base = {name: float(value) for name, value in (text.split("=") for text in arguments.set)}
    photo = em.read_photo(arguments.photo or PHOTO)
    many_things = photo if arguments.photo else em.read_photo(MANY_THINGS)
    studio = Studio(em.load(arguments.model), photo, arguments.out, base, many_things)
    torch.set_num_threads(1)
    if arguments.maps is not None:
        return maps(studio, arguments.maps)
    studio.find(points_per_side=4)  # the first call pays for starting up
    begun = time.process_time()
    for sheet in SHEETS:
        if arguments.only is None or sheet.__name__ in arguments.only:
            sheet(studio)
    print(f"{time.process_time() - begun:.0f} s of one core")


if __name__ == "__main__":
    main()
