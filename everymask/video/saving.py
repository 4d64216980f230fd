"""Sessions in files: tensors as safetensors, everything else as JSON in the file's header."""

from __future__ import annotations

import json
import os
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from everymask.errors import OptionError, SessionError, VideoError
from everymask.formats.landing import landing
from everymask.media.frame_source import spelled, thumbnail
from everymask.models.features import fingerprint
from everymask.models.sam2 import Sam2
from everymask.video.options import TrackerOptions
from everymask.video.progress import Progress
from everymask.video.snapshot import Snapshot

if TYPE_CHECKING:
    from everymask.video.session import VideoSession

FORMAT = "everymask video session 2"
SAME_PICTURE = 8
"""Average colours of the same picture, decoded by other programs, differ by less than this."""


@dataclass(frozen=True)
class SavedSession:
    """What a session file says, to be put into a session on the same clip."""

    path: Path
    options: TrackerOptions
    state: dict[str, Any]
    tensors: dict[str, Tensor]

    def restore(self, session: VideoSession) -> None:
        """Put the saved objects into a new session. Raises SessionError if its clip is another one."""
        with _damaged(self.path):
            snapshot = Snapshot(self.state["objects"], self.tensors)
            snapshot.tracks()  # whole, or damaged
            progress = self.state["progress"] and Progress(**self.state["progress"])
            clip = SavedClip(**self.state["clip"])
        clip.check(self.path, session)
        session.restore(snapshot)
        session.progress = progress


@dataclass(frozen=True)
class SavedClip:
    """What is noted of a clip to know it again."""

    name: str
    length: int | None
    frame_hw: Sequence[int]
    thumbnails: dict[str, str]  # frame -> hexadecimal thumbnail: the first frame and the last one tracked

    def check(self, path: Path, session: VideoSession) -> None:
        """Raise SessionError, naming the session file, if the session's clip is not this one."""
        if self.length is not None and session.length is not None and self.length != session.length:
            raise SessionError(
                f"{str(path)!r} was saved on a clip of {self.length} frames, this one has "
                f"{session.length}; pass the same clip"
            )
        (height, width), (h, w) = self.frame_hw, session.frame_hw
        if (height, width) != (h, w):
            raise SessionError(
                f"{str(path)!r} was saved on frames of {width} x {height} pixels, these are {w} x {h}; "
                "pass the same clip"
            )
        for frame, noted in self.thumbnails.items():
            now = np.frombuffer(thumbnail(session.source.frame(int(frame))), np.uint8)
            then = np.frombuffer(bytes.fromhex(noted), np.uint8)
            if np.abs(now.astype(int) - then).max() >= SAME_PICTURE:
                raise SessionError(
                    f"{str(path)!r} was saved on a clip with another picture at {spelled(int(frame))}; "
                    "pass the clip as it was then, or start over"
                )


def _noted(session: VideoSession) -> SavedClip:
    source = session.source
    thumbnails = {0: source.first_thumbnail}
    if session.progress is not None:
        last = session.progress.next_frame + (1 if session.progress.reverse else -1)
        with suppress(VideoError):  # a stream's frame may be gone
            thumbnails[last] = thumbnail(source.frame(last))
    return SavedClip(
        source.name,
        source.length,
        source.frame_hw,
        {str(frame): picture.hex() for frame, picture in thumbnails.items()},
    )


def check_can_be_written(path: str | os.PathLike[str]) -> None:
    """Raise SessionError if no file can be written to ``path``."""
    path = Path(path)
    with _unwritable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass


def write_session(path: str | os.PathLike[str], session: VideoSession) -> None:
    """Write ``session`` to ``path``, whole or not at all."""
    path = Path(path)
    snapshot = session.snapshot()
    tensors = {name: _plain(value) for name, value in snapshot.tensors.items()}
    state = {
        "clip": asdict(_noted(session)),
        "progress": None if session.progress is None else asdict(session.progress),
        "objects": snapshot.objects,
    }
    header = {
        "format": FORMAT,
        "model": session._model.spec.name,
        "weights_sha256": _fingerprint(session._model),
        "options": json.dumps(asdict(session.options)),
        "state": json.dumps(state),
        "crc32": str(_checksum(tensors)),
    }
    with _unwritable(path), landing(path) as temporary:
        save_file(tensors, temporary, header)


def read_session(path: str | os.PathLike[str], model: Sam2) -> SavedSession:
    """The session that :func:`write_session` wrote, on the model's device.

    Raises SessionError when the file is damaged or not one of ours, or was made with other weights.
    """
    path = Path(path)
    if not path.is_file():
        raise SessionError(f"there is no saved session at {str(path)!r}")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise SessionError(f"{str(path)!r} is not a saved session: {error}") from error
    if header.get("format") != FORMAT:
        raise SessionError(
            f"{str(path)!r} is not a saved session (its format is {header.get('format')!r}, not {FORMAT!r}); "
            "write one with VideoSession.save"
        )
    with _damaged(path):
        _check_weights(path, header, model)
        if int(header["crc32"]) != _checksum(tensors):
            raise ValueError("its checksum is another")
        options = TrackerOptions(**json.loads(header["options"]))
        state = json.loads(header["state"])
    return SavedSession(
        path, options, state, {name: value.to(model.device) for name, value in tensors.items()}
    )


def _plain(value: Tensor) -> Tensor:
    """As it is written: on the CPU, in one piece, bools as bytes."""
    value = value.cpu().contiguous()
    return value.to(torch.uint8) if value.dtype == torch.bool else value


def _check_weights(path: Path, header: dict[str, str], model: Sam2) -> None:
    theirs, ours = header["weights_sha256"], _fingerprint(model)
    if theirs != ours:
        raise SessionError(
            f"{str(path)!r} was made by {header['model']!r} with weights {theirs[:12]}, this model is "
            f"{model.spec.name!r} with weights {ours[:12]}; load that model in the same number type"
        )


def _fingerprint(model: Sam2) -> str:
    """The fingerprint of the weights, computed once per model: it reads all of them."""
    known = model.__dict__.get("_everymask_fingerprint")
    if known is None:
        known = model.__dict__["_everymask_fingerprint"] = fingerprint(model)
    return known


def _checksum(tensors: dict[str, Tensor]) -> int:
    """CRC-32 of all values: a damaged file must not go on to other masks without a word."""
    crc = 0
    for name, value in sorted(tensors.items()):
        crc = zlib.crc32(value.flatten().view(torch.uint8).numpy().data, zlib.crc32(name.encode(), crc))
    return crc


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """What goes wrong with the contents of a file of ours, as a SessionError that names it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OptionError) as error:
        raise SessionError(
            f"{str(path)!r} is damaged ({type(error).__name__}: {error}); use an earlier copy, or track anew"
        ) from error


@contextmanager
def _unwritable(path: Path) -> Iterator[None]:
    """What the disk says, as a SessionError that names the file."""
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SessionError(
            f"the session cannot be saved to {str(path)!r}: {reason}; name another file, or "
            "make room. Nothing is lost: the session goes on"
        ) from error
