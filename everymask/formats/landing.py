"""Writing that either happens whole or not at all: a temporary name first, then one rename."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

UMASK = os.umask(0o022)
"""The permissions that new files do not get. Reading means setting it, for all threads: once, at import."""
os.umask(UMASK)


@contextmanager
def landing(path: Path, scratch: Path | None = None) -> Iterator[Path]:
    """A temporary path to write a file or folder to; it takes the place of ``path`` when the block ends well.

    When the block raises, nothing is left behind and what stood at ``path`` before is untouched; an error of
    the system, a full disk say, names ``path`` and not the temporary one. A folder
    is only replaced by a folder: a file that is to land on one raises IsADirectoryError.
    ``scratch`` is a folder on the same disk for the temporary name (default: beside ``path``); a killed
    process can only leave something there.
    """
    folder = scratch if scratch is not None else path.parent
    folder.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: image writers choose their codec by it.
    temporary = folder / f".{path.stem}.{os.getpid()}.partial{path.suffix}"
    try:
        remove(temporary)
        yield temporary
        if temporary.is_file():
            temporary.chmod(0o666 & ~UMASK)  # some writers' temporary files are their owner's alone
        replace(temporary, path)
    except OSError as error:
        if error.errno and error.filename in (None, str(temporary), temporary):
            error.filename = str(path)
        raise
    except Exception as error:
        if number := _of_the_system(error):
            raise OSError(number, os.strerror(number), str(path)) from error
        raise
    finally:
        with suppress(OSError):  # of a disk that became read-only: the error above is the one to know
            remove(temporary)


_IN_RUST = re.compile(r"\(os error (\d+)\)")
"""How libraries in Rust (safetensors) say what the system answered."""
_IN_SQLITE = {"SQLITE_FULL": errno.ENOSPC, "SQLITE_READONLY": errno.EROFS, "SQLITE_IOERR": errno.EIO}
"""The same of SQLite, by how the names of its errors begin."""


def _of_the_system(error: Exception) -> int | None:
    """The system's number for what went wrong, where a library says it in its own way."""
    if found := _IN_RUST.search(str(error)):
        return int(found[1])
    before = error.__context__ if type(error) is RuntimeError else None
    while before is not None:  # torch.save raises its own error over that of the file it writes to
        if isinstance(before, OSError) and before.errno:
            return before.errno
        before = before.__context__
    name = getattr(error, "sqlite_errorname", "")
    return next((number for begins, number in _IN_SQLITE.items() if name.startswith(begins)), None)


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
