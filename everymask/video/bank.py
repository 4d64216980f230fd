"""Which frames an object is remembered by: plain integers, no tensors.

A *conditioning* frame is one the caller prompted; every other frame that was tracked is a *recent* one
while it is near. Answers to ``_prepare_memory_conditioned_features`` and ``select_closest_cond_frames``
of sam2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class BankRule:
    """How many frames are looked at, and in what steps."""

    memories: int = 7  # slots: one kind for all conditioning frames, the others for recent frames
    pointers: int = 16  # object pointers, the conditioning frames' not counted
    stride: int = 1  # of recent frames: every so many frames, and the last one
    max_conditioning: int | None = None  # at most so many conditioning frames; None: all
    pointers_ahead: bool = False  # also those of conditioning frames that lie ahead, in training

    @property
    def reach(self) -> int:
        """How far from a frame its recent frames can lie."""
        return max(1 + (self.memories - 2) * self.stride + (self.stride - 1), self.pointers - 1)


@dataclass(frozen=True)
class Recall:
    """What to look at on one frame, in the order of the official code."""

    memories: tuple[tuple[int, int], ...]  # (slot, frame); slot 0 is that of conditioning frames
    pointers: tuple[tuple[int, int], ...]  # (distance in time, frame)


def recall(
    frame: int,
    conditioning: Sequence[int],
    recent: Collection[int],
    rule: BankRule,
    *,
    reverse: bool = False,
    length: int | None = None,
) -> Recall:
    """Which remembered frames take part on ``frame``.

    ``conditioning`` in the order in which the frames were prompted, ``recent`` all other frames with a
    memory. ``length`` is the number of frames of the clip, None if it is not known.

    >>> recall(3, [0], {1, 2}, BankRule(memories=3, pointers=2)).memories
    ((0, 0), (1, 1), (2, 2))
    """
    near = closest_conditioning(frame, conditioning, rule.max_conditioning)
    # A conditioning frame that was left out still counts as a recent one.
    available = set(recent) | (set(conditioning) - set(near))
    memories = [(0, index) for index in near]
    memories += [pair for pair in _recent_slots(frame, rule, reverse) if pair[1] in available]
    # Pointers of frames that lie ahead, in the direction of tracking, are not looked at.
    pointers = [(_distance(frame, index, reverse), index) for index in near]
    pointers = [pair for pair in pointers if rule.pointers_ahead or pair[0] >= 0]
    pointers += [pair for pair in _recent_pointers(frame, rule, reverse, length) if pair[1] in available]
    return Recall(tuple(memories), tuple(pointers))


def closest_conditioning(frame: int, conditioning: Sequence[int], most: int | None) -> list[int]:
    """At most ``most`` conditioning frames: the one before, the one at or after, then the nearest others.

    >>> closest_conditioning(50, [0, 10, 40, 90, 60], 3)
    [40, 60, 10]
    """
    if most is None or len(conditioning) <= most:
        return list(conditioning)
    before = max((index for index in conditioning if index < frame), default=None)
    after = min((index for index in conditioning if index >= frame), default=None)
    chosen = [index for index in (before, after) if index is not None]
    others = sorted(
        (index for index in conditioning if index not in chosen), key=lambda index: abs(index - frame)
    )
    return chosen + others[: most - len(chosen)]


def pointer_span(rule: BankRule, length: int | None) -> int:
    """The number of frames that a pointer's distance in time is measured by."""
    return rule.pointers if length is None else min(length, rule.pointers)


def forgettable(
    frame: int, conditioning: Collection[int], recent: Iterable[int], rule: BankRule, keep: int | None
) -> list[int]:
    """The recent frames that may be dropped after ``frame`` was tracked.

    ``keep`` frames on either side stay (more, if the model's rule reaches farther), and those within the
    rule's reach of a conditioning frame: tracking may start there again, in the other direction. None
    keeps everything.

    >>> forgettable(100, [0], [5, 50, 90, 99], BankRule(), keep=16)
    [50]
    """
    if keep is None:
        return []
    window = max(keep, rule.reach)

    def near_conditioning(index: int) -> bool:
        return any(abs(index - prompted) <= rule.reach for prompted in conditioning)

    return [index for index in recent if abs(index - frame) > window and not near_conditioning(index)]


def around(frame: int, rule: BankRule) -> range:
    """The frames whose memories a correction on ``frame`` makes doubtful."""
    radius = rule.stride * rule.memories
    return range(frame - radius, frame + radius + 1)


def _recent_slots(frame: int, rule: BankRule, reverse: bool) -> list[tuple[int, int]]:
    """(slot, frame) of the memories before ``frame``, the farthest first."""
    slots = []
    for slot in range(1, rule.memories):
        back = rule.memories - slot
        if back == 1:
            index = frame + 1 if reverse else frame - 1
        elif reverse:
            index = -(-(frame + 2) // rule.stride) * rule.stride + (back - 2) * rule.stride
        else:
            index = (frame - 2) // rule.stride * rule.stride - (back - 2) * rule.stride
        slots.append((slot, index))
    return slots


def _recent_pointers(frame: int, rule: BankRule, reverse: bool, length: int | None) -> list[tuple[int, int]]:
    """(distance, frame) of the frames before ``frame``, the nearest first."""
    steps = range(1, pointer_span(rule, length))
    pairs = [(step, frame + step if reverse else frame - step) for step in steps]
    return [(step, index) for step, index in pairs if index >= 0 and (length is None or index < length)]


def _distance(frame: int, index: int, reverse: bool) -> int:
    """Frames from ``index`` to ``frame`` in the direction of tracking."""
    return index - frame if reverse else frame - index
