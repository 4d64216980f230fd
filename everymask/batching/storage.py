"""Files here and in object storage, through fsspec: whole or not at all, every failure one line.

An address is a path or what fsspec knows: ``s3://bucket/photos``, ``gs://...``, ``hf://datasets/...``.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from ..errors import BatchError, InputError, MissingExtraError, require
from ..formats.landing import landing

TRIES = 3
"""How often a photo is read, a model asked, a part written, before it counts as failed."""
PAUSE_SECONDS = 0.2
"""Before the second try; doubled before each further one."""

PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "hf": "huggingface_hub",
    "az": "adlfs",
}
Value = TypeVar("Value")


@dataclass(frozen=True)
class Place:
    """A file or folder by its address."""

    address: str
    """Absolute: a path, or ``protocol://...``."""

    @classmethod
    def of(cls, address: str | os.PathLike[str]) -> Place:
        """The place of an address as people write it."""
        text = os.fspath(address)
        if "://" in text:
            return cls(text.rstrip("/"))
        return cls(os.path.abspath(os.path.expanduser(text)))

    @property
    def is_local(self) -> bool:
        """Whether it is a path of this machine's file system."""
        return "://" not in self.address

    @property
    def path(self) -> Path:
        """Of a local place."""
        return Path(self.address)

    @property
    def name(self) -> str:
        """The last part."""
        return self.address.rsplit("/", 1)[-1]

    def __truediv__(self, name: str) -> Place:
        return Place(f"{self.address}/{name}")

    def __str__(self) -> str:
        return self.address

    @property
    def files(self) -> Any:
        """The fsspec file system that it is in."""
        return file_system("file" if self.is_local else self.address.partition("://")[0])

    def read(self) -> bytes:
        """Its bytes. Raises OSError."""
        return self.path.read_bytes() if self.is_local else self.files.cat_file(self.address)

    def read_part(self, start: int, size: int) -> bytes:
        """``size`` bytes from ``start``; fewer where the file ends before. Raises OSError."""
        if self.is_local:
            with self.path.open("rb") as file:
                file.seek(start)
                return file.read(size)
        return self.files.cat_file(self.address, start=start, end=start + size)

    def open(self, read_ahead: int) -> Any:
        """It as a file to read and seek in; remotely, ``read_ahead`` bytes at a time."""
        if self.is_local:
            return self.path.open("rb")
        return self.files.open(self.address, "rb", block_size=read_ahead)

    def exists(self) -> bool:
        """Whether something is there."""
        return self.path.exists() if self.is_local else self.files.exists(self.address)

    def names(self) -> list[str]:
        """The names of the files in this folder, sorted; none if there is no such folder."""
        if self.is_local:
            return sorted(os.listdir(self.path)) if self.path.is_dir() else []
        try:
            found = self.files.ls(self.address, detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(name for name in (str(each).rstrip("/").rsplit("/", 1)[-1] for each in found) if name)

    def write(self, content: bytes) -> None:
        """Put ``content`` here, whole or not at all, over what was here. Raises OSError."""
        if not self.is_local:
            self.files.pipe_file(self.address, content)
            return
        with landing(self.path) as temporary, temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def create(self, content: bytes) -> bool:
        """Put ``content`` here if nothing is; whether it did. Of several who try, one does."""
        if not self.is_local:
            try:
                self.files.pipe_file(self.address, content, mode="create")
            except FileExistsError:
                return False
            except (NotImplementedError, TypeError):  # a store without conditional writes
                if self.exists():
                    return False
                self.files.pipe_file(self.address, content)
            return True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.name}.{os.getpid()}.partial")
        try:
            temporary.write_bytes(content)
            os.link(temporary, self.path)
        except FileExistsError:
            return False
        except OSError:  # a disk without hard links, as memory cards have it
            try:
                with self.path.open("xb") as file:
                    file.write(content)
            except FileExistsError:
                return False
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def remove(self) -> None:
        """Delete the file; nothing happens if there is none."""
        if self.is_local:
            self.path.unlink(missing_ok=True)
            return
        with contextlib.suppress(FileNotFoundError):
            self.files.rm_file(self.address)


@lru_cache(maxsize=16)
def file_system(protocol: str) -> Any:
    """The fsspec file system of a protocol, from the environment's settings (AWS_ENDPOINT_URL, ...).

    Raises :class:`InputError` for a protocol that there is none of, :class:`MissingExtraError` for one whose
    package is not installed.
    """
    fsspec = require("fsspec", "batch", "object storage")
    try:
        kind = fsspec.get_filesystem_class(protocol)
    except ValueError:
        raise InputError(
            f"nothing reads {protocol}:// addresses; known are {', '.join(PACKAGES)} and file paths"
        ) from None
    except ImportError as error:
        if (built_in := _of_pyarrow(protocol)) is not None:
            return built_in
        package = PACKAGES.get(protocol, "")
        hint = f"pip install {package}" if package else str(error)
        raise MissingExtraError(
            f"{protocol}:// addresses need a package that is not installed; run: {hint}"
        ) from error
    return kind(skip_instance_cache=True, **({"use_listings_cache": False} if protocol != "file" else {}))


def _of_pyarrow(protocol: str) -> Any:
    """The file system that pyarrow brings for a protocol, as fsspec has them; None where it has none."""
    stores = require("pyarrow.fs", "batch", "object storage")
    arrow = require("fsspec.implementations.arrow", "batch", "object storage")
    if protocol in ("s3", "s3a") and hasattr(stores, "S3FileSystem"):
        options: dict[str, Any] = {"connect_timeout": 10, "request_timeout": 60}
        if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
            scheme, _, host = endpoint.rpartition("://")
            options |= {"endpoint_override": host.rstrip("/"), "scheme": scheme or "https"}
        if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
            options["region"] = region
        return arrow.ArrowFSWrapper(stores.S3FileSystem(**options))
    if protocol in ("gs", "gcs") and hasattr(stores, "GcsFileSystem"):
        return arrow.ArrowFSWrapper(stores.GcsFileSystem())
    return None


def told(error: BaseException) -> str:
    """An error as one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}" + (f" ({error.filename})" if error.filename else "")
    return " ".join(str(error).split()) or type(error).__name__


def persistently(action: Callable[[], Value], what: str, pause: float = PAUSE_SECONDS) -> Value:
    """What ``action`` returns, tried :data:`TRIES` times.

    Raises :class:`BatchError` that begins with ``what`` when the last try failed too. An error that no
    further try can mend (no permission, no room) is not tried again.
    """
    for left in reversed(range(TRIES)):
        try:
            return action()
        except OSError as error:
            if not left or isinstance(error, PermissionError) or error.errno in (28, 30):  # full, read-only
                raise BatchError(f"{what}: {told(error)}") from error
            time.sleep(pause)
            pause *= 2
    raise AssertionError("the last try returns or raises")
