"""``everymask track``: objects through a video."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import FormatError, PromptError, VideoError
from ..formats.landing import landing
from ..formats.losses import Losses
from ..formats.video_record import ClipMasks
from ..formats.video_table import VIDEO_FORMATS
from .track_journal import TrackJournal
from .track_prompts import FramePrompt, read_track_prompts

PICTURES = {"overlay": "the video with coloured masks", "alpha": "each object as transparent PNGs"}
DONE, FAILED = 0, 1  # as in cli/main.py
QUIET_S = 5.0
"""Without a terminal, a line of progress at most every so many seconds."""


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

    def settings(self, weights: str) -> dict[str, Any]:
        """Everything that the masks depend on."""
        status = Path(self.video).stat() if Path(self.video).exists() else None
        if status is None:
            raise VideoError(f"there is no video at {self.video!r}")
        return {
            "video": str(Path(self.video).absolute()),
            "stamp": [status.st_size, status.st_mtime_ns],
            "weights": weights,
            "prompts": [prompt.to_dict() for prompt in self.prompts],
            "options": self.options,
            "everything": self.discovery,
            "both_ways": self.both_ways,
            "stop": self.stop,
        }


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
        typer.Option(metavar="N", help="With --everything: look again every N frames; 0: never."),
    ] = 30,
    most_objects: Annotated[
        int, typer.Option(metavar="N", help="With --everything: at most N objects.")
    ] = 16,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="Folder to write to.")] = Path(
        "out"
    ),
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help=f"Repeatable: {', '.join([*PICTURES, *VIDEO_FORMATS])}.",
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
        bool, typer.Option("--fast", help="bfloat16 in memory attention: faster, nearly the same masks.")
    ] = False,
    save_every: Annotated[int, typer.Option(metavar="N", help="Save the state every N frames.")] = 50,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start over in a used folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON on stdout.")] = False,
    model: Annotated[str, typer.Option("--model", "-m", help="A name or a checkpoint.")] = "nano",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps; by default the best.")] = None,
) -> int:
    """Follow objects through a video from points, boxes or masks on any of its frames.

    Frames count from 0; coordinates are pixels of the frame. @1, @2, ... after a value says which object
    it is about. --everything needs no prompts. The same command run again goes on where it was stopped.
    With no --format an overlay and an SA-V file are written.
    """
    wanted = _formats(formats)
    if everything and not (points or boxes or masks or prompts):
        asked: list[FramePrompt] = []
    else:
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
    journal = TrackJournal(output)
    with journal.locked():
        clip, broken = _run(request, journal)
        written = []
        for name in wanted:
            path, losses = _write(name, output, clip, video)
            written.append(str(path))
            typer.echo(f"wrote {path}" + (f" ({losses})" if losses else ""), err=True)
    if as_json:
        typer.echo(json.dumps(_summary(clip, written), indent=2))
    if broken is not None:
        typer.echo(f"error: {broken}; what was tracked before is written", err=True)
    return DONE if broken is None else FAILED


def _formats(names: list[str] | None) -> list[str]:
    known = [*PICTURES, *VIDEO_FORMATS]
    for name in names or []:
        if name not in known:
            raise FormatError(f"--format must be one of {', '.join(known)}, got {name!r}")
    return list(dict.fromkeys(names or ["overlay", "sa-v"]))


def _run(request: Request, journal: TrackJournal) -> tuple[ClipMasks, VideoError | None]:
    """Track what is not tracked yet; all masks of the clip, and what ended it early."""
    from ..models.features import fingerprint
    from ..video.options import TrackerOptions
    from ..video.tracker import VideoTracker
    from .downloads import load_visibly

    model = load_visibly(request.model, request.device)
    tracker = VideoTracker(model, TrackerOptions(**request.options))
    going_on = journal.agree(request.settings(fingerprint(model)), request.overwrite)
    session = tracker.resume(journal.session, request.video) if going_on else tracker.open(request.video)
    session.autosave(journal.session, request.save_every)
    first = min((prompt.frame for prompt in request.prompts), default=0)
    broken = None
    with session:
        finder = request.discovery and _Finder(model, session, first, *request.discovery)
        if not going_on:
            _prompt(session, request.prompts)
            if finder:
                finder.look(first)
        if not session.object_ids:
            raise PromptError(f"nothing was found on frame {first}; prompt it with --point or --box")
        length = session.length or 0
        total = (length if request.stop is None else min(request.stop, length)) - first
        with _progress(total + (first if request.both_ways else 0)) as tell:
            try:
                for frame in _frames(session, first, request.stop, request.both_ways):
                    journal.add(frame)
                    if finder and finder.is_time(frame.index) and finder.look(frame.index):
                        journal.add(session.show(frame.index))
                    tell()
            except VideoError as error:
                broken = error
        rate = getattr(session.source, "frames_per_second", 30.0)
        clip = ClipMasks(Path(request.video).stem, session.frame_hw, length, rate, journal.frames())
        return clip, broken


def _prompt(session: Any, asked: list[FramePrompt]) -> None:
    from .predict import read_rough_mask

    for prompt in asked:
        mask = None if prompt.mask is None else read_rough_mask(Path(prompt.mask), session.frame_hw)
        session.add_prompt(
            prompt.frame,
            prompt.object_id,
            points=prompt.points or None,
            labels=prompt.labels or None,
            box=prompt.box,
            mask=mask,
        )


class _Finder:
    """Finds objects that are not followed yet, with everything mode."""

    def __init__(self, model: Any, session: Any, first: int, every: int, most: int) -> None:
        from ..everything.generate import AutomaticMaskGenerator
        from ..video.discover import DiscoveryRule

        self.generator = AutomaticMaskGenerator(model)
        self.session, self.first, self.every = session, first, every
        self.rule = DiscoveryRule(most_objects=most)

    def is_time(self, frame: int) -> bool:
        ahead = frame - self.first
        return self.every > 0 and ahead > 0 and ahead % self.every == 0

    def look(self, frame: int) -> int:
        """Follow what is new on a frame; how many objects that are."""
        from ..video.discover import new_objects

        found = self.generator.generate(self.session.source.frame(frame))
        new = new_objects(found, self.session.show(frame).masks, self.rule)
        for mask in new:
            number = max(self.session.object_ids, default=0) + 1
            self.session.add_prompt(frame, number, mask=mask.segmentation)
        return len(new)


def _frames(session: Any, first: int, stop: int | None, both_ways: bool) -> Iterator[Any]:
    """The frames that are not tracked yet: forwards from the first prompt, then, if wanted, backwards."""
    stands = session.progress
    if stands is None or not stands.reverse:
        start = first if stands is None else stands.next_frame
        if session.source.has(start) and start != stop:
            yield from session.propagate(start, stop)
        stands = None
    if both_ways and first > 0:
        start = first - 1 if stands is None else stands.next_frame
        if start >= 0:
            yield from session.propagate(start, reverse=True)


class _progress:
    """Frames done, frames per second and time left: a bar on a terminal, lines elsewhere."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.begun = self.said = time.monotonic()
        self.bar: Any = None

    def __enter__(self) -> _progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            columns = (MofNCompleteColumn(), BarColumn(bar_width=None), TextColumn("{task.fields[speed]}"))
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.task = self.bar.add_task("", total=self.total, speed="")
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()
        if self.done:
            typer.echo(f"tracked {self.done} frames, {self._speed()}", err=True)

    def __call__(self) -> None:
        self.done += 1
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, speed=self._speed())
        elif time.monotonic() - self.said >= QUIET_S:
            self.said = time.monotonic()
            typer.echo(f"[{self.done}/{self.total}] {self._speed()}", err=True)

    def _speed(self) -> str:
        each = (time.monotonic() - self.begun) / max(self.done, 1)
        left = f", {each * (self.total - self.done):.0f} s left" if self.done < self.total else ""
        return f"{1 / max(each, 1e-9):.2f} frames a second{left}"


def _write(name: str, output: Path, clip: ClipMasks, video: str) -> tuple[Path, Losses]:
    """One output, whole or not at all."""
    if name in PICTURES:
        from ..video.render import write_alpha, write_overlay

        path = output / (f"{clip.name}_overlay.mp4" if name == "overlay" else f"{clip.name}_alpha")
        with landing(path) as temporary:
            (write_overlay if name == "overlay" else write_alpha)(temporary, clip, video)
        return path, Losses()
    kind = VIDEO_FORMATS[name]
    path = output / f"{clip.name}_{name.replace('-', '_')}{kind.suffix}"
    with landing(path) as temporary:
        losses = kind.load().write(temporary, clip)
    return path, losses


def _summary(clip: ClipMasks, written: list[str]) -> dict[str, Any]:
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
    return {"video": clip.name, "frames": len(clip.frames), "objects": objects, "written": written}
