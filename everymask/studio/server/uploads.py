"""Photos that are dropped onto the page: a safe name, a limit, and only what really is a photo."""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from everymask import InputError, read_photo

from .limits import TooLargeError

UPLOAD_LIMIT_BYTES = 400_000_000


async def take_upload(
    chunks: AsyncIterator[bytes], folder: Path, name: str, limit_bytes: int = UPLOAD_LIMIT_BYTES
) -> tuple[Path, str]:
    """Write a photo into ``folder``; where it lies and what it is called there.

    Raises TooLargeError, and InputError (PictureError) for what cannot be decoded; nothing is kept then.
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
                    raise TooLargeError(f"a photo may have {limit_bytes:,} bytes at most")
                file.write(chunk)
            file.flush()
            await run_in_threadpool(_check, partial)
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


def _check(path: Path) -> None:
    try:
        read_photo(path, page=None)
    except InputError as error:
        if "page=" not in str(error):  # several pages: the page chooses one later
            raise InputError(str(error).replace(str(path), "this file")) from error


def _free(path: Path) -> Path:
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_stem(f"{path.stem}-{number}")
    return candidate
