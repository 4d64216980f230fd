"""``load``: a name, a file or a hub id becomes a model that is ready to use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from everymask.errors import OptionError, UnknownModelError
from everymask.models.base import PromptableModel
from everymask.models.catalog import find
from everymask.models.download import Progress
from everymask.models.hub import pull
from everymask.models.places import EXPORT_NOTE
from everymask.models.specs import MODELS, ModelSpec
from everymask.models.weights import fill_weights, read_weights, recognise
from everymask.nn.product_type import type_name, warn_where_slow

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
WEIGHT_SUFFIXES = (".pt", ".pth", ".safetensors", ".bin", ".ckpt")


def load(
    source: str | os.PathLike[str],
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    *,
    progress: Progress | None = None,
) -> PromptableModel:
    """A model with its weights, in eval mode and without gradients.

    ``source`` is a name of ``everymask models list`` ("nano", "sam2.1_hiera_tiny"), the path of a
    checkpoint (``.pt``, ``.pth``, ``.safetensors``), whose architecture is recognised, a folder that
    ``everymask export`` wrote (run by ONNX Runtime on the CPU), or a hub id
    ("facebook/sam2.1-hiera-tiny"). ``device`` is cuda, then mps, then cpu by default; ``dtype`` is
    float32, or "bfloat16" for speed where the device has units for it (positions, mask logits and scores
    stay in float32); where it is slower, a SlowTypeWarning says so.
    ``progress(done_bytes, total_bytes)`` is called while weights that are not in the cache come.

    Raises CheckpointError (UnknownModelError, UnsafeCheckpointError, KeyMismatchError), DownloadError
    or OptionError.
    """
    if not isinstance(source, str | os.PathLike):
        raise UnknownModelError(f"expected a model's name or a path, got {type(source).__name__}")
    chosen_device, chosen_dtype = read_device(device), read_dtype(dtype)
    warn_where_slow(chosen_dtype, chosen_device, f'dtype="{type_name(chosen_dtype)}"')
    path, spec = locate(source, progress)
    if path.is_dir() and (path / EXPORT_NOTE).is_file():
        return _exported(path, device, chosen_dtype)
    state = read_weights(path)
    return build(spec or recognise(state, path), state, chosen_device, chosen_dtype, consume=True)


def _exported(folder: Path, device: str | torch.device | None, dtype: torch.dtype) -> PromptableModel:
    from everymask.models.onnx_model import load_exported

    if device is not None and torch.device(device).type != "cpu":
        raise OptionError(f"{folder} runs through ONNX Runtime on the CPU; leave out device, got {device}")
    if dtype != torch.float32:
        raise OptionError(f"{folder} runs in the types it was exported in; leave out dtype, got {dtype}")
    return load_exported(folder).eval().requires_grad_(False)


def build(
    spec: ModelSpec,
    state: dict[str, Tensor] | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    kind: type[PromptableModel] | None = None,
    *,
    consume: bool = False,
) -> PromptableModel:
    """A model of ``spec`` with weights under official key names, or with fresh random ones.

    Also the way to a model that is not in the table: ``build(dataclasses.replace(spec, ...), state)``.
    ``kind`` is a subclass of the family's class, to be used in its place. ``consume`` lets the model
    keep the tensors themselves and empties ``state``, so that no weight is in memory twice.
    """
    if state is None:
        model = empty(spec, kind)
    else:
        with WithoutInitialisation():
            model = empty(spec, kind)
        fill_weights(model, placed(state, device, consume))
    return model.to(device).cast(dtype).eval().requires_grad_(False)


def locate(source: str | os.PathLike[str], progress: Progress | None = None) -> tuple[Path, ModelSpec | None]:
    """The file that ``source`` means, and its spec if the name says it; downloads what is not there."""
    text = os.fspath(source)
    entry = None if isinstance(source, os.PathLike) else find(text)
    if entry is not None and not Path(text).is_file():
        if entry.used_by:
            raise UnknownModelError(
                f"{entry.name} makes no masks, it is for {entry.used_by}; use {', '.join(MODELS)}"
            )
        return pull(entry.name, progress), MODELS[entry.name]
    if isinstance(source, os.PathLike) or (text and Path(text).exists()) or text.endswith(WEIGHT_SUFFIXES):
        return Path(text).expanduser(), None
    if text in MODELS:
        return pull(text, progress), MODELS[text]
    if text.count("/") == 1 and not text.startswith((".", "/", "~")):
        return pull(text, progress), None
    raise UnknownModelError(
        f"expected a model name ({', '.join(MODELS)}), a checkpoint path or a hub id, got {text!r}; "
        "see `everymask models list`"
    )


def read_device(device: str | torch.device | None) -> torch.device:
    """The device asked for, if it is there; cuda, then mps, then cpu where none was asked for."""
    if device is None:
        return _best_device()
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError):
        raise OptionError(f"device must be 'cpu', 'cuda', 'cuda:0', 'mps' or None, got {device!r}") from None
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise OptionError(
            f"device {str(device)!r} was asked for, but torch sees {torch.cuda.device_count()} CUDA devices; "
            "pass device='cpu', or install a torch build for this GPU"
        )
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise OptionError("device 'mps' was asked for, but this machine has none; pass device='cpu'")
    if chosen.type not in ("cpu", "cuda", "mps") and not _computes(chosen):
        raise OptionError(
            f"device {str(device)!r} was asked for, but the installed torch cannot compute on one; "
            "pass device='cpu', 'cuda' or 'mps', or None for the best there is"
        )
    return chosen


def _computes(device: torch.device) -> bool:
    """Whether a value put on the device comes back; torch knows the names of many that are not there."""
    try:
        return torch.ones(1, device=device).item() == 1
    except Exception:  # RuntimeError, NotImplementedError, AssertionError, ImportError: each backend its own
        return False


def _best_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def read_dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    """A type by name or as torch's own; float32 where none was asked for."""
    chosen = torch.float32 if dtype is None else DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if chosen is None or chosen not in DTYPES.values():
        raise OptionError(
            f"dtype must be one of {', '.join(DTYPES)}, as a name or torch's own, got {dtype!r}"
        )
    return chosen


def empty(spec: ModelSpec, kind: type[PromptableModel] | None = None) -> PromptableModel:
    """A model of ``spec`` as its class makes it: fresh weights, training mode."""
    if kind is not None:  # a class that is built of its parts says how a spec makes these
        return kind.of(spec) if hasattr(kind, "of") else kind(spec)
    if spec.family == "sam":
        from everymask.models.sam import Sam

        return Sam(spec)
    from everymask.models.sam2 import Sam2

    return Sam2(spec)


def placed(state: dict[str, Tensor], device: torch.device | str, consume: bool) -> dict[str, Tensor]:
    """The tensors on the device, half types widened to float32: half weights are computed with exactly."""
    there = {}
    for key in list(state):
        value = state.pop(key) if consume else state[key]
        dtype = torch.float32 if value.dtype in (torch.float16, torch.bfloat16) else value.dtype
        there[key] = value.to(device, dtype, copy=not consume)
    return there


class WithoutInitialisation(TorchFunctionMode):
    """While it is entered, new modules leave their weights as the memory came: they are replaced anyway.

    Unlike building on the meta device it leaves buffers that are computed, not stored, as they are.
    """

    SKIPPED = (nn.init.kaiming_uniform_, nn.init.uniform_, nn.init.normal_)
    """What torch's own layers call. Not trunc_normal_: it draws until all values are within bounds, and
    the values that were in memory before may never be."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self.SKIPPED:
            return (kwargs or {}).get("tensor", args[0] if args else None)
        return func(*args, **(kwargs or {}))
