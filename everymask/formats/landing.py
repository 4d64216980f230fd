"""Writing that either happens whole or not at all: a temporary name first, then one rename."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UMASK = os.umask(0o022)
"""The permissions that new files do not get. Reading means setting it, for all threads: once, at import."""
os.umask(UMASK)


@contextmanager
def landing(path: Path, scratch: Path | None = None) -> Iterator[Path]:
    """A temporary path to write a file or folder to; it takes the place of ``path`` when the block ends well.

    When the block raises, nothing is left behind and what stood at ``path`` before is untouched. A folder
    is only replaced by a folder: a file that is to land on one raises IsADirectoryError.
    ``scratch`` is a folder on the same disk for the temporary name (default: beside ``path``); a killed
    process can only leave something there.
    """
    folder = scratch if scratch is not None else path.parent
    folder.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: image writers choose their codec by it.
    temporary = folder / f".{path.stem}.{os.getpid()}.partial{path.suffix}"
    remove(temporary)
    try:
        yield temporary
        if temporary.is_file():
            temporary.chmod(0o666 & ~UMASK)  # some writers' temporary files are their owner's alone
        replace(temporary, path)
    finally:
        remove(temporary)


def replace(source: Path, target: Path) -> None:
    """Rename ``source`` to ``target``, over a file by a file or over a folder by a folder of that name."""
    if target.is_dir() and not target.is_symlink():
        if not source.is_dir():  # whatever the folder holds, nobody asked to delete it
            raise IsADirectoryError(f"{target} is a folder; name a file to write to")
        aside = source.with_name(source.name + ".old")
        remove(aside)
        os.replace(target, aside)
        os.replace(source, target)
        remove(aside)
    else:
        os.replace(source, target)


def remove(path: Path) -> None:
    """Delete a file or a folder with all in it; nothing happens if there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
