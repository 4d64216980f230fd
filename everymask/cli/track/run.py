"""A run of ``everymask track``: what is asked for, tracked and written."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ...errors import InputError, OptionError, PromptError, SessionError, VideoError
from ...formats.video_record import ClipMasks
from ...formats.video_table import VIDEO_FORMATS
from ...video.pictures import CLIP_PICTURES
from ..shared.messages import disobedience, warn
from ..shared.stamps import stamp_of
from .beside import Beside
from .finder import Finder, WordFinder
from .journal import TrackJournal
from .outputs import STRIP, Drawing, Wish, write_masks, write_strip
from .progress import FrameProgress
from .prompts import FramePrompt, added
from .quality import Followed, followed

if TYPE_CHECKING:
    from ...media.frame_source import FrameSource
    from ...video.result import TrackedFrame
    from ...video.session import VideoSession
    from ...words.segmenter import Sought


@dataclass(frozen=True)
class Request:
    """What is to be done, and how."""

    video: str
    prompts: list[FramePrompt]
    options: dict[str, Any]  # of the tracker
    model: str
    device: str | None
    discovery: tuple[int, int] | None  # look for new objects every so many frames, follow so many at most
    words: Sought | None  # which objects are looked for; None: every one
    both_ways: bool
    stop: int | None
    save_every: int
    overwrite: bool
    reading: dict[str, Any] = field(default_factory=dict)  # range and bands, of those that were given
    generator: dict[str, Any] = field(default_factory=dict)  # options of everything mode

    def __post_init__(self) -> None:
        if self.stop is not None and self.stop <= self.first:
            raise OptionError(
                f"--stop is the first frame not tracked; with {self.stop + 1} nothing is left to track, "
                f"since tracking begins on frame {self.first + 1}"
            )

    @classmethod
    def by_words(
        cls,
        video: str,
        words: Sought | None,
        model: str,
        device: str | None,
        *,
        prompts: list[FramePrompt] | None = None,
        both_ways: bool = False,
        overwrite: bool = False,
        generator: dict[str, Any] | None = None,
    ) -> Request:
        """What words name, followed with the options that ``everymask track`` has by default."""
        return cls(
            video=video,
            prompts=prompts or [],
            options={"non_overlap_masks": False, "fast_attention": False},
            model=model,
            device=device,
            discovery=None if words is None else (30, 16),
            words=words,
            both_ways=both_ways,
            stop=None,
            save_every=50,
            overwrite=overwrite,
            generator=generator or {},
        )

    @property
    def first(self) -> int:
        """The frame on which tracking begins."""
        return min((prompt.frame for prompt in self.prompts), default=0)

    def settings(self, weights: str) -> dict[str, Any]:
        """Everything that the masks depend on."""
        path = Path(self.video)
        if not path.exists():
            raise VideoError(f"there is no video at {self.video!r}")
        masks = [Path(prompt.mask) for prompt in self.prompts if prompt.mask]
        return {
            "video": str(path.absolute()),
            "stamp": _stamp(path),
            "weights": weights,
            "prompts": [prompt.to_dict() for prompt in self.prompts],
            "masks": [stamp_of(mask) for mask in masks if mask.is_file()],
            "options": self.options,
            "everything": self.discovery,
            "words": None if self.words is None else asdict(self.words),
            "both_ways": self.both_ways,
            "stop": self.stop,
            **self.reading,
            **({"generator": self.generator} if self.generator else {}),
        }

    def clip(self) -> FrameSource:
        """The frames, opened."""
        from ...media.videos import open_frames

        return open_frames(self.video, **self.reading)


def _stamp(path: Path) -> list[tuple[str, int, int]]:
    """What changes when the video does: name, size and time of every file."""
    from ...media.videos import picture_files

    files = picture_files(path) if path.is_dir() else [path]
    return [(file.name, *stamp_of(file)) for file in files]


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    clip: ClipMasks
    quality: list[Followed]
    written: list[Path]
    failures: list[str]


def run(request: Request, output: Path, wanted: list[str], wish: Wish) -> Outcome:
    """Track what is not tracked yet, and write all that is wanted."""
    from ...models.features import fingerprint
    from ..shared.downloads import load_visibly

    journal = TrackJournal(output)
    with journal.locked():
        model = load_visibly(request.model, request.device)
        settings = request.settings(fingerprint(model))
        more = None if request.overwrite else _added(request, journal, settings)
        going_on = more is not None or (not request.overwrite and journal.can_go_on(settings))
        with _resumed(model, request, journal) if going_on else _opened(model, request) as session:
            if more:
                _say_more(session, more, journal, settings)
            finder = _finder(request, model, session, journal)
            if not going_on:
                if finder is not None:
                    finder.begin(request.first if request.prompts else None, request.stop)
                # Only now: a command that was wrong must not cost earlier tracks.
                journal.begin(settings)
                if isinstance(finder, WordFinder):
                    finder.note()
            if finder is not None:
                wish = replace(wish, names=ChainMap(dict(wish.names), finder.names))
            stem = Path(request.video).stem
            # An overlay of frames that come backwards is drawn when all have come,
            # and which objects are the best is known when all are tracked.
            pictured = [name for name in wanted if name in CLIP_PICTURES]
            late = [
                name
                for name in pictured
                if wish.keep.top or (request.both_ways and CLIP_PICTURES[name].in_order)
            ]
            beside = [name for name in pictured if name not in late]
            with Drawing(beside, output, journal.scratch, stem, session.source, wish) as drawing:
                broken = _track(request, session, journal, drawing, finder)
            clip = wish.keep.apply(_clip(stem, session, journal, wish.names))
            with Drawing(late, output, journal.scratch, stem, session.source, wish) as late_drawing:
                _draw_earlier(late_drawing, session, clip.frames)
            pictures = [*drawing.written, *late_drawing.written]
            if STRIP in wanted and clip.frames:
                pictures.append(
                    write_strip(output / f"{stem}_strip.jpg", journal.scratch, clip, session.source)
                )
        for path in pictures:
            typer.echo(f"wrote {path}", err=True)
        files, failures = write_masks(
            [name for name in wanted if name in VIDEO_FORMATS], output, journal.scratch, clip
        )
        failures += broken
    return Outcome(clip, followed(clip), [*pictures, *files], failures)


def _finder(request: Request, model: Any, session: VideoSession, journal: TrackJournal) -> Finder | None:
    """What looks for objects that nobody clicked."""
    if request.discovery is None:
        return None
    every, most = request.discovery
    if request.words is None:
        from ...words.every_object import EveryObject

        return EveryObject(model, session, request.first, every, most, request.generator)
    from ...words.clips import Limits, WordWatch

    words, stands = request.words, session.progress
    watch = WordWatch(
        session,
        words.detector_for(model, request.generator),
        words.words,
        model,
        words.threshold,
        Limits(words.at_most, most),
        every=every,
        looks=[] if stands is None else journal.looks(stands.next_frame),
    )
    return WordFinder(watch, journal)


def _added(request: Request, journal: TrackJournal, settings: dict[str, Any]) -> list[FramePrompt] | None:
    """The prompts beyond those of an earlier run, the same in all else; None if there is no such run."""
    earlier = journal.earlier_prompts(settings)
    return None if earlier is None else added(earlier, request.prompts)


def _say_more(
    session: VideoSession, more: list[FramePrompt], journal: TrackJournal, settings: dict[str, Any]
) -> None:
    """Add prompts to a session that was tracked; tracking goes on from the first frame they are about."""
    first = min(prompt.frame for prompt in more)
    for prompt in more:
        _prompt_or_say_which(session, prompt, more=True)
    session.go_back(first)
    session.save(journal.session)
    journal.replace_settings(settings)
    typer.echo(f"going on from frame {first + 1} with what was added", err=True)


def _opened(model: Any, request: Request) -> VideoSession:
    """A new session with all prompts in it."""
    from ...video.options import TrackerOptions
    from ...video.tracker import VideoTracker

    session = VideoTracker(model, TrackerOptions(**request.options)).open(request.clip())
    for prompt in request.prompts:
        _prompt_or_say_which(session, prompt)
    return session


def _prompt_or_say_which(session: VideoSession, prompt: FramePrompt, more: bool = False) -> None:
    length = session.length
    if length is not None and prompt.frame >= length:
        raise PromptError(f"there is no frame {prompt.frame + 1}; the clip has frames 1 to {length}")
    try:
        _prompt(session, prompt, more and prompt.frame in _frames_of(session, prompt.object_id))
    except InputError as error:
        raise PromptError(f"object {prompt.object_id} on frame {prompt.frame + 1}: {error}") from error


def _frames_of(session: VideoSession, object_id: int) -> list[int]:
    return session.prompted_frames(object_id) if object_id in session.object_ids else []


def _prompt(session: VideoSession, prompt: FramePrompt, more: bool) -> None:
    """Say what a prompt says; its clicks one after the other, each correcting the answer so far."""
    from ...video.prompting import Said, say
    from ..shared.rough_masks import read_rough_mask

    place = (prompt.frame, prompt.object_id)
    if prompt.mask is not None:
        mask = read_rough_mask(Path(prompt.mask), session.frame_hw)
        if not mask.any():
            raise PromptError(f"--mask {prompt.mask} is empty: no pixel is the object's")
        session.add_prompt(*place, mask=mask)
        return
    say(session, Said(*place, prompt.points, prompt.labels, prompt.box), more)
    _warn_of_disobedience(session, prompt)


def _warn_of_disobedience(session: VideoSession, prompt: FramePrompt) -> None:
    from ...image import Click

    shown = session.show(prompt.frame)
    mask = shown.masks[shown.object_ids.index(prompt.object_id)]
    for (x, y), label in zip(prompt.points, prompt.labels, strict=True):
        if not Click(x, y, bool(label)).is_obeyed_by(mask):
            warn(f"frame {prompt.frame + 1}: {disobedience(prompt.object_id, x, y, bool(label))}")


def _resumed(model: Any, request: Request, journal: TrackJournal) -> VideoSession:
    """The session as the earlier run left it."""
    from ...video.tracker import VideoTracker

    try:
        return VideoTracker(model).resume(journal.session, request.clip())
    except SessionError as error:
        raise SessionError(f"{error}; --overwrite starts over") from error


def _track(
    request: Request, session: VideoSession, journal: TrackJournal, drawing: Drawing, finder: Finder | None
) -> list[str]:
    """Track what is left to track; run lengths, record and pictures are made beside it. What went wrong.

    The state is saved every so many frames, at the end, and when the clip breaks off or Ctrl-C is pressed.
    A state that does not fit on the disk costs the next command its start, and this one nothing.
    """
    first = min(session.conditioning_frames())
    frames = _frames(session, first, request.stop, request.both_ways)
    unsaved: list[str] = []
    with FrameProgress(_count(request, session, first)) as progress, Beside() as beside:

        def save() -> None:
            beside.wait()  # a frame that the state has behind it must stand in the record
            try:
                session.save(journal.session)
            except SessionError as error:
                if not unsaved:
                    warn(f"{error}; tracking goes on without its state being saved")
                unsaved[:] = [f"{error}; the masks are written all the same"]
            else:
                unsaved.clear()

        try:
            if session.progress is not None and drawing.wanted:
                _draw_earlier(drawing, session, journal.frames())
            for frame in frames:
                if finder and finder.is_time(frame.index) and finder.look(frame.index):
                    frame = session.show(frame.index)
                photo = session.source.frame(frame.index) if drawing.wanted else None
                beside.do(partial(_note, frame, photo, journal, drawing))
                progress.frame_done()
                if progress.done % request.save_every == 0:
                    save()
            save()
        except (VideoError, KeyboardInterrupt) as error:
            if error is beside.error:
                raise
            save()
            if isinstance(error, KeyboardInterrupt):
                if not unsaved:
                    typer.echo("stopped and saved; the same command goes on from here", err=True)
                raise
            return [f"{error}; what was tracked before is written", *unsaved]
    return unsaved


def _note(frame: TrackedFrame, photo: Any, journal: TrackJournal, drawing: Drawing) -> None:
    objects = frame.object_masks()
    journal.add(frame.index, objects)
    if photo is not None:
        drawing.add(frame.index, photo, objects)


def _draw_earlier(drawing: Drawing, session: VideoSession, frames: dict[int, Any]) -> None:
    """Draw the frames that stand behind the session's progress."""
    progress = session.progress
    if not drawing.wanted or progress is None:
        return
    for index in sorted(frames):
        if index > progress.next_frame if progress.reverse else index < progress.next_frame:
            drawing.add(index, session.source.frame(index), frames[index])


def _frames(session: VideoSession, first: int, stop: int | None, both_ways: bool) -> Iterator[TrackedFrame]:
    """The frames that are not tracked yet: forwards from the first prompt, then, if wanted, backwards."""
    stands = session.progress
    if stands is None or not stands.reverse:
        yield from session.propagate(first if stands is None else stands.next_frame, stop)
        stands = None
    if both_ways:
        yield from session.propagate(first - 1 if stands is None else stands.next_frame, reverse=True)


def _count(request: Request, session: VideoSession, first: int) -> int:
    """How many frames are left to track; tracking began on frame ``first``."""
    length = session.length or 0
    end = length if request.stop is None else min(request.stop, length)
    back = first if request.both_ways else 0
    stands = session.progress
    if stands is None:
        return end - first + back
    return stands.next_frame + 1 if stands.reverse else end - stands.next_frame + back


def _clip(stem: str, session: VideoSession, journal: TrackJournal, names: Mapping[int, str]) -> ClipMasks:
    rate = getattr(session.source, "frames_per_second", 30.0)
    return ClipMasks(stem, session.frame_hw, session.length or 0, rate, journal.frames(), dict(names))
