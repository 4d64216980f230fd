"""Photos and clips that are dropped onto the page: a safe name, a limit, and only what really is one."""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from everymask import EverymaskError, InputError, read_photo
from everymask.media.videos import open_frames

from ..opening import VIDEO_SUFFIXES
from .limits import TooLargeError

UPLOAD_LIMIT_BYTES = 400_000_000
CLIP_LIMIT_BYTES = 8_000_000_000


async def take_upload(
    chunks: AsyncIterator[bytes],
    folder: Path,
    name: str,
    check: Callable[[Path], object],
    limit_bytes: int = UPLOAD_LIMIT_BYTES,
) -> tuple[Path, str]:
    """Write a file into ``folder``; where it lies and what it is called there.

    Raises TooLargeError, and what ``check`` raises of a file that it does not take; nothing is kept then.
    """
    safe = safe_name(name)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=folder, prefix=".upload-", suffix=Path(safe).suffix, delete=False
    ) as file:
        partial = Path(file.name)
        try:
            size = 0
            async for chunk in chunks:
                size += len(chunk)
                if size > limit_bytes:
                    raise TooLargeError(f"this file may have {limit_bytes:,} bytes at most")
                file.write(chunk)
            file.flush()
            try:
                await run_in_threadpool(check, partial)
            except EverymaskError as error:  # by the name that its owner knows
                raise type(error)(str(error).replace(str(partial), "this file")) from error
            target = _free(folder / safe)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    return target, target.name


def safe_name(name: str) -> str:
    """The last part of a name, without anything that a path or a shell would read.

    >>> safe_name("../../etc/pass wd.jpg"), safe_name("..")
    ('pass wd.jpg', 'photo')
    """
    last = re.split(r"[\\\\/]", name)[-1]
    return re.sub(r"[^\w .()+-]", "_", last).strip(" .")[-120:] or "photo"


def check_photo(path: Path) -> None:
    """Raise InputError (PictureError) for a file that is no photo."""
    try:
        read_photo(path, page=None)
    except InputError as error:
        if "page=" not in str(error):  # several pages: the page chooses one later
            raise


def check_clip(path: Path) -> None:
    """Raise InputError, or VideoError, for a file that is no video."""
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        known = ", ".join(sorted(suffix[1:] for suffix in VIDEO_SUFFIXES))
        raise InputError(f"a video file ends in {known}; got {path.suffix or 'no ending'}")
    with open_frames(path) as frames:
        frames.frame(0)


def _free(path: Path) -> Path:
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_stem(f"{path.stem}-{number}")
    return candidate
