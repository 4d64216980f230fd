"""Weights in and out: reading files safely, recognising what they are for, official key names.

A file is read with ``torch.load(weights_only=True)`` or as safetensors; one that carries code is
refused. What training scripts put around the weights goes in ``state_dict.py``, the names that
``transformers`` gives them in ``transformers_layout.py``. Models keep the key names of the official
checkpoints.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from everymask.errors import (
    CheckpointError,
    KeyMismatchError,
    OptionError,
    SameTensorsWarning,
    UnknownModelError,
    UnsafeCheckpointError,
    first_few,
)
from everymask.models.safe_pickle import plain_values_allowed
from everymask.models.shards import INDEX, shards_of
from everymask.models.specs import FORMER_NANO, MODELS, ModelSpec
from everymask.models.state_dict import State, find_state
from everymask.models.transformers_layout import (
    from_transformers,
    in_transformers_layout,
    to_transformers_names,
)
from everymask.nn.encoders.convnet import ConvSpec
from everymask.nn.encoders.hiera import HieraSpec
from everymask.nn.encoders.plain_vit import PlainViTSpec
from everymask.nn.encoders.repvit import RepViTSpec
from everymask.nn.encoders.tiny_vit import TinyViTSpec
from everymask.nn.encoders.vit import ViTSpec
from everymask.quiet import ignoring

# --- reading --------------------------------------------------------------------------------------


def read_weights(path: str | Path) -> State:
    """The tensors of a ``.pt``, ``.pth`` or ``.safetensors`` file, by official names; content tells the kind.

    A file in shards is read by its index (``model.safetensors.index.json``), a folder that ``transformers``
    wrote by what is in it. Wrapping dictionaries, prefixes and the layout of ``transformers`` are undone. No
    tensor is a view of the file, which may go or be written again. Raises CheckpointError, or
    UnsafeCheckpointError for a file that would run code when read.
    """
    path = Path(path)
    state = find_state(_content(path), path.name)
    return from_transformers(state) if in_transformers_layout(state) else state


def _content(path: Path) -> Any:
    if path.is_dir():
        path = next((path / name for name in IN_A_FOLDER if (path / name).is_file()), path)
    if path.name.endswith(INDEX):
        return _read_shards(path)
    start = _first_bytes(path)
    if _is_safetensors(start):
        return _read_safetensors(path)
    if start.startswith((b"PK\x03\x04", b"\x80")):
        return _read_torch(path, zipped=start.startswith(b"PK"))
    raise CheckpointError(f"{path.name} is not a weights file: {_guess(start)}")


IN_A_FOLDER = ("model.safetensors", "model.safetensors" + INDEX)
"""What a folder that stands for its weights has one of."""


def _read_shards(index: Path) -> State:
    """The tensors of all files that an index names; they lie beside it."""
    places = shards_of(index)
    state: State = {}
    for name in sorted(set(places.values())):
        content = _content(index.with_name(name))
        if not isinstance(content, Mapping):
            raise CheckpointError(f"{name}, which {index.name} names, holds no dictionary of tensors")
        state |= {key: value for key, value in content.items() if places.get(key) == name}
    if missing := sorted(places.keys() - state.keys()):
        raise CheckpointError(
            f"{index.name} names tensors that its files do not hold ({first_few(missing)}); "
            "download them again"
        )
    return state


def _first_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise CheckpointError(f"expected a weights file, got the folder {path}; name the file in it")
    try:
        with path.open("rb") as file:
            return file.read(64)
    except FileNotFoundError:
        raise CheckpointError(f"there is no weights file at {path}; check the path") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error


def _is_safetensors(start: bytes) -> bool:
    """Eight bytes of header length, then a JSON object."""
    return len(start) > 8 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 100_000_000


def _guess(start: bytes) -> str:
    if not start:
        return "it is empty; download it again"
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer; run 'git lfs pull', or download the file itself"
    if start.lstrip()[:1] == b"<":
        return "it is a web page; the download was answered with an error page, download it again"
    return "expected a torch zip file, a pickle or safetensors; it may be another kind of file, or damaged"


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return {key: value.clone() for key, value in load_file(path).items()}
    except SafetensorError as error:
        raise CheckpointError(f"{path.name} is damaged ({error}); download it again") from error


def _read_torch(path: Path, *, zipped: bool) -> Any:
    damaged = CheckpointError(f"{path.name} is damaged or cut short; download it again")
    try:
        if zipped and _is_torchscript(path):
            raise _refusal(path, "a TorchScript archive")
        # UserWarnings are on pickle protocols; what matters is raised.
        with path.open("rb") as file, ignoring(UserWarning), plain_values_allowed():
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise (_refusal(path, what) if (what := _code_in(str(error))) else damaged) from error
    except (*_DAMAGED, zipfile.BadZipFile) as error:
        raise damaged from error


_DAMAGED = (RuntimeError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError)
"""What torch raises on files that begin like weights and do not go on so."""


def _code_in(message: str) -> str | None:
    """What torch's safe reader says that a pickle wanted to call, or None if it says something else."""
    if wanted := re.search(r"GLOBAL (\S+)", message):
        return wanted[1]
    is_other = any(each in message for each in ("Unsupported operand", "Can only", "Trying to"))
    return "a pickle that torch's safe reader does not understand" if is_other else None


def _is_torchscript(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _refusal(path: Path, what: str) -> UnsafeCheckpointError:
    return UnsafeCheckpointError(
        f"{path.name} carries code ({what}) and was not opened; "
        "get a file of plain tensors from its authors, or save its state_dict where you trust it"
    )


# --- recognising ----------------------------------------------------------------------------------


def recognise(state: Mapping[str, Tensor], file: str | Path = "") -> ModelSpec:
    """The spec of the table that these weights (under official key names) belong to.

    Where several models have the same tensors, as EfficientTAM's variants do, the name of the ``file``
    decides; without one that says it, the first of them is meant and a SameTensorsWarning says so.

    Raises UnknownModelError. A spec of your own is not in the table: pass it to
    :func:`everymask.models.load.build` together with the weights.
    """
    found = _signature_of_state(state)
    # transformers' Sam2Model has no memory, so it does not say whether it is of SAM 2 or 2.1.
    photos_only = found[0] == "sam2" and not any(key.startswith("memory_attention.") for key in state)
    until = -1 if photos_only else None
    fits = [
        spec for spec in (*MODELS.values(), FORMER_NANO) if _signature_of_spec(spec)[:until] == found[:until]
    ]
    if fits:
        spec = _called(fits, Path(file).stem, photos_only=photos_only)
        return replace(spec, memory=None) if photos_only else _of_its_size(spec, state)
    if adapters := _adapters(state):
        raise UnknownModelError(
            f"these {len(state)} tensors hold {len(adapters)} of adapters ({first_few(adapters)}), "
            f"which change a model and are none; {_MERGE}"
        )
    keys = first_few(sorted(state))
    raise UnknownModelError(
        f"no model of the table fits these {len(state)} tensors ({keys}); "
        f"expected weights of one of {', '.join(MODELS)}"
    )


def _called(fits: Sequence[ModelSpec], name: str, *, photos_only: bool) -> ModelSpec:
    """Which of the specs that fit is meant."""
    names = [spec.name for spec in fits]
    wanted = name.lower().replace("-", "_")
    if wanted in names:
        return fits[names.index(wanted)]
    if len(fits) > 1 and not photos_only:
        warnings.warn(
            f"the tensors of {', '.join(names)} are the same in kind; these are taken for {names[0]}. "
            "Give the file the published name, or build(MODELS[name], read_weights(file))",
            SameTensorsWarning,
            stacklevel=3,
        )
    return fits[0]


def _of_its_size(spec: ModelSpec, state: Mapping[str, Tensor]) -> ModelSpec:
    """The spec for the picture size that SAM's position table was trained with; 1024 px for its own files."""
    table = state.get("image_encoder.pos_embed")
    if not isinstance(spec.trunk, ViTSpec) or table is None or table.ndim != 4:
        return spec
    side = table.shape[1]
    if side == spec.trunk.grid:
        return spec
    return replace(spec, image_size=side * spec.trunk.patch_size, trunk=replace(spec.trunk, grid=side))


# Kind of trunk, a key that only this kind has (the first that fits counts), and a key of its first width.
_TRUNKS = (
    ("hiera", "pos_embed_window", "patch_embed.proj.weight"),
    ("vit", "patch_embed.proj.weight", "patch_embed.proj.weight"),
    ("tiny_vit", "patch_embed.seq.0.c.weight", "patch_embed.seq.0.c.weight"),
    ("repvit", "body.stem.conv1.c.weight", "body.stem.conv1.c.weight"),
    ("conv with pretrained", "pretrained.stem.conv.weight", "stem.0.0.weight"),
    ("conv", "stem.0.0.weight", "stem.0.0.weight"),
)


def _signature_of_state(state: Mapping[str, Tensor]) -> tuple[object, ...]:
    """Family, kind and sizes of the trunk, and whether the keys that HQ-SAM or SAM 2.1 added are there."""
    family = "sam2" if any(key.startswith("sam_mask_decoder.") for key in state) else "sam"
    prefix = "image_encoder.trunk." if family == "sam2" else "image_encoder."
    is_hq = any(key.endswith("mask_decoder.hf_token.weight") for key in state)
    is_new = "obj_ptr_tpos_proj.weight" in state
    for kind, mark, first in _TRUNKS:
        if prefix + mark in state and prefix + first in state:
            width, depth = state[prefix + first].shape[0], _count(state, prefix + "blocks")
            return family, kind, width, depth, is_hq, is_new
    return family, "unknown", 0, 0, is_hq, is_new


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbered members a list of modules has."""
    pattern = re.compile(re.escape(prefix) + r"\.(\d+)\.")
    return 1 + max((int(found[1]) for key in state if (found := pattern.match(key))), default=-1)


def _signature_of_spec(spec: ModelSpec) -> tuple[object, ...]:
    sizes: tuple[object, ...]
    match spec.trunk:
        case HieraSpec(embed_dim=width, stages=stages):
            sizes = ("hiera", width, sum(stages))
        case ViTSpec(embed_dim=width, depth=depth) | PlainViTSpec(embed_dim=width, depth=depth):
            sizes = ("vit", width, depth)
        case TinyViTSpec(embed_dims=widths):
            sizes = ("tiny_vit", widths[0] // 2, 0)
        case RepViTSpec(dims=widths):
            sizes = ("repvit", widths[0] // 2, 0)
        case ConvSpec(dims=widths, pretrained=pretrained):
            sizes = ("conv" if pretrained is None else "conv with pretrained", widths[0] // 2, 0)
    is_new = spec.memory is not None and spec.memory.pointer_times
    return spec.family, *sizes, spec.decoder.is_hq, is_new


_ADAPTER = re.compile(
    r"(?:^|\.)(?:lora_\w+|w_[ab]_\w+|w_[AB]s|linear_[ab]_[qkv]|\w*adapter\w*)(?:\.|$)", re.IGNORECASE
)
"""Parts of keys that peft, Sam_LoRA, SAMed and Medical SAM Adapter give to what they add."""

_MERGE = (
    "merge them where they were trained (peft: model.merge_and_unload()) and save the model's state_dict()"
)


def _adapters(keys: Iterable[str]) -> list[str]:
    """Those that belong to adapters (LoRA and others) around a model."""
    return sorted(key for key in keys if _ADAPTER.search(key))


# --- key names ------------------------------------------------------------------------------------

# TinyViT files written by older code carry this table, which follows from the size of a window.
_UNUSED = re.compile(r"\.attention_bias_idxs$")


def to_official(model: nn.Module) -> State:
    """The model's weights, as the official code loads them strictly: its keys are the official ones."""
    return dict(model.state_dict())


def to_transformers(model: nn.Module) -> State:
    """The model's weights under the names of ``transformers``.

    For ``SamModel`` (SAM), ``SamHQModel`` (HQ-SAM), ``Sam2VideoModel`` (SAM 2) and ``EdgeTamVideoModel``
    (EdgeTAM); ``Sam2Model`` and ``EdgeTamModel`` where the model has no memory.
    Raises OptionError for a model that ``transformers`` does not have, such as nano or MobileSAM.
    """
    refuse_without_transformers(getattr(model, "spec", None), _name_of(model))
    return to_transformers_names(to_official(model))


def refuse_without_transformers(spec: Any, name: str) -> None:
    """Raise OptionError for a model that ``transformers`` does not have."""
    known = isinstance(spec, ModelSpec) and isinstance(spec.trunk, ViTSpec | HieraSpec | RepViTSpec)
    if not known or (spec.family == "sam2" and spec.decoder.is_hq):
        raise OptionError(
            f"transformers has SAM and HQ-SAM (ViT), SAM 2 (Hiera) and EdgeTAM, not {name}; "
            "keep the official names"
        )


# --- filling a model ------------------------------------------------------------------------------


def fill_weights(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give ``model`` the tensors of ``state`` (official key names); they become its own, not copies.

    Raises KeyMismatchError, naming keys that are missing, left over or of another shape.
    """
    used = {key: value for key, value in state.items() if not _UNUSED.search(key)}
    _refuse_mismatch(_name_of(model), {k: v.shape for k, v in model.state_dict().items()}, used)
    _refuse_whole_numbers(_name_of(model), model.state_dict(), used)
    _refuse_nan(_name_of(model), used)
    model.load_state_dict(used, strict=True, assign=True)


def _refuse_whole_numbers(name: str, expected: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError for weights that are integers or booleans, as quantised ones are."""
    for key, value in got.items():
        if expected[key].is_floating_point() and not value.is_floating_point():
            raise CheckpointError(
                f"the weights for {name} hold {key!r} as {value.dtype}; expected float32, float16 or "
                "bfloat16, take the file from before they were quantised"
            )


def _refuse_nan(name: str, state: Mapping[str, Tensor]) -> None:
    """A model with NaN in it answers every prompt with an empty mask and no error."""
    broken = [key for key, value in state.items() if value.numel() and not _is_finite(value)]
    if broken:
        keys = first_few(broken)
        raise CheckpointError(
            f"the weights for {name} hold NaN or infinity in {len(broken)} of {len(state)} tensors ({keys}); "
            "the training that made them diverged, or the file is damaged: take an earlier checkpoint"
        )


def _is_finite(value: Tensor) -> bool:
    # Least and largest are NaN where a value is, and found without a tensor of booleans beside. A float64
    # beyond float32, in which models run, is infinite there.
    return not value.is_floating_point() or bool(
        torch.isfinite(torch.stack(torch.aminmax(value)).float()).all()
    )


def _refuse_mismatch(name: str, expected: Mapping[str, torch.Size], got: Mapping[str, Tensor]) -> None:
    missing, extra = sorted(expected.keys() - got.keys()), sorted(got.keys() - expected.keys())
    other = [
        f"{key}: expected {tuple(shape)}, got {tuple(got[key].shape)}"
        for key, shape in expected.items()
        if key in got and got[key].shape != shape
    ]
    faults = [
        f"{len(keys)} {what} ({first_few(keys)})"
        for keys, what in (
            (missing, "missing"),
            (extra, "left over"),
            (other, "of another shape"),
        )
        if keys
    ]
    if faults:
        raise KeyMismatchError(
            f"the weights do not fit {name}: {'; '.join(faults)}; "
            f"{_advice(len(expected), missing, extra, other)}"
        )


def _advice(count: int, missing: Sequence[str], extra: Sequence[str], other: Sequence[str]) -> str:
    """What to do about keys that do not fit, by what is wrong with them."""
    if _adapters(extra):
        return f"it has adapters: {_MERGE}"
    if extra and not missing and not other:
        return "save the file again without these keys: they belong to something around the model"
    if other and not missing:
        return (
            "it was trained at other sizes: give everymask.models.build the spec it was trained with, "
            "dataclasses.replace(MODELS[...], ...), and these weights"
        )
    if len(missing) < count / 10:
        return "save the whole state_dict of the model, or download the file again"
    return "it is another model's file: load it by its path alone to have its model recognised"


def _name_of(model: nn.Module) -> str:
    spec = getattr(model, "spec", None)
    return spec.name if isinstance(spec, ModelSpec) else type(model).__name__
