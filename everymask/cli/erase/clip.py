"""``everymask erase`` on a video: track what goes, then fill what it hid, frame by frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ...errors import InputError, PromptError
from ...media.videos import PICTURE_SUFFIXES
from ..shared.messages import note
from ..track.progress import FrameProgress
from .picture import Wish

if TYPE_CHECKING:
    from ...formats.video_record import ClipMasks


def erase_clip(
    wanted: Wish, output: Path, engine: str | None, grow: int | None, overwrite: bool, as_json: bool
) -> None:
    """Track, erase, write; the tracks stay beside the result, so that the same command goes on."""
    from ...inpaint.engines import open_engine
    from ...inpaint.video import checked_target, erase_video

    target = target_of(wanted.photo, checked_target(output))
    if not overwrite and (target.is_file() or (target.is_dir() and any(target.iterdir()))):
        raise InputError(f"{target} is there already; pass --overwrite to replace it, or choose another -o")
    filler = open_engine(engine)
    masks = masks_of(wanted, target.with_name(f"{target.stem}_tracks"), overwrite)
    with FrameProgress(2 * masks.length, "read or filled") as progress:
        written = erase_video(
            wanted.photo, masks, target, filler, grow=grow, progress=lambda done, of: progress.frame_done()
        )
    if written.sound == "left out":
        note(f"the sound does not fit into {target.suffix}; .mkv holds any")
    if target.suffix == ".mp4":
        note("mp4 changes every pixel a little; .mkv and a folder of PNGs keep those around")
    if as_json:
        told = {
            "video": str(wanted.photo),
            "objects": {each: masks.called(each) for each in masks.object_ids},
        }
        typer.echo(json.dumps({**told, "frames": written.frames, "written": [str(written.path)]}))
    typer.echo(f"wrote {written.path}", err=True)


def target_of(video: Path, output: Path) -> Path:
    """What is written: ``output``, or in such a folder a file of that name (of a folder of pictures, one).

    >>> target_of(Path("in/clip.mov"), Path("out/erased")).as_posix()
    'out/erased/clip.mp4'
    """
    if output.suffix:
        return output
    return output / (video.name if video.is_dir() else f"{video.stem}.mp4")


def masks_of(wanted: Wish, tracks: Path, overwrite: bool) -> ClipMasks:
    """The masks of what goes, on every frame: from a file, or tracked."""
    from ..shared.look import Style
    from ..track.keep import KeepObjects
    from ..track.outputs import Wish
    from ..track.prompts import names_of, read_track_prompts
    from ..track.run import Request, run

    if wanted.masks and wanted.masks[0].suffix.lower() not in PICTURE_SUFFIXES:
        return read_masks(wanted)
    words = wanted.words.sought() if wanted.words.is_given else None
    if not (words or wanted.points or wanted.boxes or wanted.masks):
        raise PromptError(
            "nothing to erase; give --text WORDS, --point [FRAME:]X,Y, --box [FRAME:]X0,Y0,X1,Y1, or --mask "
            "with a picture of frame 1 or the file of `everymask track`"
        )
    points, boxes = ([on_a_frame(each) for each in texts] for texts in (wanted.points, wanted.boxes))
    pictures = [f"1:{path}" for path in wanted.masks]
    prompts = read_track_prompts(points, boxes, pictures, None) if points or boxes or pictures else []
    request = Request.by_words(
        str(wanted.photo),
        words,
        wanted.model,
        wanted.device,
        prompts=prompts,
        both_ways=True,
        overwrite=overwrite,
    )
    outcome = run(request, tracks, ["sa-v"], Wish(KeepObjects(), Style(), names_of(prompts)))
    for line in outcome.quality:
        typer.echo(str(line), err=True)
    if outcome.failures:
        raise InputError(f"{outcome.failures[0]}; nothing was erased")
    return outcome.clip


def read_masks(wanted: Wish) -> ClipMasks:
    """The masks of a file of ``everymask track``."""
    from ...formats.video_reading import read_clip_masks

    if len(wanted.masks) > 1 or wanted.points or wanted.boxes or wanted.words.is_given:
        raise PromptError(f"--mask {wanted.masks[0]} says all of a video; leave out the other prompts")
    return read_clip_masks(wanted.masks[0])


def on_a_frame(text: str) -> str:
    """A click or box with its frame, the first one where none is named.

    >>> on_a_frame("30,40"), on_a_frame("7:30,40@2")
    ('1:30,40', '7:30,40@2')
    """
    return text if ":" in text else f"1:{text}"
