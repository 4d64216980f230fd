"""What a click needs of a model and a photo, in files that NumPy reads: a second ``predict`` needs no torch.

The photo's features are those that :mod:`everymask.models.feature_cache` keeps. Beside them lie prompt
encoder and mask decoder of each model that was loaded; they hold as long as its weights file is what it was.
Only what answers with the same arithmetic is kept: models of the table in float32 on a CPU.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from everymask import __version__
from everymask.models.catalog import find
from everymask.models.kept_files import disk_limit, folder, key_from, write_whole
from everymask.models.places import path_of
from everymask.nn.numpy_decoder import Features, Layout, Weights

if TYPE_CHECKING:
    from everymask.models.base import PromptableModel

FORMAT = "everymask mask decoder 1"


@dataclass(frozen=True)
class KeptDecoder:
    """A prompt encoder and a mask decoder."""

    weights: Weights
    layout: Layout
    made_by: str
    """Model, device and versions, as they are part of the key of a photo's features."""


def keep_decoder(source: str, model: PromptableModel) -> None:
    """Keep what answers prompts of a model that was loaded as ``source``, if NumPy can take its place."""
    from everymask.models.feature_cache import made_by

    path = _place_of(source)
    if path is None or disk_limit() == 0 or not _can_be_kept(model):
        return
    parts = {"prompts": model.prompts, "decoder": model.decoder}
    tensors = {
        f"{name}.{key}": value.numpy()
        for name, part in parts.items()
        for key, value in part.state_dict().items()
    }
    about = {"made_by": made_by(model), "layout": asdict(_layout_of(model)), "origin": _origin(source)}
    try:
        write_whole(path, save(tensors, {"format": FORMAT, "about": json.dumps(about)}))
    except OSError:
        return  # a full or read-only disk costs time, not the answer


def find_decoder(source: str) -> KeptDecoder | None:
    """What :func:`keep_decoder` kept of the model called ``source``, if its weights are still the same."""
    path = _place_of(source)
    if path is None or disk_limit() == 0 or not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            about = json.loads(metadata["about"])
            if metadata.get("format") != FORMAT or about["origin"] != _origin(source):
                return None
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        os.utime(path)  # used just now: the last to go
        layout = about["layout"]
        if layout["fallback"] is not None:
            layout["fallback"] = tuple(layout["fallback"])
        return KeptDecoder(weights, Layout(**layout), about["made_by"])
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return None  # damaged, or of another version: torch answers, and it is kept anew


def find_features(decoder: KeptDecoder, photo: np.ndarray) -> Features | None:
    """The features of an RGB photo [H, W, 3] that an earlier run kept for this model."""
    path = folder() / f"{key_from(decoder.made_by, photo)}.safetensors"
    try:
        with safe_open(path, framework="np") as file:
            names = ("embedding", *(("high_res.0", "high_res.1") if decoder.layout.high_res else ()))
            maps = [file.get_tensor(f"0.{name}")[0] for name in names]
        os.utime(path)  # used just now: the last to go
    except (SafetensorError, OSError):
        return None
    return Features(*maps)


def _can_be_kept(model: PromptableModel) -> bool:
    import torch

    from everymask.models.sam import Sam
    from everymask.models.sam2 import Sam2

    plain = type(model) in (Sam, Sam2) and not model.spec.decoder.is_hq
    return plain and model.device.type == "cpu" and model.dtype == torch.float32


def _layout_of(model: PromptableModel) -> Layout:
    spec, decoder = model.spec, model.spec.decoder
    fallback = None if spec.fallback is None else (spec.fallback.offset, spec.fallback.threshold)
    return Layout(
        spec.family,
        spec.image_size,
        decoder.heads,
        decoder.iou_sigmoid,
        decoder.high_res,
        decoder.object_score,
        fallback,
    )


def _place_of(source: str) -> Path | None:
    """The file for the model that ``source`` means; None where nobody knows its weights file beforehand."""
    weights = _weights_of(source)
    if weights is None:
        return None
    return folder() / f"decoder-{hashlib.sha256(str(weights).encode()).hexdigest()[:40]}.safetensors"


def _weights_of(source: str) -> Path | None:
    if Path(source).is_file():
        return Path(source).absolute()
    entry = find(source)
    return None if entry is None else path_of(entry.name)


def _origin(source: str) -> dict[str, Any]:
    """What must be as it was when a decoder was kept."""
    weights = _weights_of(source)
    assert weights is not None
    status = weights.stat()
    return {"version": __version__, "weights": str(weights), "stamp": [status.st_size, status.st_mtime_ns]}
