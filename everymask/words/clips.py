"""What words name, through a clip: found on some frames, followed in between: :func:`find_in_video`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from everymask.errors import NothingFoundError, OptionError
from everymask.everything.segment import loaded
from everymask.formats.video_record import ClipMasks
from everymask.masks.rle import decode
from everymask.maskset import MaskSet
from everymask.media.frame_source import FrameSource, thumbnail
from everymask.models.base import PromptableModel
from everymask.video.session import VideoSession
from everymask.video.tracker import VideoTracker
from everymask.words.detect.protocol import Detector
from everymask.words.detect.table import open_detector
from everymask.words.find import find, read_words

SAME_IOU = 0.5
"""A find that overlaps a followed object by this IoU or more is that object."""
SHARED = 0.5
"""A find that shares more than this of the smaller one's pixels with a followed object is no new one."""
CUT = 25.0
"""Mean difference of the thumbnails of two frames, 0 to 255, above which the clip was cut between them:
frames that follow each other in eight clips differ by up to 11, first frames of two clips by 36 or more."""


def find_in_video(
    video: Any,
    words: str | Sequence[str],
    model: str | Path | PromptableModel = "nano",
    *,
    detector: str | Detector | None = None,
    threshold: float | None = None,
    at_most: int | None = None,
    look_every: int = 30,
    most_objects: int = 16,
    stop: int | None = None,
    device: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ClipMasks:
    """The masks of what ``words`` name in a clip: found on some frames, followed by ``model`` in between.

    ``video`` is what :meth:`everymask.VideoTracker.open` takes. Words are looked for on the first frame, on
    every ``look_every``-th (0: only until something is found) and behind a cut, by :func:`everymask.find`
    with ``detector`` and ``threshold``. A find that is followed already keeps its track; one that is not
    becomes a new object, of which there are at most ``most_objects``, and ``at_most`` of each word. An object
    is called by the word that its finds answered best. ``stop`` is the first frame that is not looked at;
    ``progress(done, frames)`` is called after each.

    Raises ``PromptError`` for words as :func:`everymask.find` does, and where nothing is found on any frame
    that was looked at; ``OptionError`` for a model without memory; ``VideoError``.

    >>> em.find_in_video("clip.mp4", "dog", look_every=60).names       # doctest: +SKIP
    {1: 'dog', 2: 'dog'}
    """
    asked = read_words(words)
    ready = model if isinstance(model, PromptableModel) else loaded(str(model), device)
    finder: Detector
    if detector is None or isinstance(detector, str):
        finder = open_detector(detector, ready)
    else:
        finder = detector
    with VideoTracker(ready).open(video) as session:
        source = session.source
        watch = WordWatch(
            session, finder, asked, ready, threshold, Limits(at_most, most_objects), every=look_every
        )
        first = watch.find_first(stop)
        frames = {}
        for frame in session.propagate(first, stop):
            if watch.is_time(frame.index) and watch.look(frame.index):
                frame = session.show(frame.index)
            frames[frame.index] = frame.object_masks()
            if progress is not None:
                progress(len(frames), (stop or source.length or 0) - first)
        rate = getattr(source, "frames_per_second", 30.0)
        name = Path(video).stem if isinstance(video, (str, Path)) else "clip"
        return ClipMasks(name, session.frame_hw, source.length or 0, rate, frames, watch.names)


@dataclass(frozen=True)
class Limits:
    """How many objects are followed."""

    at_most: int | None = None
    """Of each word; None: as many as there are."""
    most_objects: int = 16
    """Of all words."""

    def __post_init__(self) -> None:
        if self.at_most is not None and self.at_most < 1:
            raise OptionError(f"at_most must be at least 1, got {self.at_most}")
        if self.most_objects < 1:
            raise OptionError(f"most_objects must be at least 1, got {self.most_objects}")


@dataclass(frozen=True)
class Look:
    """What was found on one frame: each object's word and score."""

    frame: int
    found: Mapping[int, tuple[str, float]]


class WordWatch:
    """Looks for words on frames of a session, and has it follow what is new."""

    def __init__(
        self,
        session: VideoSession,
        detector: Detector,
        words: Sequence[str],
        model: PromptableModel,
        threshold: float | None = None,
        limits: Limits = Limits(),
        *,
        every: int = 30,
        looks: Sequence[Look] = (),
    ) -> None:
        """``looks`` are those of an earlier run that goes on. Raises as the detector's ``check`` does."""
        if every < 0:
            raise OptionError(f"look_every must be at least 0 frames, got {every}")
        detector.check(words)
        self._session, self._detector, self._words, self._model = session, detector, words, model
        self._threshold, self._limits, self._every = threshold, limits, every
        self.looks = {look.frame: look for look in looks}
        """By frame; a frame that is looked at again counts once."""
        self.names: dict[int, str] = names_of(self.looks.values())
        """What each object is called, kept up to date."""

    def find_first(self, stop: int | None = None) -> int:
        """Look on the first frame and on every so many after it until something is found; where.

        Raises ``PromptError`` where nothing is.
        """
        source, frame, seen = self._session.source, 0, 0
        scores: list[float] = []
        while source.has(frame) and (stop is None or frame < stop):
            seen += 1
            if self.look(frame):
                return frame
            scores += getattr(self._detector, "highest", ())
            frame += self._every or 1
        lowest = self._detector.threshold if self._threshold is None else self._threshold
        near = f" (best score {max(scores):.2f}, finds count from {lowest:g})" if scores else ""
        raise NothingFoundError(
            f"no {' and no '.join(self._words)} was found on {seen} frame{'s' * (seen != 1)} of "
            f"{source.name}{near}; look more often (look_every, track --look-every), lower the threshold, or "
            "say it in other words"
        )

    def begin(self, frame: int | None, stop: int | None = None) -> None:
        """Look on ``frame``; None: as :meth:`find_first`."""
        if frame is None:
            self.find_first(stop)
        else:
            self.look(frame)

    def is_time(self, frame: int) -> bool:
        """Whether to look on a frame: it is one of every so many, or the clip was cut before it."""
        if self._every == 0 or frame in self.looks or frame <= min(self._session.conditioning_frames()):
            return False
        return frame % self._every == 0 or was_cut(self._session.source, frame)

    def look(self, frame: int) -> int:
        """Look for the words on a frame, and follow what is new; how many objects that are."""
        photo = self._session.source.frame(frame)
        found = find(photo, self._words, self._model, detector=self._detector, threshold=self._threshold)
        session = self._session
        followed = session.show(frame).masks if session.object_ids else np.zeros((0, *session.frame_hw), bool)
        known, new = matched([decode(mask.runs) for mask in found], followed)
        seen = {session.object_ids[row]: _said(found, find) for find, row in known.items()}
        added = 0
        for index in new:
            word, score = _said(found, index)
            if not self._has_room(word):
                continue
            number = max(session.object_ids, default=0) + 1
            session.add_prompt(frame, number, mask=found[index].segmentation)
            seen[number] = word, score
            self.names[number] = word
            added += 1
        self.looks[frame] = Look(frame, seen)
        self.names.update(names_of(self.looks.values()))
        return added

    def _has_room(self, word: str) -> bool:
        of_word = sum(name == word for name in self.names.values())
        most = self._limits.at_most
        return len(self._session.object_ids) < self._limits.most_objects and (most is None or of_word < most)


def _said(found: MaskSet, index: int) -> tuple[str, float]:
    mask = found[index]
    return str(mask.label), float(mask.attributes["score"])


def matched(found: Sequence[np.ndarray], followed: np.ndarray) -> tuple[dict[int, int], list[int]]:
    """Which finds (bool [H, W] each) are which followed objects (bool [N, H, W]), and which are new ones.

    The pair of the highest IoU first, one find an object. A find that shares more than half of the smaller
    one's pixels with a followed object, or with a new one before it, is neither: a part, or the whole of it.

    >>> one, other = np.eye(2, 4, dtype=bool), np.eye(2, 4, 2, dtype=bool)
    >>> matched([one, other], other[None])
    ({1: 0}, [0])
    """
    ious = np.array([[_iou(mask, other) for other in followed] for mask in found]).reshape(
        len(found), len(followed)
    )
    known: dict[int, int] = {}
    for flat in np.argsort(-ious, axis=None, kind="stable"):
        index, row = divmod(int(flat), len(followed))
        if ious[index, row] < SAME_IOU:
            break
        if index not in known and row not in known.values():
            known[index] = row
    held = [mask for mask in followed if mask.any()]
    new = []
    for index, mask in enumerate(found):
        if index in known or any(_share_of_smaller(mask, other) > SHARED for other in held):
            continue
        new.append(index)
        held.append(mask)
    return known, new


def names_of(looks: Collection[Look]) -> dict[int, str]:
    """By object the word whose scores sum to most over all looks.

    >>> names_of([Look(0, {1: ("dog", 0.6)}), Look(30, {1: ("cat", 0.5)}), Look(60, {1: ("cat", 0.3)})])
    {1: 'cat'}
    """
    sums: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for look in looks:
        for object_id, (word, score) in look.found.items():
            sums[object_id][word] += score
    return {object_id: max(words, key=lambda word: words[word]) for object_id, words in sums.items()}


def was_cut(source: FrameSource, frame: int) -> bool:
    """Whether a frame shows something else altogether than the one before it."""
    if frame == 0:
        return False
    before, now = (
        np.frombuffer(thumbnail(source.frame(index)), np.uint8).astype(np.float32)
        for index in (frame - 1, frame)
    )
    return bool(np.abs(now - before).mean() > CUT)


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def _share_of_smaller(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, min(one.sum(), other.sum())))
