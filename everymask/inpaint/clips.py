"""Things taken out of clips: what is behind them comes from frames that show it, the rest from an engine.

Two passes, in bounded memory. The first reads the clip once, finds how the camera moved from each frame to
the next (``motion.py``) and keeps some frames, evenly spread. The second fills one frame after the other: a
kept frame that shows what is hidden is laid over it by the camera's motion, refined on what both show around
the hole, and its brightness fitted to the hole's rim. What no frame shows is filled by an engine once, and
that fill is then taken along like something seen, so that it does not flicker. Pixels outside of the grown
masks stay as they are, to the bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from everymask.errors import PromptError, VideoError
from everymask.formats.video_record import ClipMasks
from everymask.inpaint.engines import Engine
from everymask.inpaint.erase import fading, grown, pieces
from everymask.inpaint.motion import at_full_size, move_between, shifted, small_grey
from everymask.masks.rle import decode
from everymask.media.frame_source import FrameSource

KEPT_BYTES = 192 * 2**20
"""Kept frames take no more memory than this ..."""
MOST_KEPT = 24
"""... and are no more than so many, spread evenly over the clip."""
FILLS_KEPT = 4
"""Frames with fills of an engine that are taken along."""
RING = 16
"""So far around a hole, in pixels, frames are held against each other."""
WORST = 12.0
"""Where they differ there by more (median, 0 to 255), the frame does not show what is behind the hole."""
TRIED = 6
"""So many kept frames are tried for a hole."""
SPARED = 3
"""Pixels about a mask that are not taken from a frame: shadows and rims."""

HoleOf = Callable[[int], np.ndarray | None]
"""By frame the mask of what goes, bool [H, W]; None where nothing does."""


@dataclass(frozen=True)
class Seen:
    """A frame that others are filled from."""

    index: int
    photo: np.ndarray  # RGB uint8 [H, W, 3]
    hidden: np.ndarray  # bool [H, W], what must not be taken
    made_up: bool = False  # what was hidden was filled by an engine


class Camera:
    """How the camera moved: the pixels of any frame of a clip to those of any other."""

    def __init__(self, steps: Sequence[np.ndarray | None]) -> None:
        """``steps[n]`` is the move from frame n to n + 1, None across a cut, or where nothing can be told."""
        self._scene = np.cumsum([0, *(step is None for step in steps)])
        self._to: list[np.ndarray] = [np.eye(3)]  # from the first frame of the scene
        for step in steps:
            moved = np.eye(3) if step is None else step @ self._to[-1]
            self._to.append(moved / moved[2, 2])

    def move(self, start: int, end: int) -> np.ndarray | None:
        """The homography from frame ``start`` to frame ``end``; None across a cut."""
        if self._scene[start] != self._scene[end]:
            return None
        return self._to[end] @ np.linalg.inv(self._to[start])


def erased_frames(
    source: FrameSource,
    hole_of: HoleOf,
    engine: Engine,
    *,
    grow: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[np.ndarray]:
    """Every frame of a clip, RGB uint8 [H, W, 3], without what its mask covers; see the top of this file.

    ``grow`` is that of :func:`everymask.erase`. ``progress(done, of)`` counts both passes' frames.
    Raises ``VideoError`` for a stream, whose later frames nobody knows, and ``PromptError`` where no frame
    has a mask, one is of another size, or covers all.
    """
    length = source.length
    if length is None:
        raise VideoError(f"{source.name} is a stream; record it to a file, then erase from that")
    told = (lambda done: None) if progress is None else (lambda done: progress(done, 2 * length))
    camera, kept = watched(source, hole_of, length, told)
    fills: deque[Seen] = deque(maxlen=FILLS_KEPT)
    for index in range(length):
        photo = source.frame(index)
        hole = checked(hole_of(index), photo, index)
        if hole is not None:
            photo, made_up = without(photo, hole, index, camera, [*kept, *fills], engine, grow)
            if made_up:
                fills.append(Seen(index, photo, np.zeros(hole.shape, bool), made_up=True))
        told(length + index + 1)
        yield photo


def watched(
    source: FrameSource, hole_of: HoleOf, length: int, told: Callable[[int], None]
) -> tuple[Camera, list[Seen]]:
    """The first pass: the camera's motion, and the frames that others are filled from."""
    height, width = source.frame_hw
    count = max(2, min(MOST_KEPT, KEPT_BYTES // (4 * height * width)))
    chosen = set(np.linspace(0, length - 1, min(count, length)).round().astype(int).tolist())
    steps: list[np.ndarray | None] = []
    kept: list[Seen] = []
    before: tuple[np.ndarray, np.ndarray | None] | None = None
    any_hole = False
    for index in range(length):
        photo = source.frame(index)
        hole = checked(hole_of(index), photo, index)
        any_hole = any_hole or hole is not None
        hidden = None if hole is None else grown(hole, SPARED)
        if index in chosen:
            kept.append(Seen(index, photo, np.zeros(photo.shape[:2], bool) if hidden is None else hidden))
        grey = small_grey(photo)
        usable = None if hidden is None else ~resized_mask(hidden, grey.shape)
        if before is not None:
            step = move_between(before[0], grey, before[1])
            steps.append(None if step is None else at_full_size(step, grey.shape[1] / width))
        before = grey, usable
        told(index + 1)
    if not any_hole:
        raise PromptError(f"no frame of {source.name} has a mask: there is nothing to erase")
    return Camera(steps), kept


def checked(hole: np.ndarray | None, photo: np.ndarray, index: int) -> np.ndarray | None:
    """The mask of a frame; None for an empty one."""
    if hole is None or not hole.any():
        return None
    if hole.shape != photo.shape[:2]:
        raise PromptError(
            f"the mask of frame {index + 1} must have the clip's shape {photo.shape[:2]}, got {hole.shape}"
        )
    if hole.all():
        raise PromptError(f"the mask of frame {index + 1} covers the whole frame: nothing is left around it")
    return hole


def resized_mask(mask: np.ndarray, hw: tuple[int, ...]) -> np.ndarray:
    """A mask at another size."""
    return cv2.resize(mask.astype(np.uint8), (hw[1], hw[0]), interpolation=cv2.INTER_NEAREST) > 0


def without(
    photo: np.ndarray,
    hole: np.ndarray,
    index: int,
    camera: Camera,
    sources: Sequence[Seen],
    engine: Engine,
    grow: int | None,
) -> tuple[np.ndarray, bool]:
    """A frame with its hole filled, and whether some of that was made up by the engine."""
    result, made_up = photo.copy(), False
    for window, inner, outer in pieces(hole, grow):
        crop = result[window].astype(np.float32)
        blocked = outer | hole[window]
        made, missing = crop.copy(), outer.copy()
        moves = [(seen, camera.move(seen.index, index)) for seen in sources if seen.index != index]
        usable = [(seen, move) for seen, move in moves if move is not None]
        for seen, move in promising(usable, missing, window):
            laid = laid_over(seen, move, crop, blocked, window)
            if laid is None:
                continue
            values, shows = laid
            taken = missing & shows
            made[taken] = values[taken]
            missing &= ~shows
            if not missing.any():
                break
        if missing.any():
            filled = engine.fill(made, missing)
            made[missing] = filled[missing]
            made_up = True
        share = fading(inner, outer)[..., None]
        mixed = np.rint(np.clip(share * made + (1 - share) * crop, 0, 255)).astype(np.uint8)
        result[window] = np.where(outer[..., None], mixed, result[window])
    return result, made_up


def promising(
    sources: Sequence[tuple[Seen, np.ndarray]], missing: np.ndarray, window: tuple[slice, slice]
) -> list[tuple[Seen, np.ndarray]]:
    """The sources that seem to show most of what is missing, best first; those that show none of it not.

    Frames as they were come before those with fills, so that a fill stands in only for what nobody saw.
    """
    shows = []
    size = missing.shape[1], missing.shape[0]
    for place, (seen, move) in enumerate(sources):
        into = shifted(move, (0, 0), (window[1].start, window[0].start))
        free = cv2.warpPerspective((~seen.hidden).astype(np.uint8), into, size, flags=cv2.INTER_NEAREST)
        share = round(float((free[missing] > 0).mean()), 2)
        if share > 0:
            shows.append((seen.made_up, -share, place))
    real = [place for made_up, _, place in sorted(shows) if not made_up]
    fills = [place for made_up, _, place in sorted(shows) if made_up]
    return [sources[place] for place in (*real[:TRIED], *fills)]


def laid_over(
    seen: Seen, move: np.ndarray, crop: np.ndarray, blocked: np.ndarray, window: tuple[slice, slice]
) -> tuple[np.ndarray, np.ndarray] | None:
    """A source as it would look in a crop of the frame, float32 [h, w, 3], and where it shows something.

    None where it does not fit what is around the hole.
    """
    corner = window[1].start, window[0].start
    into = shifted(move, (0, 0), corner)
    values, shows = warped(seen, into, crop.shape)
    around = cv2.dilate(blocked.astype(np.uint8), np.ones((2 * RING + 1,) * 2, np.uint8)) > 0
    ring = around & ~blocked & shows
    if ring.sum() < 50:
        return None
    grey, other = (
        cv2.cvtColor(np.clip(each, 0, 255).astype(np.uint8), cv2.COLOR_RGB2GRAY) for each in (crop, values)
    )
    finer = move_between(grey, other, ~blocked & shows)  # from the crop to the source laid over it
    if finer is not None:
        better = np.linalg.inv(finer) @ into
        refined = warped(seen, better, crop.shape)
        if misfit(crop, refined[0], ring & refined[1]) < misfit(crop, values, ring):
            values, shows = refined
            ring &= shows
    if misfit(crop, values, ring) > WORST:
        return None
    return values + membrane(crop - values, ring, blocked), shows


def warped(seen: Seen, move: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A source moved: its colours float32 [h, w, 3], and where they are its own."""
    size = shape[1], shape[0]
    values = cv2.warpPerspective(
        seen.photo, move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    free = cv2.warpPerspective((~seen.hidden).astype(np.uint8) * 255, move, size, flags=cv2.INTER_LINEAR)
    return values.astype(np.float32), free == 255


def misfit(one: np.ndarray, other: np.ndarray, where: np.ndarray) -> float:
    """How far two pictures differ there, their brightness made even: the median, 0 to 255."""
    if not where.any():
        return np.inf
    difference = one[where] - other[where]
    return float(np.median(np.abs(difference - np.median(difference, axis=0)).mean(axis=1)))


def membrane(difference: np.ndarray, known: np.ndarray, blocked: np.ndarray) -> np.ndarray:
    """Differences known on a rim carried on smoothly over all, float32 [h, w, 3]."""
    limited = np.clip(difference, -40, 40)
    rows, columns = np.flatnonzero(blocked.any(1)), np.flatnonzero(blocked.any(0))
    spread = float(max(np.ptp(rows), np.ptp(columns)) / 4 + RING / 2)
    weight = known.astype(np.float32)
    total = cv2.GaussianBlur(limited * weight[..., None], (0, 0), spread)
    share = cv2.GaussianBlur(weight, (0, 0), spread)[..., None]
    mean = (limited * weight[..., None]).sum((0, 1)) / max(float(weight.sum()), 1.0)
    return (total + 1e-4 * mean) / (share + 1e-4)


def holes_of(
    masks: ClipMasks | np.ndarray | Mapping[int, np.ndarray] | HoleOf, objects: Sequence[int] | None = None
) -> HoleOf:
    """Masks in any form as a function of the frame's number; ``objects`` chooses those of ``ClipMasks``."""
    if isinstance(masks, ClipMasks):
        clip = masks
        unknown = sorted(set(objects or ()) - set(clip.object_ids))
        if unknown:
            raise PromptError(
                f"there is no object {unknown[0]}; the masks are of {', '.join(map(str, clip.object_ids))}"
            )

        def of_clip(index: int) -> np.ndarray | None:
            hole = np.zeros(clip.frame_hw, bool)
            for object_id, mask in clip.frames.get(index, {}).items():
                if objects is None or object_id in objects:
                    hole |= decode(mask.rle)
            return hole

        return of_clip
    if callable(masks):
        return masks
    if isinstance(masks, np.ndarray):
        if masks.ndim != 3:
            raise PromptError(f"masks of a clip must have shape (N, H, W), got {masks.shape}")
        stack = masks
        return lambda index: stack[index] != 0 if index < len(stack) else None
    by_frame = masks
    return lambda index: None if index not in by_frame else np.asarray(by_frame[index]) != 0
