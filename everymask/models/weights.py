"""Weights in and out: reading files safely, recognising what they are for, official key names.

A file is read with ``torch.load(weights_only=True)`` or as safetensors; one that carries code is
refused. Models keep the key names of the official checkpoints, with one exception (:func:`to_ours`).
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from everymask.errors import CheckpointError, KeyMismatchError, UnknownModelError, UnsafeCheckpointError
from everymask.models.specs import MODELS, ModelSpec
from everymask.nn.encoders.convnet import ConvSpec
from everymask.nn.encoders.hiera import HieraSpec
from everymask.nn.encoders.tiny_vit import TinyViTSpec
from everymask.nn.encoders.vit import ViTSpec

State = dict[str, Tensor]

WRAPPERS = ("model", "state_dict", "model_state_dict")
"""Keys under which training scripts (and the SAM 2 files) put the weights."""

# --- reading --------------------------------------------------------------------------------------


def read_weights(path: str | Path) -> State:
    """The tensors of a ``.pt``, ``.pth`` or ``.safetensors`` file, told apart by content.

    None is a view of the file, which may go or be written again. Raises CheckpointError, or
    UnsafeCheckpointError for a file that would run code when read.
    """
    path = Path(path)
    start = _first_bytes(path)
    if _is_safetensors(start):
        return _read_safetensors(path)
    if start.startswith((b"PK\x03\x04", b"\x80")):
        return _unwrapped(_read_torch(path, zipped=start.startswith(b"PK")), path)
    raise CheckpointError(f"{path.name} is not a weights file: {_guess(start)}")


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
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # on pickle protocols; what matters is raised
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
    return (
        "a pickle that torch's safe reader does not understand" if "Unsupported operand" in message else None
    )


def _is_torchscript(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _refusal(path: Path, what: str) -> UnsafeCheckpointError:
    return UnsafeCheckpointError(
        f"{path.name} carries code ({what}) and was not opened; "
        "get a file of plain tensors from its authors, or save its state_dict where you trust it"
    )


def _unwrapped(content: Any, path: Path) -> State:
    """The weights themselves, out of the dictionaries and prefixes that training scripts add."""
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(
            f"{path.name} holds {_kind(content)}, expected a dictionary of tensors; save model.state_dict()"
        )
    for key, value in content.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path.name} holds {_kind(value)} under {key!r}, expected only tensors; "
                "save model.state_dict() alone"
            )
    if all(key.startswith("module.") for key in content):  # torch's data-parallel wrapper
        return {key.removeprefix("module."): value for key, value in content.items()}
    return dict(content)


def _kind(value: Any) -> str:
    return "an empty dictionary" if value == {} else f"a {type(value).__name__}"


# --- recognising ----------------------------------------------------------------------------------


def recognise(state: Mapping[str, Tensor]) -> ModelSpec:
    """The spec of the table that these weights (under official key names) belong to.

    Raises UnknownModelError. A spec of your own is not in the table: pass it to
    :func:`everymask.models.load.build` together with the weights.
    """
    _refuse_relatives(state)
    found = _signature_of_state(state)
    for spec in MODELS.values():
        if _signature_of_spec(spec) == found:
            return spec
    keys = _shortened(sorted(state))
    raise UnknownModelError(
        f"no model of the table fits these {len(state)} tensors ({keys}); "
        f"expected weights of one of {', '.join(MODELS)}"
    )


def _refuse_relatives(state: Mapping[str, Tensor]) -> None:
    """Known models that everymask does not run yet, and layouts of other libraries."""
    relatives = (
        ("mask_decoder.hf_token.weight", "HQ-SAM weights, which everymask does not run yet"),
        ("spatial_perceiver.", "EdgeTAM weights, which everymask does not run yet"),
        ("shared_image_embedding.", "weights in the layout of transformers; get the lab's original file"),
        ("vision_encoder.", "weights in the layout of transformers; get the lab's original file"),
    )
    for prefix, what in relatives:
        if any(key.startswith(prefix) for key in state):
            raise UnknownModelError(f"these are {what}")


# Kind of trunk, a key that only this kind has (the first that fits counts), and a key of its first width.
_TRUNKS = (
    ("hiera", "pos_embed_window", "patch_embed.proj.weight"),
    ("vit", "patch_embed.proj.weight", "patch_embed.proj.weight"),
    ("tiny_vit", "patch_embed.seq.0.c.weight", "patch_embed.seq.0.c.weight"),
    ("conv", "stem.0.0.weight", "stem.0.0.weight"),
)


def _signature_of_state(state: Mapping[str, Tensor]) -> tuple[object, ...]:
    """Family, kind and sizes of the trunk, and whether the keys that SAM 2.1 added are there."""
    family = "sam2" if any(key.startswith("sam_mask_decoder.") for key in state) else "sam"
    prefix = "image_encoder.trunk." if family == "sam2" else "image_encoder."
    is_new = "obj_ptr_tpos_proj.weight" in state
    for kind, mark, first in _TRUNKS:
        if prefix + mark in state and prefix + first in state:
            return family, kind, state[prefix + first].shape[0], _count(state, prefix + "blocks"), is_new
    return family, "unknown", 0, 0, is_new


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbered members a list of modules has."""
    pattern = re.compile(re.escape(prefix) + r"\.(\d+)\.")
    return 1 + max((int(found[1]) for key in state if (found := pattern.match(key))), default=-1)


def _signature_of_spec(spec: ModelSpec) -> tuple[object, ...]:
    sizes: tuple[object, ...]
    match spec.trunk:
        case HieraSpec(embed_dim=width, stages=stages):
            sizes = ("hiera", width, sum(stages))
        case ViTSpec(embed_dim=width, depth=depth):
            sizes = ("vit", width, depth)
        case TinyViTSpec(embed_dims=widths):
            sizes = ("tiny_vit", widths[0] // 2, 0)
        case ConvSpec(dims=widths):
            sizes = ("conv", widths[0] // 2, 0)
    return spec.family, *sizes, spec.memory is not None and spec.memory.pointer_times


# --- key names ------------------------------------------------------------------------------------

# SAM calls the two layers of the MLP in its two-way transformer lin1 and lin2, SAM 2 layers.0 and
# layers.1; our one transformer has the names of SAM 2.
_OFFICIAL_MLP = re.compile(r"^(mask_decoder\.transformer\.layers\.\d+\.mlp)\.lin([12])\.")
_OUR_MLP = re.compile(r"^(mask_decoder\.transformer\.layers\.\d+\.mlp)\.layers\.([01])\.")

# TinyViT files written by older code carry this table, which follows from the size of a window.
_UNUSED = re.compile(r"\.attention_bias_idxs$")


def to_ours(key: str) -> str:
    """An official key as our model has it.

    >>> to_ours("mask_decoder.transformer.layers.0.mlp.lin2.bias")
    'mask_decoder.transformer.layers.0.mlp.layers.1.bias'
    """
    return _OFFICIAL_MLP.sub(lambda m: f"{m[1]}.layers.{int(m[2]) - 1}.", key)


def to_official_key(key: str) -> str:
    """A key of our model as the official checkpoints have it.

    >>> to_official_key("mask_decoder.transformer.layers.0.mlp.layers.1.bias")
    'mask_decoder.transformer.layers.0.mlp.lin2.bias'
    """
    return _OUR_MLP.sub(lambda m: f"{m[1]}.lin{int(m[2]) + 1}.", key)


def to_official(model: nn.Module) -> State:
    """The model's weights under official key names, as the official code loads them strictly."""
    return {to_official_key(key): value for key, value in model.state_dict().items()}


# --- filling a model ------------------------------------------------------------------------------


def fill_weights(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give ``model`` the tensors of ``state`` (official key names); they become its own, not copies.

    Raises KeyMismatchError, naming keys that are missing, left over or of another shape.
    """
    renamed = {to_ours(key): value for key, value in state.items() if not _UNUSED.search(key)}
    _refuse_mismatch(_name_of(model), {k: v.shape for k, v in model.state_dict().items()}, renamed)
    model.load_state_dict(renamed, strict=True, assign=True)


def _refuse_mismatch(name: str, expected: Mapping[str, torch.Size], got: Mapping[str, Tensor]) -> None:
    missing, extra = sorted(expected.keys() - got.keys()), sorted(got.keys() - expected.keys())
    other = [
        f"{to_official_key(key)}: expected {tuple(shape)}, got {tuple(got[key].shape)}"
        for key, shape in expected.items()
        if key in got and got[key].shape != shape
    ]
    faults = [
        f"{len(keys)} {what} ({_shortened(keys)})"
        for keys, what in (
            ([to_official_key(key) for key in missing], "missing"),
            ([to_official_key(key) for key in extra], "left over"),
            (other, "of another shape"),
        )
        if keys
    ]
    if faults:
        raise KeyMismatchError(
            f"the weights do not fit {name}: {'; '.join(faults)}; load the file by its path alone to have "
            "its model recognised, or download it again"
        )


def _name_of(model: nn.Module) -> str:
    spec = getattr(model, "spec", None)
    return spec.name if isinstance(spec, ModelSpec) else type(model).__name__


def _shortened(items: Iterable[str], most: int = 4) -> str:
    items = list(items)
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")
