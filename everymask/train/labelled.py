"""Photos with label maps as training scenes: whole objects, nuclei, aerial regions.

A folder holds ``NAME.jpg`` and ``NAME_0.png`` (16-bit label map, 0 not labelled, 1.. an object each). A fifth
of every folder is never trained on: :func:`held_aside` says which, by name alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from everymask.errors import InputError
from everymask.train.augment import augment, hard_view, harsh, shining_through
from everymask.train.cache import from_jpeg, to_jpeg
from everymask.train.scenes import GROUP, MAX_LABEL, PART, WHOLE, Scene
from everymask.train.sources import read_rgb

HELD_ASIDE = 5  # one photo in so many
LONG_SIDE = 480  # photos are kept this large
LEAST_SHARE = 0.01  # of a view that an object must cover for the view to be of use

Draw = Callable[[np.random.Generator], Scene]


def held_aside(name: str) -> bool:
    """Whether the photo of this name (without its suffix) is kept for evaluation.

    >>> [held_aside(name) for name in ("airplanes_0003", "airplanes_0004", "airplanes_0009")]
    [False, False, True]
    """
    return zlib.crc32(name.encode()) % HELD_ASIDE == 0


@dataclass(frozen=True)
class Labelled:
    """A photo as JPEG bytes and its label map."""

    jpeg: np.ndarray
    labels: np.ndarray  # uint8 [H, W], 0 not labelled

    def scene(self) -> Scene:
        """The photo with its objects on the map of wholes; parts and groups are not known."""
        empty = np.zeros_like(self.labels)
        return Scene(from_jpeg(self.jpeg), np.stack([empty, self.labels, empty]))


def read_labelled(folder: Path | str) -> list[Labelled]:
    """The photos of a folder that may be trained on, in the order of their names.

    Raises InputError where there are none.
    """
    paths = sorted(Path(folder).glob("*_0.png"))
    kept = [path for path in paths if not held_aside(path.name.removesuffix("_0.png"))]
    if not kept:
        raise InputError(
            f"expected NAME.jpg with NAME_0.png in {str(folder)!r}, found none to train on; "
            "tools/fetch_training_sources.py copies them from a folder"
        )
    return [read_one(path) for path in kept]


def read_one(path: Path) -> Labelled:
    """The photo that belongs to a label map, made small; of more than 255 objects the largest."""
    raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if raw is None:
        raise InputError(f"expected a label map, got {str(path)!r}, which cannot be decoded")
    photo = read_rgb(path.with_name(path.name.removesuffix("_0.png") + ".jpg"))[..., :3]
    scale = min(1.0, LONG_SIDE / max(raw.shape))
    size = max(1, round(raw.shape[1] * scale)), max(1, round(raw.shape[0] * scale))
    numbers, areas = np.unique(raw[raw > 0], return_counts=True)
    table = np.zeros(int(raw.max()) + 1, np.uint8)
    largest = numbers[np.argsort(-areas)][:MAX_LABEL]
    table[largest] = 1 + np.arange(len(largest))
    labels = cv2.resize(table[raw], size, interpolation=cv2.INTER_NEAREST)
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return Labelled(to_jpeg(small, 92), labels)


def read_plain(folder: Path | str, limit: int | None = None) -> list[np.ndarray]:
    """Photos without masks, as JPEG bytes; what objects are laid on."""
    paths = sorted(Path(folder).rglob("*.jpg"))
    if limit is not None and len(paths) > limit:
        paths = [paths[i * len(paths) // limit] for i in range(limit)]
    return [np.fromfile(path, np.uint8) for path in paths]


@dataclass(frozen=True)
class Mix:
    """Where views come from, in shares; they sum to 1."""

    scenes: float = 0.50
    objects: float = 0.25
    composed: float = 0.10  # objects cut out and laid on scenes and photos
    nuclei: float = 0.11
    aerial: float = 0.04

    @property
    def shares(self) -> tuple[float, ...]:
        return self.scenes, self.objects, self.composed, self.nuclei, self.aerial


class MixedSource:
    """Views at the model's side from made scenes and photos with masks, in the shares of a :class:`Mix`."""

    def __init__(self, scenes: Draw, folder: Path | str, side: int, mix: Mix | None = None) -> None:
        folder = Path(folder)
        self.draw_scene, self.side, self.mix = scenes, side, mix or Mix()
        self.objects = read_labelled(folder / "objects")
        self.nuclei = read_labelled(folder / "nuclei")
        self.aerial = read_labelled(folder / "aerial")
        self.plain = read_plain(folder / "photos") if (folder / "photos").is_dir() else []

    def __call__(self, rng: np.random.Generator) -> Scene:
        kind = rng.choice(5, p=self.mix.shares)
        if kind == 0:
            view = hard_view(rng, self.draw_scene, self.side)
        elif kind == 1:
            view = self.object_view(rng)
        elif kind == 2:
            view = self.composed_view(rng)
        else:
            view = labelled_view(rng, self.nuclei if kind == 3 else self.aerial, self.side, closest=0.45)
        return Scene(harsh(rng, view.photo), view.labels)

    def thing(self, rng: np.random.Generator) -> Scene:
        """What something that moves is cut out of: an object's photo, or a made scene."""
        if rng.random() < 0.7:
            return self.objects[rng.integers(len(self.objects))].scene()
        return self.draw_scene(rng)

    def behind(self, rng: np.random.Generator) -> Scene:
        """What things move in front of: a photo without masks, an object's photo, or a made scene."""
        place = rng.random()
        if place < 0.35 and self.plain:
            return unlabelled(from_jpeg(self.plain[rng.integers(len(self.plain))]))
        if place < 0.6:
            return self.objects[rng.integers(len(self.objects))].scene()
        return self.draw_scene(rng)

    def object_view(self, rng: np.random.Generator) -> Scene:
        """A photo with its object, sometimes with another photo shining through."""
        view = labelled_view(rng, self.objects, self.side, closest=0.7)
        if rng.random() < 0.12:
            other = augment(rng, self.draw_scene(rng), self.side)
            view = Scene(shining_through(rng, view.photo, other.photo), view.labels)
        return view

    def composed_view(self, rng: np.random.Generator) -> Scene:
        """One to three objects on a scene, on a photo without masks or on another object's photo."""
        place = rng.random()
        if place < 0.4 or not self.plain:
            ground = hard_view(rng, self.draw_scene, self.side)
        elif place < 0.8:
            photo = from_jpeg(self.plain[rng.integers(len(self.plain))])
            ground = augment(rng, unlabelled(photo), self.side)
        else:
            ground = labelled_view(rng, self.objects, self.side, closest=0.7)
        for _ in range(int(rng.integers(1, 4))):
            ground = lay_on(rng, ground, self.objects[rng.integers(len(self.objects))].scene())
        return ground


def unlabelled(photo: np.ndarray) -> Scene:
    """A photo of which nothing is known."""
    return Scene(photo, np.zeros((3, *photo.shape[:2]), np.uint8))


def labelled_view(
    rng: np.random.Generator, photos: Sequence[Labelled], side: int, *, closest: float
) -> Scene:
    """An augmented view in which an object is to be seen; crops go down to ``closest`` of the sides."""
    view = None
    for _ in range(8):
        scene = photos[int(rng.integers(len(photos)))].scene()
        view = augment(rng, scene, side, closest=closest)
        if (np.bincount(view.labels[WHOLE].ravel())[1:] >= LEAST_SHARE * side * side).any():
            return view
    assert view is not None
    whole = cv2.resize(scene.labels[WHOLE], (side, side), interpolation=cv2.INTER_NEAREST)
    empty = np.zeros_like(whole)
    photo = cv2.resize(scene.photo, (side, side), interpolation=cv2.INTER_AREA)
    return Scene(photo, np.stack([empty, whole, empty]))


def lay_on(rng: np.random.Generator, ground: Scene, source: Scene) -> Scene:
    """``ground`` with an object of ``source`` in front, somewhere, in another size, mirrored or not."""
    number = int(ground.labels.max()) + 1
    if number > MAX_LABEL:
        return ground
    side = ground.photo.shape[0]
    region = source.labels[WHOLE] == 1
    ys, xs = np.nonzero(region)
    if len(ys) == 0:
        return ground
    centre = np.array([np.ptp(xs) / 2 + xs.min(), np.ptp(ys) / 2 + ys.min()])
    extent = max(float(np.ptp(xs)), float(np.ptp(ys)), 1.0)
    zoom = side * float(np.exp(rng.uniform(np.log(0.15), np.log(0.8)))) / extent
    angle = rng.normal(0, 0.15)
    linear = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear[:, 0] *= rng.choice([-1.0, 1.0])
    matrix = np.column_stack([linear, rng.uniform(0.15 * side, 0.85 * side, 2) - linear @ centre])
    soft = cv2.GaussianBlur(region.astype(np.float32), (0, 0), 0.8)
    share = cv2.warpAffine(soft, matrix, (side, side), flags=cv2.INTER_LINEAR)
    colours = cv2.warpAffine(source.photo, matrix, (side, side), flags=cv2.INTER_LINEAR)
    mixed = ground.photo + share[..., None] * (colours.astype(np.float32) - ground.photo)
    labels = ground.labels.copy()
    front = share > 0.5
    labels[PART][front] = 0  # its parts are not known
    labels[WHOLE][front] = number
    labels[GROUP][front] = 0
    return Scene(mixed.astype(np.uint8), labels)
