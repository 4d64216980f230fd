"""Weights by name: from the package, the cache, a mirror, or the lab's own server.

Settings, all from the environment, read when a function is called:

=====================  =====================================================================
``EVERYMASK_HOME``     the cache folder; default: the platform's (``~/.cache/everymask``, ...)
``EVERYMASK_MIRROR``   an address or folder that holds the files by name; used instead of the
                       labs' servers, with the same hashes
``EVERYMASK_OFFLINE``  1: never touch the network
=====================  =====================================================================

Files lie in ``EVERYMASK_HOME/models`` under the names the labs gave them, so that a file fetched by
hand can be put there. Two processes that pull the same file share one download (a file lock, which
the system drops when its process dies).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from ..errors import ChecksumError, DownloadError, OfflineError
from .catalog import CATALOG, WeightsFile, entry_of, find
from .download import FIRST_PAUSE_SECONDS, Progress, Wanted, fetch, sha256_of
from .hub_repository import is_hub_id, pull_from_repository
from .places import home, path_of

LOCK_POLL_SECONDS = 0.2


class UnverifiedWeightsWarning(UserWarning):
    """A file came whose published hash is not known to us; its hash was remembered."""


@dataclass(frozen=True)
class Verdict:
    """What re-reading a cached file showed."""

    name: str
    path: Path
    state: Literal["good", "recorded", "bad", "absent"]
    """good: the published hash; recorded: the hash of its first download; bad: another one."""
    sha256: str | None
    expected: str | None


def offline() -> bool:
    """True where ``EVERYMASK_OFFLINE``, or Hugging Face's ``HF_HUB_OFFLINE``, forbids the network."""
    return offline_setting() is not None


def offline_setting() -> str | None:
    """The variable that forbids the network, or None."""
    for name in ("EVERYMASK_OFFLINE", "HF_HUB_OFFLINE"):
        if os.environ.get(name, "").strip().lower() in {"1", "true", "yes", "on"}:
            return name
    return None


def mirror() -> str | None:
    """The address that takes the place of the labs' servers, or None."""
    return os.environ.get("EVERYMASK_MIRROR", "").strip() or None


def is_cached(name: str) -> bool:
    """True if the file of ``name`` is there in its full length."""
    return _is_whole(entry_of(name), path_of(name))


def pull(
    name: str, progress: Progress | None = None, *, first_pause_seconds: float = FIRST_PAUSE_SECONDS
) -> Path:
    """The path of the weights called ``name``, fetched into the cache if they are not there.

    ``name`` is one of ``everymask models list``, or a Hugging Face repository ("owner/name", or
    "owner/name:file" where it holds several). ``progress(done_bytes, total_bytes)`` is called
    as they come. What was fetched is verified before it gets its name, and not again at each call:
    ``verify`` does that.

    Raises ``UnknownModelError``, ``OfflineError``, ``ChecksumError`` or ``DownloadError``. Warns with
    ``UnverifiedWeightsWarning`` when a file comes whose published hash we do not know.
    """
    entry = find(name)
    if entry is None and is_hub_id(name):
        return pull_from_repository(name, offline())
    entry = entry or entry_of(name)
    path = path_of(entry.name)
    if _is_whole(entry, path):
        return path
    if entry.bundled:
        raise DownloadError(f"{path} should have come with the package; reinstall everymask")
    if offline():
        raise OfflineError(
            f"{entry.name} is not in the cache and {offline_setting()} is set; unset it, or put "
            f"{entry.file} into {path.parent}"
        )
    with _lock(path, progress, entry.size_bytes):
        if not _is_whole(entry, path):  # another process may have fetched it meanwhile
            _fetch(entry, path, progress, first_pause_seconds)
    return path


def fetch_into(entry: WeightsFile, path: Path, progress: Progress | None = None) -> None:
    """Fetch one file to ``path`` unless it is there: locked, resumed and verified as :func:`pull` does it."""
    if _is_whole(entry, path):
        return
    with _lock(path, progress, entry.size_bytes):
        if not _is_whole(entry, path):
            _fetch(entry, path, progress, FIRST_PAUSE_SECONDS)


def verify(name: str) -> Verdict:
    """Read the file of ``name`` again and compare its SHA-256 with the published or recorded one."""
    entry, path = entry_of(name), path_of(name)
    expected = entry.sha256 or _recorded(path)
    if not path.exists():
        return Verdict(entry.name, path, "absent", None, expected)
    digest = sha256_of(path)
    if expected is None and not entry.bundled:
        _record(path, digest)
        expected = digest
    if expected not in (None, digest):
        return Verdict(entry.name, path, "bad", digest, expected)
    return Verdict(entry.name, path, "good" if entry.sha256 else "recorded", digest, expected)


def remove(name: str) -> int:
    """Take the file of ``name`` and its leftovers out of the cache; the bytes that this freed.

    The recorded hash of a file without a published one stays, so that another file of the same name
    would be noticed. The bundled model is never removed (0).
    """
    entry, path = entry_of(name), path_of(name)
    if entry.bundled or not path.parent.exists():
        return 0
    freed = 0
    with _lock(path, None, None):
        for each in (path, *path.parent.glob(f"{path.name}.part*")):
            freed += each.stat().st_size if each.exists() else 0
            each.unlink(missing_ok=True)
    return freed


def cached_bytes() -> int:
    """The size of all cached weights, partial ones included."""
    folder = home() / "models"
    return sum(path.stat().st_size for path in folder.glob("*") if path.is_file()) if folder.exists() else 0


def cached_names() -> list[str]:
    """The names whose files are there, the bundled one included."""
    return [name for name in CATALOG if is_cached(name)]


def _fetch(entry: WeightsFile, path: Path, progress: Progress | None, first_pause_seconds: float) -> None:
    known = entry.sha256 or _recorded(path)
    wanted = Wanted(entry.name, _address(entry), entry.size_bytes, known)
    try:
        digest = fetch(wanted, path, progress, first_pause_seconds=first_pause_seconds)
    except ChecksumError as error:
        if entry.listed:
            raise ChecksumError(
                f"{error}. That hash is from listings, none of us has had the file; if you trust where yours "
                "comes from, load it by its path"
            ) from error
        if entry.sha256 or not known:
            raise
        raise ChecksumError(
            f"{error}. That hash was recorded at an earlier download; if the new file is the right one, "
            f"delete {_record_file(path)}"
        ) from error
    if known is None:
        _record(path, digest)
        warnings.warn(
            f"no published SHA-256 of {entry.file} is known to everymask, so it could not be verified; "
            f"it has {digest}, which is remembered and will be checked from now on",
            UnverifiedWeightsWarning,
            stacklevel=3,
        )


def _address(entry: WeightsFile) -> str:
    """Where to fetch from: the mirror (an address or a folder) or the lab's server."""
    base = mirror()
    if base is None:
        return entry.url
    if "://" not in base:
        return (Path(base).expanduser().resolve() / entry.file).as_uri()
    return f"{base.rstrip('/')}/{entry.file}"


def _is_whole(entry: WeightsFile, path: Path) -> bool:
    if not path.is_file():
        return False
    return entry.size_bytes is None or path.stat().st_size == entry.size_bytes


@contextmanager
def _lock(path: Path, progress: Progress | None, total: int | None) -> Iterator[None]:
    """Be the only process at work on ``path``; while waiting, show how far the other one is."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(
            f"the cache folder {path.parent} cannot be made ({error.strerror}); set EVERYMASK_HOME"
        ) from error
    lock = FileLock(f"{path}.lock")
    part = path.with_name(path.name + ".part")
    while True:
        try:
            lock.acquire(timeout=LOCK_POLL_SECONDS)
            break
        except Timeout:
            if progress and part.exists():
                progress(part.stat().st_size, total)
        except OSError as error:
            raise DownloadError(
                f"the cache folder {path.parent} cannot be written ({error.strerror}); set EVERYMASK_HOME"
            ) from error
    try:
        yield
    finally:
        lock.release()


def _record_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _recorded(path: Path) -> str | None:
    """The hash noted at the first download of a file that has no published one."""
    record = _record_file(path)
    return record.read_text("utf-8").split()[0] if record.exists() else None


def _record(path: Path, digest: str) -> None:
    _record_file(path).write_text(f"{digest}  {path.name}\n", "utf-8")  # the format of sha256sum
