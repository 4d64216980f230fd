"""Findings in a file: a safetensors file that is written and read in bounded memory.

The header names the model, the photo and the options. Logits are written part by part, and mapped into
memory when they are read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from everymask.errors import SessionError
from everymask.everything.candidate_pool import CandidatePool, Columns, LogitStore
from everymask.everything.options import GeneratorOptions
from everymask.formats.landing import landing
from everymask.masks import rle
from everymask.models.features import fingerprint

if TYPE_CHECKING:
    from everymask.models.base import PromptableModel

FORMAT = "everymask findings 3"
BEFORE = "everymask findings 2"  # had no floors: they are made of the logits
_LOGITS = "logits"
_TYPES = {"int64": "I64", "float32": "F32", "float64": "F64"}


@dataclass(frozen=True)
class Origin:
    """Which model and which photo findings are of."""

    model: str
    family: str
    image_size: int
    mask_threshold: float  # the model's own
    photo_hw: tuple[int, int]
    photo_sha256: str
    weights_sha256: str = ""  # "": not asked for yet; hashing large weights takes seconds
    valid_counts: str | None = None  # where the photo has data, as COCO's string; None: everywhere

    @property
    def valid(self) -> np.ndarray | None:
        """Where the photo has data, bool [H, W]; None: everywhere."""
        if self.valid_counts is None:
            return None
        return rle.decode(rle.from_coco({"size": list(self.photo_hw), "counts": self.valid_counts}))

    @classmethod
    def of(cls, model: PromptableModel, photo: np.ndarray, valid: np.ndarray | None = None) -> Origin:
        """The origin of findings of this photo by this model."""
        spec = model.spec
        height, width = photo.shape[:2]
        return cls(
            spec.name,
            spec.family,
            spec.image_size,
            model.mask_threshold,
            (height, width),
            photo_hash(photo),
            valid_counts=None if valid is None else rle.to_coco(rle.encode(valid))["counts"],
        )

    def check_model(self, model: PromptableModel, path: str | Path) -> None:
        """Raise :class:`SessionError` if these findings were made with other weights."""
        ours = fingerprint(model)
        if self.weights_sha256 != ours:
            raise SessionError(
                f"{str(path)!r} was found by {self.model!r} with weights {self.weights_sha256[:12]}, this "
                f"model is {model.spec.name!r} with weights {ours[:12]}; load that model in the same number "
                "type, or explore the photo again"
            )

    def check_photo(self, photo: np.ndarray, path: str | Path) -> None:
        """Raise :class:`SessionError` if these findings are of another photo."""
        if photo.shape[:2] != self.photo_hw:
            (height, width), (their_height, their_width) = photo.shape[:2], self.photo_hw
            raise SessionError(
                f"{str(path)!r} is about a photo of {their_width} x {their_height} pixels, this one has "
                f"{width} x {height}; explore this photo, or load that one"
            )
        if photo_hash(photo) != self.photo_sha256:
            raise SessionError(
                f"{str(path)!r} is about another photo of the same size: its pixels differ; "
                "explore this photo, or load that one (read in the same way)"
            )


def photo_hash(photo: np.ndarray) -> str:
    """SHA-256 of the pixels of a photo, uint8 [H, W, 3]."""
    return hashlib.sha256(np.ascontiguousarray(photo).data).hexdigest()


def write(
    path: Path,
    origin: Origin,
    options: GeneratorOptions,
    pool: CandidatePool,
    model: PromptableModel | None,
) -> Path:
    """Write findings to ``path``, whole or not at all."""
    if not origin.weights_sha256 and model is not None:
        origin = replace(origin, weights_sha256=fingerprint(model))
    columns = pool.columns
    small = {each.name: np.ascontiguousarray(getattr(columns, each.name)) for each in fields(Columns)}
    metadata = {
        "format": FORMAT,
        "origin": json.dumps(asdict(origin)),
        "options": json.dumps(_plain(options)),
        "logits_hw": json.dumps(pool.logits_hw),
        "lowest": repr(float(pool.lowest)),
    }
    with landing(path) as temporary, temporary.open("wb") as file:
        for piece in _pieces(metadata, small, pool.store):
            file.write(piece)
    return path


def read(path: Path, bytes_kept: int) -> tuple[Origin, GeneratorOptions, CandidatePool]:
    """What :func:`write` wrote. Raises :class:`SessionError` where the file is no such file."""
    if not path.is_file():
        raise SessionError(f"there is no findings file at {str(path)!r}")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") not in (FORMAT, BEFORE):
                raise SessionError(
                    f"{str(path)!r} is not a findings file (its format is {metadata.get('format')!r}); "
                    "write one with Findings.save"
                )
            known = {each.name for each in fields(Columns)} & set(file.keys())
            if metadata["format"] == FORMAT and len(known) < len(fields(Columns)):
                raise ValueError("columns are missing")
            columns = replace(Columns.empty(), **{name: file.get_tensor(name) for name in known})
        origin = Origin(**json.loads(metadata["origin"]))
        origin = replace(origin, photo_hw=(origin.photo_hw[0], origin.photo_hw[1]))
        options = _options(json.loads(metadata["options"]))
        height, width = json.loads(metadata["logits_hw"])
        store = LogitStore.of(_mapped(path), bytes_kept)
        pool = CandidatePool((height, width), float(metadata["lowest"]), store, [columns])
        _check(columns, pool)
        if metadata["format"] == BEFORE:
            pool.find_floors()
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise SessionError(f"{str(path)!r} is not a findings file, or is damaged: {error}") from error
    return origin, options, pool


def _check(columns: Columns, pool: CandidatePool) -> None:
    """Raise ValueError where candidates point beyond their logits."""
    y, x, height, width = columns.yxhw.T
    ends = columns.start + height * width
    inside = (y >= 0) & (x >= 0) & (y + height <= pool.logits_hw[0]) & (x + width <= pool.logits_hw[1])
    if not (inside.all() and (columns.start >= 0).all() and (ends <= len(pool.store)).all()):
        raise ValueError("candidates without their logits")


def _pieces(
    metadata: dict[str, str], tensors: dict[str, np.ndarray], store: LogitStore
) -> Iterator[bytes | memoryview]:
    """The file's bytes: eight that give the header's length, the header, the tensors."""
    header: dict[str, Any] = {"__metadata__": metadata}
    sizes = [(name, x.dtype.name, list(x.shape), x.nbytes) for name, x in tensors.items()]
    place = 0
    for name, dtype, shape, size in [*sizes, (_LOGITS, "float32", [len(store)], 4 * len(store))]:
        header[name] = {"dtype": _TYPES[dtype], "shape": shape, "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little")
    yield text
    for tensor in tensors.values():
        yield tensor.tobytes()
    for part in store.parts():
        yield np.ascontiguousarray(part).data


def _mapped(path: Path) -> np.ndarray:
    """The logits of a findings file, float32 [n]."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        start, stop = json.loads(file.read(length))[_LOGITS]["data_offsets"]
    count = (stop - start) // 4
    return np.memmap(path, "<f4", "r", 8 + length + start, (count,)) if count else np.zeros(0, np.float32)


def _plain(options: GeneratorOptions) -> dict[str, Any]:
    """Options as JSON values."""
    values = {each.name: getattr(options, each.name) for each in fields(options)}
    if options.point_grids is not None:
        values["point_grids"] = [np.asarray(grid, np.float64).tolist() for grid in options.point_grids]
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}


def _options(values: dict[str, Any]) -> GeneratorOptions:
    if values["point_grids"] is not None:
        values["point_grids"] = [np.array(grid, np.float64).reshape(-1, 2) for grid in values["point_grids"]]
    return GeneratorOptions(**values)
