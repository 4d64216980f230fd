"""``everymask track``: objects through a video."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import InputError, OptionError, PromptError, SessionError, VideoError
from ...formats.video_record import ClipMasks
from ...formats.video_table import VIDEO_FORMATS
from ..shared.messages import disobedience, warn
from ..shared.options import AsJson, Device, Model, Output, Overwrite
from ..shared.stamps import stamp_of
from .beside import Beside
from .finder import Finder
from .journal import TrackJournal, objects_of
from .outputs import FORMAT_NAMES, PICTURES, Drawing, chosen_formats, write_masks
from .progress import FrameProgress
from .prompts import FramePrompt, read_track_prompts

if TYPE_CHECKING:
    from ...video.result import TrackedFrame
    from ...video.session import VideoSession

DONE, FAILED = 0, 1  # as in cli/main.py


@dataclass(frozen=True)
class Request:
    """What is to be done, and how."""

    video: str
    prompts: list[FramePrompt]
    options: dict[str, Any]  # of the tracker
    model: str
    device: str | None
    discovery: tuple[int, int] | None  # look for new objects every so many frames, follow so many at most
    both_ways: bool
    stop: int | None
    save_every: int
    overwrite: bool

    def __post_init__(self) -> None:
        if self.stop is not None and self.stop <= self.first:
            raise OptionError(
                f"--stop is the first frame not tracked; with {self.stop} nothing is left to track, since "
                f"tracking begins on frame {self.first}"
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
            "both_ways": self.both_ways,
            "stop": self.stop,
        }


def _stamp(path: Path) -> list[tuple[str, int, int]]:
    """What changes when the video does: name, size and time of every file."""
    from ...media.videos import picture_files

    files = picture_files(path) if path.is_dir() else [path]
    return [(file.name, *stamp_of(file)) for file in files]


def track(
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="A video file or a folder of pictures.")],
    points: Annotated[
        list[str] | None,
        typer.Option(
            "--point", "-p", metavar="FRAME:X,Y[,0|1][@ID]", help="A click: 1 on, 0 off the object."
        ),
    ] = None,
    boxes: Annotated[
        list[str] | None,
        typer.Option("--box", "-b", metavar="FRAME:X0,Y0,X1,Y1[@ID]", help="A box around an object."),
    ] = None,
    masks: Annotated[
        list[str] | None,
        typer.Option("--mask", metavar="FRAME:FILE[@ID]", help="An object's pixels: a picture or mask file."),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", metavar="FILE", help='JSON: [{"frame": 0, "object": 1, "points": ...}].'),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Follow every object of the first frame.")
    ] = False,
    look_every: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="With --everything: look again every N frames; 0: never."),
    ] = 30,
    most_objects: Annotated[
        int, typer.Option(min=1, metavar="N", help="With --everything: at most N objects.")
    ] = 16,
    output: Output = Path("out"),
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help=f"Repeatable: {', '.join(FORMAT_NAMES)}.",
        ),
    ] = None,
    both_ways: Annotated[
        bool, typer.Option("--both-ways", help="Also backwards from the first prompt to frame 0.")
    ] = False,
    stop: Annotated[int | None, typer.Option(metavar="FRAME", help="The first frame not tracked.")] = None,
    non_overlap: Annotated[
        bool, typer.Option("--non-overlap", help="Every pixel belongs to one object at most.")
    ] = False,
    fast: Annotated[
        bool,
        typer.Option("--fast", help="bfloat16 in memory attention if faster here: nearly the same masks."),
    ] = False,
    save_every: Annotated[int, typer.Option(min=1, metavar="N", help="Save the state every N frames.")] = 50,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    model: Model = "nano",
    device: Device = None,
) -> int:
    """Follow objects through a video from points, boxes or masks on any of its frames.

    Frames count from 0; coordinates are pixels of the frame. @1, @2, ... after a value says which object
    it is about. --everything needs no prompts. The same command run again goes on where it was stopped.
    With no --format an overlay and an SA-V file are written.
    """
    wanted = chosen_formats(formats)
    asked: list[FramePrompt] = []
    if not everything or points or boxes or masks or prompts:
        asked = read_track_prompts(points or [], boxes or [], masks or [], prompts)
    request = Request(
        video=video,
        prompts=asked,
        options={"non_overlap_masks": non_overlap, "fast_attention": fast},
        model=model,
        device=device,
        discovery=(look_every, most_objects) if everything else None,
        both_ways=both_ways,
        stop=stop,
        save_every=save_every,
        overwrite=overwrite,
    )
    outcome = _run(request, output, wanted)
    if as_json:
        typer.echo(json.dumps(_summary(outcome.clip, outcome.written), indent=2))
    for failure in outcome.failures:
        typer.echo(f"error: {failure}", err=True)
    return FAILED if outcome.failures else DONE


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    clip: ClipMasks
    written: list[Path]
    failures: list[str]


def _run(request: Request, output: Path, wanted: list[str]) -> Outcome:
    """Track what is not tracked yet, and write all that is wanted."""
    from ...models.features import fingerprint
    from ..shared.downloads import load_visibly

    journal = TrackJournal(output)
    with journal.locked():
        model = load_visibly(request.model, request.device)
        settings = request.settings(fingerprint(model))
        going_on = not request.overwrite and journal.can_go_on(settings)
        with _resumed(model, request, journal) if going_on else _opened(model, request) as session:
            finder = request.discovery and Finder(model, session, request.first, *request.discovery)
            if not going_on:
                if finder:
                    finder.look(request.first)
                if not session.object_ids:
                    raise PromptError(
                        f"nothing was found on frame {request.first}; prompt it with --point or --box"
                    )
                # Only now: a command that was wrong must not cost earlier tracks.
                journal.begin(settings)
            stem = Path(request.video).stem
            # An overlay of frames that come backwards is drawn when all have come.
            late = [
                name for name in wanted if name in PICTURES and request.both_ways and PICTURES[name].in_order
            ]
            beside = [name for name in wanted if name in PICTURES and name not in late]
            with Drawing(beside, output, journal.scratch, stem, session.source) as drawing:
                broken = _track(request, session, journal, drawing, finder or None)
            clip = _clip(stem, session, journal)
            with Drawing(late, output, journal.scratch, stem, session.source) as late_drawing:
                _draw_earlier(late_drawing, session, clip.frames)
        pictures = [*drawing.written, *late_drawing.written]
        for path in pictures:
            typer.echo(f"wrote {path}", err=True)
        files, failures = write_masks(
            [name for name in wanted if name in VIDEO_FORMATS], output, journal.scratch, clip
        )
        if broken is not None:
            failures.append(f"{broken}; what was tracked before is written")
    return Outcome(clip, [*pictures, *files], failures)


def _opened(model: Any, request: Request) -> VideoSession:
    """A new session with all prompts in it."""
    from ...video.options import TrackerOptions
    from ...video.tracker import VideoTracker

    session = VideoTracker(model, TrackerOptions(**request.options)).open(request.video)
    for prompt in request.prompts:
        try:
            _prompt(session, prompt)
        except InputError as error:
            raise PromptError(f"object {prompt.object_id} on frame {prompt.frame}: {error}") from error
    return session


def _prompt(session: VideoSession, prompt: FramePrompt) -> None:
    """Say what a prompt says; its clicks one after the other, each correcting the answer so far."""
    from ..shared.rough_masks import read_rough_mask

    place = (prompt.frame, prompt.object_id)
    if prompt.mask is not None:
        mask = read_rough_mask(Path(prompt.mask), session.frame_hw)
        if not mask.any():
            raise PromptError(f"--mask {prompt.mask} is empty: no pixel is the object's")
        session.add_prompt(*place, mask=mask)
        return
    if prompt.box is not None:
        session.add_prompt(*place, box=prompt.box)
    for index, (xy, label) in enumerate(zip(prompt.points, prompt.labels, strict=True)):
        session.add_prompt(
            *place, points=[xy], labels=[label], keep_points=index > 0 or prompt.box is not None
        )
    _warn_of_disobedience(session, prompt)


def _warn_of_disobedience(session: VideoSession, prompt: FramePrompt) -> None:
    from ...image import Click

    shown = session.show(prompt.frame)
    mask = shown.masks[shown.object_ids.index(prompt.object_id)]
    for (x, y), label in zip(prompt.points, prompt.labels, strict=True):
        if not Click(x, y, bool(label)).is_obeyed_by(mask):
            warn(f"frame {prompt.frame}: {disobedience(prompt.object_id, x, y, bool(label))}")


def _resumed(model: Any, request: Request, journal: TrackJournal) -> VideoSession:
    """The session as the earlier run left it."""
    from ...video.tracker import VideoTracker

    try:
        return VideoTracker(model).resume(journal.session, request.video)
    except SessionError as error:
        raise SessionError(f"{error}; --overwrite starts over") from error


def _track(
    request: Request, session: VideoSession, journal: TrackJournal, drawing: Drawing, finder: Finder | None
) -> VideoError | None:
    """Track what is left to track; run lengths, record and pictures are made beside it. What ended it early.

    The state is saved every so many frames, at the end, and when the clip breaks off or Ctrl-C is pressed.
    """
    frames = _frames(session, request.first, request.stop, request.both_ways)
    with FrameProgress(_count(request, session)) as progress, Beside() as beside:

        def save() -> None:
            beside.wait()  # a frame that the state has behind it must stand in the record
            session.save(journal.session)

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
                typer.echo("stopped and saved; the same command goes on from here", err=True)
                raise
            return error
    return None


def _note(frame: TrackedFrame, photo: Any, journal: TrackJournal, drawing: Drawing) -> None:
    objects = objects_of(frame)
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


def _count(request: Request, session: VideoSession) -> int:
    """How many frames are left to track."""
    length = session.length or 0
    end = length if request.stop is None else min(request.stop, length)
    back = request.first if request.both_ways else 0
    stands = session.progress
    if stands is None:
        return end - request.first + back
    return stands.next_frame + 1 if stands.reverse else end - stands.next_frame + back


def _clip(stem: str, session: VideoSession, journal: TrackJournal) -> ClipMasks:
    rate = getattr(session.source, "frames_per_second", 30.0)
    return ClipMasks(stem, session.frame_hw, session.length or 0, rate, journal.frames())


def _summary(clip: ClipMasks, written: list[Path]) -> dict[str, Any]:
    objects = []
    for object_id in clip.object_ids:
        seen = [frame for frame, mask in clip.of_object(object_id) if mask is not None]
        objects.append(
            {
                "object": object_id,
                "frames": len(seen),
                "first": seen[0] if seen else None,
                "last": seen[-1] if seen else None,
            }
        )
    paths = [str(path) for path in written]
    return {"video": clip.name, "frames": len(clip.frames), "objects": objects, "written": paths}
