"""A tracker without a model: an object is the discs around its points, which move a pixel a frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from everymask.errors import PromptError, SessionError
from everymask.media.videos import open_frames
from everymask.video.result import TrackedFrame
from everymask.video.snapshot import Snapshot

RADIUS = 6


def disc(frame_hw: tuple[int, int], x: float, y: float, radius: float = RADIUS) -> np.ndarray:
    """bool [H, W]."""
    down, across = np.mgrid[: frame_hw[0], : frame_hw[1]]
    return (across - x) ** 2 + (down - y) ** 2 <= radius**2


class FakeTracker:
    """Opens :class:`FakeSession`; ``opened`` are all of them, ``slow`` is called before every frame."""

    def __init__(self) -> None:
        self.opened: list[FakeSession] = []
        self.slow: Any = lambda frame: None

    def open(self, source: Any) -> FakeSession:
        self.opened.append(FakeSession(source, self.slow))
        return self.opened[-1]


class FakeSession:
    """What the studio uses of a VideoSession."""

    def __init__(self, source: Any, slow: Any) -> None:
        self.source = open_frames(source)
        self.frame_hw, self.length = self.source.frame_hw, self.source.length
        self.slow = slow
        self.masks: dict[int, dict[int, np.ndarray]] = {}  # object -> frame -> mask
        self.prompted: dict[int, set[int]] = {}
        self.said: list[tuple[Any, ...]] = []

    @property
    def object_ids(self) -> tuple[int, ...]:
        return tuple(self.masks)

    def add_prompt(self, frame, object_id, points=None, labels=None, box=None, mask=None, keep_points=False):
        if not 0 <= frame < self.length:
            raise PromptError(f"there is no frame {frame}")
        self.said.append((frame, object_id, "mask" if mask is not None else points or box, keep_points))
        now = self.masks.get(object_id, {}).get(frame, np.zeros(self.frame_hw, bool))
        if mask is not None:
            now = np.array(mask)
        elif box is not None:
            now = np.zeros(self.frame_hw, bool)
            now[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = True
        for (x, y), label in zip(points or [], labels or [], strict=True):
            spot = disc(self.frame_hw, x, y)
            now = now | spot if label else now & ~spot
        self.masks.setdefault(object_id, {})[frame] = now
        self.prompted.setdefault(object_id, set()).add(frame)
        return self.show(frame)

    def add_tracked(self, frame: int, object_id: int, mask: np.ndarray) -> None:
        self.said.append((frame, object_id, "tracked", False))
        self.masks[object_id].setdefault(frame, mask)

    def knows(self, frame: int, object_id: int) -> bool:
        return frame in self.masks.get(object_id, {})

    def remove_object(self, object_id: int) -> None:
        del self.masks[object_id]

    def forget(self, object_id: int, first: int, last: int) -> None:
        for frame in range(first, last + 1):
            self.masks[object_id].pop(frame, None)
            self.prompted[object_id].discard(frame)

    def reset(self) -> None:
        self.masks, self.prompted, self.said = {}, {}, []

    def snapshot(self) -> Snapshot:
        return Snapshot([], {})  # nothing that can be kept: it is made anew from the record each time

    def restore(self, snapshot: Snapshot) -> None:
        raise AssertionError("there was nothing to restore")

    def propagate(self, start: int, stop: int | None, reverse: bool) -> Iterator[TrackedFrame]:
        if not self.masks:
            raise SessionError("there is nothing to follow")
        step = -1 if reverse else 1
        end = (-1 if reverse else self.length) if stop is None else stop
        for frame in range(start, end, step):
            self.slow(frame)
            for object_id, masks in self.masks.items():
                if frame not in self.prompted.get(object_id, ()):
                    nearest = masks.get(frame - step)
                    if nearest is None:
                        nearest = np.zeros(self.frame_hw, bool)
                    moved = np.roll(nearest, step, axis=1)
                    moved[:, 0 if step > 0 else -1] = False  # leaves the frame at its edge
                    masks[frame] = moved
            yield self.show(frame)

    def show(self, frame: int) -> TrackedFrame:
        nothing = np.zeros(self.frame_hw, bool)
        rows = [masks.get(frame, nothing) for masks in self.masks.values()]
        logits = torch.from_numpy(np.stack(rows)[:, None].astype(np.float32) * 20 - 10)
        seen = np.array([row.any() for row in rows], np.float32)
        scores = np.where(seen > 0, 0.9, 0.2).astype(np.float32)
        return TrackedFrame(frame, tuple(self.masks), self.frame_hw, logits, scores, seen)

    def close(self) -> None:
        self.source.close()
