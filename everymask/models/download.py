"""One file from a server (or a folder) to a place on disk: resumed, retried, verified, landed at once.

What happens to a partial file ``NAME.part``:

- kept when the connection breaks, the server fails, the disk is full or the user stops: those bytes
  are good, and the next call asks only for the rest;
- removed when the bytes turn out not to be the published ones.

``NAME`` itself appears by a rename after the hash was checked: it is never a half of a file.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ..errors import ChecksumError, DownloadError

Progress = Callable[[int, "int | None"], None]
"""Called with the bytes that are there and the bytes of the whole file (None: unknown)."""

CHUNK_BYTES = 1 << 20
TRIES = 5
"""Failures in a row, without a megabyte of progress between them, before giving up."""
TRIES_WITHOUT_A_NAME = 2
"""Where the server's name is not known: mostly there is no network, and waiting brings none."""
FIRST_PAUSE_SECONDS = 0.5
TIMEOUT_SECONDS = 30.0
RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Wanted:
    """What is known of a file before it comes."""

    name: str
    url: str
    size_bytes: int | None = None
    sha256: str | None = None


class FileAbsentError(DownloadError):
    """The server, or the mirror, has no such file."""


class _Broken(Exception):
    """The connection ended early or the server had a bad moment: worth another try."""

    def __init__(self, why: str, pause_seconds: float = 0.0, tries: int = TRIES):
        super().__init__(why)
        self.pause_seconds = pause_seconds
        self.tries = tries


@dataclass(frozen=True)
class _Stream:
    """An answer being read: its body, where it starts in the file, how long the whole file is."""

    body: IO[bytes] | http.client.HTTPResponse
    start: int
    total: int | None
    tag: str

    def read(self) -> bytes:
        try:
            return self.body.read(CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _Broken(f"the connection broke ({error or type(error).__name__})") from error

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.body.close()


def fetch(
    wanted: Wanted,
    into: Path,
    progress: Progress | None = None,
    *,
    first_pause_seconds: float = FIRST_PAUSE_SECONDS,
) -> str:
    """The SHA-256 of ``wanted``, which is at ``into`` when this returns.

    Raises ``DownloadError`` (the server does not have it, keeps failing, no space left) or
    ``ChecksumError`` (the bytes are not the published ones).
    """
    part = into.with_name(into.name + ".part")
    resumed = _size(part) > 0
    _download(wanted, part, progress, first_pause_seconds)
    digest = sha256_of(part)
    if wanted.sha256 and digest != wanted.sha256 and resumed:
        # The older bytes may be what is wrong; one clean start tells.
        _discard(part)
        _download(wanted, part, progress, first_pause_seconds)
        digest = sha256_of(part)
    if wanted.sha256 and digest != wanted.sha256:
        _discard(part)
        raise ChecksumError(
            f"{wanted.name} from {wanted.url} should have SHA-256 {wanted.sha256}, got {digest}; "
            "the bytes were thrown away. Try again, or check the mirror or proxy in between"
        )
    part.replace(into)
    _tag_file(part).unlink(missing_ok=True)
    return digest


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(wanted: Wanted, part: Path, progress: Progress | None, first_pause_seconds: float) -> None:
    """Fill ``part`` to the last byte, over as many connections as it takes."""
    if wanted.size_bytes is not None and _size(part) > wanted.size_bytes:
        _discard(part)
    failures, landmark = 0, _size(part)
    while wanted.size_bytes is None or _size(part) < wanted.size_bytes:
        try:
            return _receive(wanted, part, progress)
        except _Broken as error:
            if _size(part) >= landmark + CHUNK_BYTES:
                failures, landmark = 0, _size(part)
            failures += 1
            if failures >= error.tries:
                raise _given_up(wanted, part, error) from error
            time.sleep(max(error.pause_seconds, first_pause_seconds * 2 ** (failures - 1)))


def _receive(wanted: Wanted, part: Path, progress: Progress | None) -> None:
    """One connection: ask for what is missing, append it to ``part``."""
    try:
        with _open(wanted, part) as stream:
            _check_size(wanted, stream)
            _check_space(wanted, part, stream)
            _tag_file(part).write_text(stream.tag, "utf-8")
            _append(stream, part, progress)
    except OSError as error:  # of our own disk: those of the connection have become _Broken
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_space(wanted, part, "the disk filled up") from error
        raise DownloadError(f"{wanted.name} cannot be written to {part.parent}: {error}") from error


def _append(stream: _Stream, part: Path, progress: Progress | None) -> None:
    """Write the rest of the stream behind what ``part`` holds."""
    here = stream.start
    with open(part, "ab" if here else "wb") as file:
        while True:
            if progress:
                progress(here, stream.total)
            chunk = stream.read()
            if not chunk:
                break
            file.write(chunk)
            here += len(chunk)
    if stream.total is not None and here < stream.total:
        raise _Broken(f"the connection closed after {here} of {stream.total} bytes")


def _open(wanted: Wanted, part: Path) -> _Stream:
    """The bytes that ``part`` still lacks, as the server (or folder) gives them."""
    start, tag = _size(part), _stored_tag(part)
    if start and not wanted.sha256 and not tag:
        start = 0  # nothing could tell whether old and new bytes belong to the same file
    if urlsplit(wanted.url).scheme == "file":
        return _open_local(wanted, start)
    headers = {"User-Agent": "everymask", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if tag and not wanted.sha256:
            headers["If-Range"] = tag
    try:
        answer = urllib.request.urlopen(
            urllib.request.Request(wanted.url, headers=headers), timeout=TIMEOUT_SECONDS
        )
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(wanted, part, error) from error
    except (OSError, http.client.HTTPException) as error:
        raise _no_connection(wanted, error) from error
    return _stream_of(answer, start, wanted.size_bytes)


def _open_local(wanted: Wanted, start: int) -> _Stream:
    """A mirror that is a folder."""
    path = Path(url2pathname(urlsplit(wanted.url).path))
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed by the stream
    except OSError as error:
        kind = FileAbsentError if isinstance(error, FileNotFoundError) else DownloadError
        raise kind(
            f"{wanted.name} cannot be read from {path}: {error.strerror}; check EVERYMASK_MIRROR"
        ) from error
    file.seek(start)
    return _Stream(file, start, path.stat().st_size, "")


def _stream_of(answer: http.client.HTTPResponse, asked_start: int, known_size: int | None) -> _Stream:
    start = asked_start if answer.status == 206 else 0  # 200: the server sends the whole file
    length = answer.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() else known_size
    tag = answer.headers.get("ETag", "")
    return _Stream(answer, start, total, "" if tag.startswith("W/") else tag)


def _refusal(wanted: Wanted, part: Path, error: urllib.error.HTTPError) -> Exception:
    """What an error status means: worth another try, or the end."""
    if error.code == 416:
        _discard(part)
        return _Broken("the partial file was longer than the server's")
    if error.code in RETRY_STATUS:
        after = error.headers.get("Retry-After", "")
        pause = min(float(after), TIMEOUT_SECONDS) if after.isdigit() else 0.0
        return _Broken(f"the server answered {error.code} {error.reason}", pause)
    if error.code in (404, 410):
        return FileAbsentError(
            f"{wanted.url} does not exist ({error.code} {error.reason}); check EVERYMASK_MIRROR if it is "
            f"set, or fetch {wanted.name} elsewhere and give its path instead of the name"
        )
    return DownloadError(
        f"{wanted.url} was refused ({error.code} {error.reason}); check the address, proxy or mirror"
    )


def _no_connection(wanted: Wanted, error: Exception) -> Exception:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return DownloadError(
            f"{wanted.url} shows a certificate that cannot be verified ({reason.verify_message}); behind a "
            "company proxy, point SSL_CERT_FILE to its certificates"
        )
    unknown = isinstance(reason, socket.gaierror)
    return _Broken(f"no connection ({reason})", tries=TRIES_WITHOUT_A_NAME if unknown else TRIES)


def _given_up(wanted: Wanted, part: Path, error: _Broken) -> DownloadError:
    came = _size(part)
    kept = f" The {came} bytes that came are kept, and the next try goes on from there." if came else ""
    return DownloadError(
        f"{wanted.name} could not be fetched from {wanted.url}: {error}, {error.tries} times in a row.{kept} "
        "Without a connection, set EVERYMASK_MIRROR, or fetch the file elsewhere and put it at "
        f"{part.with_name(part.name.removesuffix('.part'))}"
    )


def _check_size(wanted: Wanted, stream: _Stream) -> None:
    """Refuse a file of another length before it is fetched: a login page, another release."""
    if wanted.size_bytes is not None and stream.total not in (None, wanted.size_bytes):
        raise ChecksumError(
            f"{wanted.name} has {wanted.size_bytes} bytes, but {wanted.url} offers {stream.total}; "
            "check the mirror or proxy in between (a login page?)"
        )


def _check_space(wanted: Wanted, part: Path, stream: _Stream) -> None:
    missing = (stream.total or 0) - stream.start
    free = shutil.disk_usage(part.parent).free
    if missing > free:
        raise _no_space(wanted, part, f"{missing} more bytes are needed and {free} are free")


def _no_space(wanted: Wanted, part: Path, what: str) -> DownloadError:
    return DownloadError(
        f"no space left for {wanted.name} in {part.parent}: {what}. Free some, or set EVERYMASK_HOME to a "
        f"larger disk. The {_size(part)} bytes that came are kept for the next try "
        "(`everymask models rm` drops them)"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _tag_file(part: Path) -> Path:
    """Where the server's ETag of a partial file is kept."""
    return part.with_name(part.name + ".etag")


def _stored_tag(part: Path) -> str:
    return _tag_file(part).read_text("utf-8") if _tag_file(part).exists() else ""


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag_file(part).unlink(missing_ok=True)
