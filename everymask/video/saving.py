"""Sessions in files: tensors as safetensors, everything else as JSON in the file's header."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from everymask.errors import SessionError
from everymask.formats.landing import landing
from everymask.models.features import fingerprint
from everymask.models.memory import Seen
from everymask.models.sam2 import Sam2
from everymask.video.options import TrackerOptions
from everymask.video.track import Known, PointPrompt, Track

if TYPE_CHECKING:
    from everymask.video.session import VideoSession

FORMAT = "everymask video session 1"
_BANKS = ("conditioning", "recent", "new_conditioning", "new_recent")


@dataclass(frozen=True)
class SavedSession:
    """What a session file says, to be put into a session on the same clip."""

    path: Path
    options: TrackerOptions
    state: dict[str, Any]
    tensors: dict[str, Tensor]

    def restore(self, session: VideoSession) -> None:
        """Put the saved objects into a new session."""
        from everymask.video.session import Progress

        clip = self.state["clip"]
        if clip["length"] is not None and session.length is not None and clip["length"] != session.length:
            raise SessionError(
                f"{str(self.path)!r} was saved on a clip of {clip['length']} frames, this one has "
                f"{session.length}; pass the same clip"
            )
        if tuple(clip["frame_hw"]) != session.frame_hw:
            theirs, ours = clip["frame_hw"], session.frame_hw
            raise SessionError(
                f"{str(self.path)!r} was saved on frames of {theirs[1]} x {theirs[0]} pixels, these are "
                f"{ours[1]} x {ours[0]}; pass the same clip"
            )
        session._tracks = {entry["object_id"]: self._track(entry) for entry in self.state["objects"]}
        progress = self.state["progress"]
        session.progress = None if progress is None else Progress(**progress)

    def _track(self, entry: dict[str, Any]) -> Track:
        object_id = entry["object_id"]
        track = Track(object_id)
        for frame in entry["points"]:
            name = f"{object_id}.points.{frame}"
            track.points[frame] = PointPrompt(self.tensors[f"{name}.points"], self.tensors[f"{name}.labels"])
        for frame in entry["masks"]:
            track.masks[frame] = self.tensors[f"{object_id}.masks.{frame}"].bool()
        for bank in _BANKS:
            for frame in entry[bank]:
                getattr(track, bank)[frame] = self._known(f"{object_id}.{bank}.{frame}")
        track.tracked = dict(entry["tracked"])
        return track

    def _known(self, name: str) -> Known:
        seen = Seen(*(self.tensors[f"{name}.{part}"] for part in _SEEN))
        return Known(seen, self.tensors.get(f"{name}.memory"))


_SEEN = ("mask_logits", "iou", "object_logit", "pointer")


def write_session(path: str | os.PathLike[str], session: VideoSession) -> None:
    """Write ``session`` to ``path``, whole or not at all."""
    tensors: dict[str, Tensor] = {}
    objects = [_described(track, tensors) for track in session._tracks.values()]
    state = {
        "clip": {"length": session.length, "frame_hw": session.frame_hw, "name": session.source.name},
        "progress": None if session.progress is None else asdict(session.progress),
        "objects": objects,
    }
    header = {
        "format": FORMAT,
        "model": session._model.spec.name,
        "weights_sha256": _fingerprint(session._model),
        "options": json.dumps(asdict(session.options)),
        "state": json.dumps(state),
    }
    with landing(Path(path)) as temporary:
        save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, temporary, header)


def read_session(path: str | os.PathLike[str], model: Sam2) -> SavedSession:
    """The session that :func:`write_session` wrote, on the model's device.

    Raises SessionError when the file is not one of ours or was made with other weights.
    """
    path = Path(path)
    if not path.is_file():
        raise SessionError(f"there is no saved session at {str(path)!r}")
    try:
        with safe_open(path, framework="pt", device=str(model.device)) as file:
            header = file.metadata() or {}
            _check_origin(path, header, model)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise SessionError(f"{str(path)!r} is not a saved session: {error}") from error
    options = TrackerOptions(**json.loads(header["options"]))
    return SavedSession(path, options, json.loads(header["state"]), tensors)


def _described(track: Track, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The track as JSON; its tensors are put into ``tensors`` under names made of object, place and frame."""
    name = str(track.object_id)
    for frame, prompt in track.points.items():
        tensors[f"{name}.points.{frame}.points"] = prompt.points
        tensors[f"{name}.points.{frame}.labels"] = prompt.labels
    for frame, mask in track.masks.items():
        tensors[f"{name}.masks.{frame}"] = mask.to(torch.uint8)
    for bank in _BANKS:
        for frame, known in getattr(track, bank).items():
            for part in _SEEN:
                tensors[f"{name}.{bank}.{frame}.{part}"] = getattr(known.seen, part)
            if known.memory is not None:
                tensors[f"{name}.{bank}.{frame}.memory"] = known.memory
    return {
        "object_id": track.object_id,
        "points": list(track.points),
        "masks": list(track.masks),
        **{bank: list(getattr(track, bank)) for bank in _BANKS},
        "tracked": list(track.tracked.items()),
    }


def _check_origin(path: Path, header: dict[str, str], model: Sam2) -> None:
    if header.get("format") != FORMAT:
        raise SessionError(
            f"{str(path)!r} is not a saved session (its format is {header.get('format')!r}); "
            "write one with VideoSession.save"
        )
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
