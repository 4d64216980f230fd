"""Photos that were encoded before: their features kept in memory, then in files, within a limit.

A photo is known by its pixels, a model by its weights and number type (:func:`fingerprint`): what is found
is what encoding would give again, bit for bit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from everymask import __version__
from everymask.errors import SessionError
from everymask.models.base import PromptableModel
from everymask.models.features import EncodedPhoto, fingerprint, read_features, write_features
from everymask.models.kept_files import disk_limit, folder, key_from, mark_used, trim

MEMORY_LIMIT = 256 * 10**6


class FeatureCache:
    """Features by photo and model, the ones used longest ago dropped first.

    ``folder`` None keeps them in memory alone.
    """

    def __init__(self, folder: Path | None, disk_limit: int, memory_limit: int = MEMORY_LIMIT) -> None:
        self._folder = folder if disk_limit > 0 else None
        self._disk_limit, self._memory_limit = disk_limit, memory_limit
        self._kept: OrderedDict[str, EncodedPhoto] = OrderedDict()

    def get(
        self, model: PromptableModel, photo: np.ndarray, encode: Callable[[np.ndarray], EncodedPhoto]
    ) -> EncodedPhoto:
        """The features of an RGB photo [H, W, 3], from the cache, or by ``encode`` and into it."""
        key = key_of(model, photo)
        known = self._kept.get(key) or self._read(key, model)
        if known is None:
            known = encode(photo)
            self._write(key, model, known)
        self._remember(key, known)
        return known

    def _remember(self, key: str, photo: EncodedPhoto) -> None:
        self._kept[key] = photo
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(map(_size, self._kept.values())) > self._memory_limit:
            self._kept.popitem(last=False)

    def _path(self, key: str) -> Path | None:
        return None if self._folder is None else self._folder / f"{key}.safetensors"

    def _read(self, key: str, model: PromptableModel) -> EncodedPhoto | None:
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        try:
            (photo,) = read_features(path, model)
            mark_used(path)
        except (SessionError, OSError, ValueError):
            return None  # damaged, or taken away meanwhile: encoding makes it anew
        return photo

    def _write(self, key: str, model: PromptableModel, photo: EncodedPhoto) -> None:
        path = self._path(key)
        if path is None or _size(photo) > self._disk_limit:
            return
        try:
            write_features(path, model, (photo,))
            mark_used(path)
            trim(path.parent, self._disk_limit)
        except OSError:
            return  # a full or read-only disk costs time, not the answer


def default_cache() -> FeatureCache:
    """The cache in the user's cache folder, beside the weights."""
    return FeatureCache(folder(), disk_limit())


def key_of(model: PromptableModel, photo: np.ndarray) -> str:
    """What photo and model are known by."""
    return key_from(made_by(model), photo)


def made_by(model: PromptableModel) -> str:
    """What makes features: weights, kind of device, and the versions, whose last bits may differ."""
    return f"{fingerprint(model)} {model.device.type} {__version__} {torch.__version__}"


def _size(photo: EncodedPhoto) -> int:
    features = photo.features
    tensors = (features.embedding, *features.high_res, *features.early)
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
