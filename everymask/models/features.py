"""Image features in a safetensors file, so that a photo is encoded once and prompted for ever.

The file carries the fingerprint of the weights that made the features and the size of each photo:
features put into another model would give masks without a word, only wrong ones.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from everymask.errors import SessionError
from everymask.models.base import PromptableModel
from everymask.models.kept_files import write_whole
from everymask.nn.records import ImageFeatures

FORMAT = "everymask image features 1"


@dataclass(frozen=True)
class EncodedPhoto:
    """The features of one photo (B = 1) and the size its masks will have."""

    photo_hw: tuple[int, int]
    features: ImageFeatures
    valid: np.ndarray | None = None
    """Where the photo has data, bool [H, W]; None: everywhere."""


def fingerprint(model: PromptableModel) -> str:
    """SHA-256 over names, types, shapes and values of all weights, and the picture size."""
    digest = hashlib.sha256(f"{model.spec.family} {model.spec.image_size}".encode())
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def write_features(
    path: str | os.PathLike[str], model: PromptableModel, photos: tuple[EncodedPhoto, ...]
) -> None:
    """Write the features of ``photos`` to ``path``, whole or not at all."""
    tensors = {
        f"{index}.{name}": tensor.detach().cpu().contiguous()
        for index, photo in enumerate(photos)
        for name, tensor in _named(photo.features).items()
    }
    for index, photo in enumerate(photos):
        if photo.valid is not None:
            tensors[f"{index}.valid"] = torch.from_numpy(np.packbits(photo.valid))
    metadata = {
        "format": FORMAT,
        "model": model.spec.name,
        "weights_sha256": fingerprint(model),
        "photo_hw": json.dumps([photo.photo_hw for photo in photos]),
    }
    write_whole(Path(path), save(tensors, metadata))


def read_features(path: str | os.PathLike[str], model: PromptableModel) -> tuple[EncodedPhoto, ...]:
    """The features that :func:`write_features` wrote, on the model's device.

    Raises SessionError when the file is not one of ours or was made with other weights.
    """
    path = Path(path)
    if not path.is_file():
        raise SessionError(f"there is no features file at {str(path)!r}")
    try:
        with safe_open(path, framework="pt", device=str(model.device)) as file:
            metadata = file.metadata() or {}
            _check_origin(path, metadata, model)
            sizes = json.loads(metadata["photo_hw"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise SessionError(f"{str(path)!r} is not a features file: {error}") from error
    return tuple(
        EncodedPhoto(
            (int(height), int(width)),
            _from_named(tensors, index),
            _unpacked(tensors.get(f"{index}.valid"), int(height), int(width)),
        )
        for index, (height, width) in enumerate(sizes)
    )


def _unpacked(bits: Tensor | None, height: int, width: int) -> np.ndarray | None:
    """Bits of :func:`numpy.packbits` as bool [H, W]."""
    if bits is None:
        return None
    return np.unpackbits(bits.cpu().numpy(), count=height * width).reshape(height, width).astype(bool)


def _check_origin(path: Path, metadata: dict[str, str], model: PromptableModel) -> None:
    if metadata.get("format") != FORMAT:
        raise SessionError(
            f"{str(path)!r} is not a features file (its format is {metadata.get('format')!r}); "
            "write one with ImagePredictor.save_features"
        )
    theirs, ours = metadata["weights_sha256"], fingerprint(model)
    if theirs != ours:
        raise SessionError(
            f"{str(path)!r} was made by {metadata['model']!r} with weights {theirs[:12]}, "
            f"this model is {model.spec.name!r} with weights {ours[:12]}; "
            "load that model in the same number type, or encode the photo again"
        )


def _named(features: ImageFeatures) -> dict[str, Tensor]:
    lists = {"high_res": features.high_res, "early": features.early}
    numbered = {f"{name}.{i}": tensor for name, group in lists.items() for i, tensor in enumerate(group)}
    return {"embedding": features.embedding, **numbered}


def _from_named(tensors: dict[str, Tensor], index: int) -> ImageFeatures:
    def group(name: str) -> tuple[Tensor, ...]:
        count = sum(key.startswith(f"{index}.{name}.") for key in tensors)
        return tuple(tensors[f"{index}.{name}.{i}"] for i in range(count))

    return ImageFeatures(tensors[f"{index}.embedding"], group("high_res"), group("early"))
