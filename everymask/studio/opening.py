"""From what the command line names to a session: photos, the project file, masks that are there already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from everymask.errors import FormatError
from everymask.formats.video_record import ClipMasks
from everymask.formats.video_table import VIDEO_FORMATS

from .clips.clip import ClipFile
from .known_masks import known_masks
from .photos import within
from .session import Begin

PROJECT_NAME = "everymask-studio.db"
UPLOADS_NAME = "everymask-uploads"
VIDEO_SUFFIXES = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ogv", ".mts"}


def begin(
    photos: Sequence[tuple[Path, str]],
    opened: Path | None,
    project: Path | None,
    mask_files: Iterable[Path],
    clips: Sequence[ClipFile] = (),
) -> Begin:
    """What a session starts from.

    photos: files and their names; opened: the folder, photo or clip that was named; project: where the
    project file is, by default in that folder or beside that file; clips: those named. Photos
    and clips that lie outside of the folder by a link are left out. Raises InputError for mask files that
    cannot be read.
    """
    base = opened if opened is not None else Path.cwd()
    folder = base if base.is_dir() else base.parent
    if base.is_dir():
        photos = [(path, name) for path, name in photos if _is_allowed(path, folder)]
        clips = [clip for clip in clips if within(Path(clip.source), folder)]
    chosen = project or (folder / PROJECT_NAME if base.is_dir() else base.with_suffix(".studio.db"))
    uploads = chosen.parent / UPLOADS_NAME
    earlier = sorted(uploads.iterdir()) if uploads.is_dir() else []
    named = [(path, f"{UPLOADS_NAME}/{path.name}") for path in earlier if not path.name.startswith(".")]
    uploaded = [ClipFile(path, name) for path, name in named if _is_video(path)]
    photos_then = [(path, name) for path, name in named if not _is_video(path)]
    known_clips, others = known_clip_masks(clips, mask_files)
    known = known_masks(photos, others)
    return Begin(chosen, [*photos, *photos_then], known, uploads, [*clips, *uploaded], known_clips)


def find_clips(words: Sequence[str], *, frames: bool = False) -> tuple[list[ClipFile], list[str]]:
    """The clips among words of a command line, and the other words.

    A clip is a video file, named or in a folder that was named; with ``frames`` a folder is one clip, its
    pictures the frames.
    """
    clips: list[ClipFile] = []
    others: list[str] = []
    for word in words:
        path = Path(word)
        if path.is_dir() and frames:
            clips.append(ClipFile(path, path.resolve().name))
            continue
        if path.is_dir():
            inside = sorted(each for each in path.iterdir() if _is_video(each))
            clips += [ClipFile(each, each.name) for each in inside]
        if _is_video(path):
            clips.append(ClipFile(path, path.name))
        else:
            others.append(word)
    return clips, others


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")


def _is_allowed(path: Path, folder: Path) -> bool:
    return path.is_file() and within(path, folder)


def known_clip_masks(
    clips: Sequence[ClipFile], mask_files: Iterable[Path]
) -> tuple[dict[str, ClipMasks], list[Path]]:
    """The masks of each clip by its name, and the files that hold none of a clip.

    Files that were named, and those that ``everymask track`` or an export left beside a clip:
    ``CLIP_coco_vis.json``, ``CLIP_sa_v.json``, ``CLIP_cvat.xml``. A file that was named goes before.
    """
    found: dict[str, ClipMasks] = {}
    for clip in clips:
        source = Path(clip.source)
        for name, kind in VIDEO_FORMATS.items():
            beside = source.with_name(f"{source.stem}_{name.replace('-', '_')}{kind.suffix}")
            masks = _clip_masks(beside) if kind.suffix and beside.is_file() else None
            if masks is not None:
                found[clip.name] = masks
    others = []
    for file in mask_files:
        masks = _clip_masks(file) if clips else None
        stems = {Path(clip.name).stem: clip.name for clip in clips}
        if masks is None:
            others.append(file)
        elif masks.name in stems or len(clips) == 1:
            found[stems.get(masks.name, clips[0].name)] = masks
        else:
            raise FormatError(f"{file} holds masks of the clip {masks.name}; here are {', '.join(stems)}")
    return found, others


def _clip_masks(file: Path) -> ClipMasks | None:
    """The masks of a clip in a file; None where it holds none."""
    for kind in VIDEO_FORMATS.values():
        if kind.suffix and kind.suffix == file.suffix.lower():
            with suppress(FormatError, KeyError, TypeError, ValueError):
                return kind.load().read(file)
    return None
