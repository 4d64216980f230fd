"""What a session knows of its objects at one moment, as JSON and tensors: to come back to, or to keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from everymask.models.memory import Seen
from everymask.video.track import Known, PointPrompt, Track

_BANKS = ("conditioning", "recent", "new_conditioning", "new_recent")
_SEEN = ("mask_logits", "iou", "object_logit", "pointer")


@dataclass(frozen=True)
class Snapshot:
    """Objects as JSON, and their tensors by names made of object, place and frame.

    The tensors are the session's own, which never changes one: two snapshots share what is the same.
    """

    objects: Sequence[Mapping[str, Any]]
    tensors: Mapping[str, Tensor]

    @classmethod
    def of(cls, tracks: Iterable[Track]) -> Snapshot:
        """The snapshot of some tracks, in their order."""
        tensors: dict[str, Tensor] = {}
        return cls([_described(track, tensors) for track in tracks], tensors)

    def beside(self, wider: Snapshot) -> Snapshot:
        """This one, with the objects that only ``wider`` has from there, in its order."""
        ours = {each["object_id"]: each for each in self.objects}
        objects = [ours.pop(each["object_id"], each) for each in wider.objects]
        others = {
            name: tensor
            for name, tensor in wider.tensors.items()
            if int(name.partition(".")[0]) not in {each["object_id"] for each in self.objects}
        }
        return Snapshot([*objects, *ours.values()], {**others, **self.tensors})

    def tracks(self) -> dict[int, Track]:
        """The tracks by object. Raises KeyError where a tensor is missing."""
        return {entry["object_id"]: self._track(entry) for entry in self.objects}

    def _track(self, entry: Mapping[str, Any]) -> Track:
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


def _described(track: Track, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The track as JSON; its tensors are put into ``tensors``."""
    name = str(track.object_id)
    for frame, prompt in track.points.items():
        tensors[f"{name}.points.{frame}.points"] = prompt.points
        tensors[f"{name}.points.{frame}.labels"] = prompt.labels
    for frame, mask in track.masks.items():
        tensors[f"{name}.masks.{frame}"] = mask
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
        "tracked": [list(pair) for pair in track.tracked.items()],
    }
