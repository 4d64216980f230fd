"""Every error that everymask raises on purpose, in one tree.

    EverymaskError
    ├── InputError (ValueError)      something handed in is wrong
    │   ├── PromptError              points, labels, boxes, masks
    │   │   └── NothingFoundError    what was looked for is on no frame that was looked at
    │   ├── PictureError             photos, arrays, files that should be pictures
    │   ├── OptionError              options of a generator, tracker, command
    │   └── FormatError              mask files and format names
    ├── CheckpointError              a weights file cannot be used
    │   ├── UnsafeCheckpointError    it carries code: refused
    │   ├── UnknownModelError        nothing of this name, or no architecture fits its keys
    │   └── KeyMismatchError         keys missing, left over, or of another shape
    ├── DownloadError                a file could not be fetched
    │   ├── OfflineError             offline mode is on and the file is not in the cache
    │   └── ChecksumError            the bytes that came are not the published ones
    ├── VideoError                   a clip cannot be read, or ends unexpectedly
    ├── SessionError                 an operation that the state of a session does not allow
    ├── TrainingError                training cannot go on
    ├── BatchError                   a batch run cannot start or go on; what it has landed stays
    └── MissingExtraError (ImportError)  an optional dependency is not installed

A message says what was expected, what came and what to do.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Iterable
from types import ModuleType


class EverymaskError(Exception):
    """The base of all errors below: ``except em.EverymaskError`` catches each of them."""


class InputError(EverymaskError, ValueError):
    """An argument is wrong."""


class PromptError(InputError):
    """A point, label, box or mask prompt is wrong."""


class NothingFoundError(PromptError):
    """What was looked for in a clip is on no frame that was looked at."""


class PictureError(InputError):
    """A picture cannot be read or has values that no picture has."""


class OptionError(InputError):
    """An option is out of range or does not fit another one."""


class FormatError(InputError):
    """A mask file is malformed, or a format's name is unknown."""


class CheckpointError(EverymaskError):
    """A weights file cannot be used."""


class UnsafeCheckpointError(CheckpointError):
    """A weights file carries code and was not opened."""


class UnknownModelError(CheckpointError):
    """No model has this name, or no known architecture fits the file's keys."""


class KeyMismatchError(CheckpointError):
    """A weights file lacks keys, has extra ones, or has tensors of another shape."""


class DownloadError(EverymaskError):
    """A file could not be fetched."""


class OfflineError(DownloadError):
    """Offline mode is on and the file is not in the cache."""


class ChecksumError(DownloadError):
    """The bytes fetched are not the published ones."""


class VideoError(EverymaskError):
    """A clip cannot be read, or ends before it should."""


class SessionError(EverymaskError):
    """The state of a session does not allow the operation."""


class TrainingError(EverymaskError):
    """Training cannot go on."""


class BatchError(EverymaskError):
    """A batch run cannot start or go on: Ray, or where it writes to. What has landed stays."""


class SlowTypeWarning(UserWarning):
    """A number type that was asked for is slower on this machine than float32."""


class SameTensorsWarning(UserWarning):
    """Weights fit several models, and their file's name says none of them."""


class MissingExtraError(EverymaskError, ImportError):
    """An optional dependency is not installed; the message names the install command."""


NO_ROOM = frozenset({errno.ENOSPC, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)})
"""What the system says of a disk that takes no more of anything: full, over its quota, or read-only."""

ADVICE = {
    **dict.fromkeys(NO_ROOM, "make room, or name a folder on another disk"),
    errno.EROFS: "name a folder that can be written to",
    errno.EACCES: "change its permissions, or name another path",
    errno.EPERM: "change its permissions, or name another path",
    errno.ENOTDIR: "a file stands where a folder is needed, name another path",
    errno.EISDIR: "a folder stands where a file is needed, name another path",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.EMFILE: "allow more open files: ulimit -n 4096",
}
"""What to do about an error of the system."""


def first_few(items: Iterable[str], most: int = 4) -> str:
    """Items for a message, and how many more there are.

    >>> first_few("abc"), first_few("abcdef")
    ('a, b, c', 'a, b, c, d and 2 more')
    """
    listed = list(items)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def one_line(error: BaseException) -> str:
    """What an error of a library below us says, as part of a message of ours: one line.

    >>> one_line(ValueError("bad\\n  block"))
    'bad block'
    >>> one_line(OSError(errno.ENOSPC, "No space left on device", "out/a.png"))
    'out/a.png: no space left on device; make room, or name a folder on another disk'
    """
    if isinstance(error, OSError) and error.errno and error.strerror:
        place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        advice = ADVICE.get(error.errno)
        said = os.strerror(error.errno) if advice else error.strerror  # pyarrow puts its own words there
        said = said[:1].lower() + said[1:]
        return " ".join(f"{place}{said}".split()) + (f"; {advice}" if advice else "")
    return " ".join(str(error).split()) or type(error).__name__


PYTHON = sys.version_info[:2]
LAST_PYTHON = {
    "pocketsphinx": ((3, 13), "use Python 3.13, or let Whisper listen: everymask models pull whisper_base")
}
"""Packages that the newest Python cannot install (``pyproject.toml`` leaves them out), and what does."""


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """The imported optional ``module``, or a :class:`MissingExtraError` that says how to get it.

    >>> require("json", "video", "reading video files").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        last, instead = LAST_PYTHON.get(package, (PYTHON, ""))
        if last < PYTHON:
            reason = f"which has no wheels for Python {'.'.join(map(str, PYTHON))}; {instead}"
        else:
            reason = f"which is not installed; run: pip install 'everymask[{extra}]'"
        raise MissingExtraError(f"{purpose} needs the package {package!r}, {reason}") from error
