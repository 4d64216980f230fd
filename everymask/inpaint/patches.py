"""Holes filled with patches of the rest of the picture, so that texture goes on as texture.

Coarse to fine; at each size two steps alternate, as in Wexler, Shechtman and Irani ("Space-Time Completion of
Video", 2007): every patch that touches the hole looks for the most similar patch without hole (by
PatchMatch, Barnes et al. 2009: good neighbours are tried for neighbours, then random places ever nearer),
and every pixel of the hole becomes the mean of what its patches' finds have in its place, similar ones and
those near the hole's edge counting more.

Letters: H x W the picture, C its channels, T target patches (they touch the hole), R the patch's radius,
K = (2 R + 1)^2 its pixels. Places are (y, x), the centres of patches.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

RADIUS = 3
SMALLEST = 20  # the shorter side of the coarsest picture, in pixels
ROUNDS = (6, 2)  # of search and vote, at the coarsest and at the finest size
JUMPS = (4, 1)
FAR = 1.3  # how much less a pixel of a patch counts, each pixel further from the hole's edge ...
DEEP = 30  # ... up to here


@dataclass
class Field:
    """For every target patch the best source found so far."""

    targets: np.ndarray  # int64 [T, 2]
    sources: np.ndarray  # int64 [T, 2]
    costs: np.ndarray  # float32 [T]


def fill(picture: np.ndarray, hole: np.ndarray, *, most: int | None = None, seed: int = 0) -> np.ndarray:
    """The picture, float32 [H, W, C] of values 0 to 255, with the pixels of ``hole``, bool [H, W], made anew.

    At sizes where the hole has more than ``most`` pixels nothing is searched for: the finds of the size below
    are copied from the larger picture. Where no patch of the picture is free of the hole (nearly all is hole)
    the start of the search is the answer: OpenCV's Telea.
    """
    random = np.random.default_rng(seed)
    levels = pyramid(picture, hole)
    filled = started(*levels[-1])
    places: np.ndarray | None = None
    for index, (known, missing) in reversed(list(enumerate(levels))):
        if index < len(levels) - 1:
            filled = np.where(missing[..., None], doubled(filled, missing.shape), known)
        share = index / max(len(levels) - 1, 1)
        rounds = round(ROUNDS[1] + share * (ROUNDS[0] - ROUNDS[1]))
        if places is not None and most is not None and missing.sum() > most:
            rounds = 0
        filled, places = improved(filled, missing, places, rounds, random)
    return np.where(hole[..., None], filled, picture)


def pyramid(picture: np.ndarray, hole: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The picture and its hole, full size first, each half the last, until patches see over the hole."""
    levels = [(picture.astype(np.float32), hole)]
    while True:
        known, missing = levels[-1]
        thickness = cv2.distanceTransform(np.pad(missing, 1).astype(np.uint8), cv2.DIST_C, 3).max()
        if thickness <= RADIUS or min(missing.shape) < 2 * SMALLEST:
            return levels
        levels.append(halved(known, missing))


def halved(known: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half the size; a pixel is the mean of the four it stands for, those that are known.

    An odd side is one longer first: halves that are not quite halves would shift what is copied.
    """
    odd = [(0, side % 2) for side in missing.shape]
    known, missing = np.pad(known, [*odd, (0, 0)], "edge"), np.pad(missing, odd, "edge")
    size = (missing.shape[1] // 2, missing.shape[0] // 2)
    weight = (~missing).astype(np.float32)
    share = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    values = resized(known * weight[..., None], (size[1], size[0]), cv2.INTER_AREA)
    return values / np.maximum(share, 1e-6)[..., None], share < 0.5


def doubled(values: np.ndarray, hw: tuple[int, ...]) -> np.ndarray:
    """[h, w, C] at twice the size, then what is beyond [H, W] cut off: the inverse of :func:`halved`."""
    return resized(values, (2 * values.shape[0], 2 * values.shape[1]))[: hw[0], : hw[1]]


def resized(values: np.ndarray, hw: tuple[int, ...], interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
    """[H, W, C] at another size, the channels kept where OpenCV drops a single one."""
    return cv2.resize(values, (hw[1], hw[0]), interpolation=interpolation).reshape(hw[0], hw[1], -1)


def started(known: np.ndarray, missing: np.ndarray, radius: float = 3) -> np.ndarray:
    """A smooth guess: OpenCV's fast marching (Telea 2004), channel by channel."""
    channels = [
        cv2.inpaint(
            np.clip(known[..., c], 0, 255).astype(np.uint8),
            missing.astype(np.uint8),
            radius,
            cv2.INPAINT_TELEA,
        )
        for c in range(known.shape[2])
    ]
    return np.where(missing[..., None], np.stack(channels, -1).astype(np.float32), known)


def improved(
    filled: np.ndarray,
    missing: np.ndarray,
    coarser: np.ndarray | None,
    rounds: int,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Some rounds of search and vote; the picture, and where each pixel's patch came from [H, W, 2]."""
    allowed = sources_of(missing)
    if not allowed.any():
        return filled, None
    field = first_field(missing, allowed, coarser, random)
    weights = vote_weights(missing)
    for round_ in range(max(rounds, 1)):
        padded = with_border(filled)
        field.costs = costs(padded, field.targets, field.sources)
        if round_ < rounds:
            propagate(field, padded, allowed)
            search(field, padded, allowed, random)
        filled = voted(filled, missing, field, weights)
    places = np.full((*missing.shape, 2), -1, np.int64)
    places[field.targets[:, 0], field.targets[:, 1]] = field.sources
    return filled, places


def sources_of(missing: np.ndarray) -> np.ndarray:
    """Centres of patches that lie within the picture and hold no pixel of the hole, bool [H, W]."""
    free = cv2.erode((~missing).astype(np.uint8), np.ones((2 * RADIUS + 1,) * 2, np.uint8)) > 0
    edge = np.zeros_like(free)
    edge[RADIUS : free.shape[0] - RADIUS, RADIUS : free.shape[1] - RADIUS] = True
    return free & edge


def first_field(
    missing: np.ndarray, allowed: np.ndarray, coarser: np.ndarray | None, random: np.random.Generator
) -> Field:
    """Targets with the finds of the size before, doubled; random ones where there are none."""
    touched = cv2.dilate(missing.astype(np.uint8), np.ones((2 * RADIUS + 1,) * 2, np.uint8))
    targets = np.argwhere(touched)
    options = np.argwhere(allowed)
    sources = options[random.integers(0, len(options), len(targets))]
    if coarser is not None:
        y, x = np.minimum(targets // 2, np.array(coarser.shape[:2]) - 1).T
        before = coarser[y, x]
        moved = np.clip(before * 2 + targets % 2, 0, np.array(missing.shape) - 1)
        usable = (before[:, 0] >= 0) & allowed[moved[:, 0], moved[:, 1]]
        sources[usable] = moved[usable]
    return Field(targets, sources, np.full(len(targets), np.inf, np.float32))


def with_border(filled: np.ndarray) -> np.ndarray:
    """The picture with a mirrored border, so that every pixel is the centre of a patch."""
    return np.pad(
        filled,
        ((RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0)),
        mode="reflect" if min(filled.shape[:2]) > RADIUS else "edge",
    )


def costs(padded: np.ndarray, targets: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """The mean squared difference of patches about targets and sources, float32 [T]."""
    _, width, channels = padded.shape
    flat = padded.reshape(-1, channels)
    ours = targets[:, 0] * width + targets[:, 1]
    theirs = sources[:, 0] * width + sources[:, 1]
    total = np.zeros(len(targets), np.float32)
    for y in range(2 * RADIUS + 1):
        for x in range(2 * RADIUS + 1):
            step = y * width + x
            difference = flat[ours + step] - flat[theirs + step]
            total += np.einsum("tc,tc->t", difference, difference)
    return total / ((2 * RADIUS + 1) ** 2 * channels)


def propagate(field: Field, padded: np.ndarray, allowed: np.ndarray) -> None:
    """Try for each target what its neighbours found, shifted."""
    number = np.full(allowed.shape, -1, np.int64)
    number[field.targets[:, 0], field.targets[:, 1]] = np.arange(len(field.targets))
    for jump in JUMPS:
        for step in ((0, jump), (jump, 0), (0, -jump), (-jump, 0)):
            beside = field.targets + step
            inside = within(beside, allowed.shape)
            neighbour = np.where(inside, number[tuple(np.where(inside[:, None], beside, 0).T)], -1)
            rows = np.flatnonzero(neighbour >= 0)
            try_sources(field, padded, allowed, rows, field.sources[neighbour[rows]] - step)


def search(field: Field, padded: np.ndarray, allowed: np.ndarray, random: np.random.Generator) -> None:
    """Try random places about each find, half as far each time."""
    reach, everyone = max(allowed.shape), np.arange(len(field.targets))
    while reach >= 1:
        moved = field.sources + random.integers(-reach, reach + 1, field.sources.shape)
        try_sources(field, padded, allowed, everyone, moved)
        reach //= 2


def try_sources(
    field: Field, padded: np.ndarray, allowed: np.ndarray, rows: np.ndarray, sources: np.ndarray
) -> None:
    """Take the sources [len(rows), 2] that are allowed and better."""
    good = within(sources, allowed.shape)
    good[good] = allowed[sources[good, 0], sources[good, 1]]
    rows, sources = rows[good], sources[good]
    found = costs(padded, field.targets[rows], sources)
    better = found < field.costs[rows]
    field.sources[rows[better]] = sources[better]
    field.costs[rows[better]] = found[better]


def within(places: np.ndarray, hw: tuple[int, ...]) -> np.ndarray:
    """Which places [T, 2] lie in the picture."""
    return np.all((places >= 0) & (places < np.array(hw[:2])), axis=1)


def vote_weights(missing: np.ndarray) -> np.ndarray:
    """How much a patch counts by its centre's distance into the hole, float32 [H, W]."""
    inward = cv2.distanceTransform(np.pad(missing, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    return np.power(np.float32(FAR), -np.minimum(inward, DEEP))


def voted(filled: np.ndarray, missing: np.ndarray, field: Field, weights: np.ndarray) -> np.ndarray:
    """The picture with each pixel of the hole the weighted mean of what its patches found for it."""
    spread = 2 * max(float(np.percentile(field.costs, 75)), 1e-3)
    strength = np.exp(-field.costs / spread) * weights[field.targets[:, 0], field.targets[:, 1]]
    height, width, channels = filled.shape
    flat = filled.reshape(-1, channels)
    total = np.zeros((height * width, channels), np.float64)
    weight = np.zeros(height * width, np.float64)
    for y in range(-RADIUS, RADIUS + 1):
        for x in range(-RADIUS, RADIUS + 1):
            step = np.array((y, x))
            to = field.targets + step
            inside = within(to, missing.shape)
            inside[inside] = missing[to[inside, 0], to[inside, 1]]
            place = to[inside] @ (width, 1)
            colour = flat[(field.sources[inside] + step) @ (width, 1)]
            # one target gives each place at most one vote at a step, so that plain addition by index holds
            total[place] += strength[inside, None] * colour
            weight[place] += strength[inside]
    result = filled.copy()
    mean = total / np.maximum(weight, 1e-300)[:, None]
    result[missing] = mean.reshape(height, width, channels)[missing]
    return result
