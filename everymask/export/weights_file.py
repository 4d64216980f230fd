"""Weights from one layout to another: official names or those of ``transformers``, as .pt or safetensors."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from torch import Tensor

from everymask.errors import OptionError
from everymask.formats.landing import landing
from everymask.models.download import Progress
from everymask.models.load import build, locate
from everymask.models.specs import ModelSpec
from everymask.models.transformers_config import transformers_config
from everymask.models.transformers_layout import to_transformers_names
from everymask.models.weights import read_weights, recognise, refuse_without_transformers

LAYOUTS = ("official", "transformers")
TORCH_SUFFIXES = (".pt", ".pth")


def convert_weights(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    layout: str = "official",
    progress: Progress | None = None,
) -> list[Path]:
    """Write the weights of ``source`` in another layout; the files that were written, the weights first.

    ``source`` is what :func:`everymask.load` takes (but no ONNX folder), or a folder of ``transformers``.
    ``output`` ends in ``.safetensors``, ``.pt`` or ``.pth`` (which holds SAM 2's weights under ``model``, as
    the official code reads them), or is a folder for a ``model.safetensors``; ``transformers`` gets a
    ``config.json`` beside it, for ``from_pretrained``. Every tensor keeps its type and its bits.

    Raises CheckpointError as :func:`everymask.load` does, and OptionError for an output that the layout does
    not have, a model that ``transformers`` does not have, or the source's own path.
    """
    if layout not in LAYOUTS:
        raise OptionError(f"a layout is one of {', '.join(LAYOUTS)}, got {layout!r}")
    target = _target(Path(output), layout)
    path, known = locate(_weights_in(source), progress)
    if target.exists() and path.exists() and os.path.samefile(target, path):
        raise OptionError(f"{target} is the file that is read; write to another one")
    state = read_weights(path)
    spec = known or recognise(state, path)
    build(spec, dict(state))  # refuses what does not fit, before anything is written
    if layout == "official":
        _write(target, state, spec)
        return [target]
    refuse_without_transformers(spec, spec.name)
    _write(target, to_transformers_names(state), spec)
    config = target.with_name("config.json")
    with landing(config) as temporary:
        temporary.write_text(json.dumps(transformers_config(spec), indent=2) + "\n", "utf-8")
    return [target, config]


def _weights_in(source: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """A folder as ``save_pretrained`` of ``transformers`` writes it stands for the weights in it."""
    inside = Path(source) / "model.safetensors"
    return inside if inside.is_file() else source


def _target(output: Path, layout: str) -> Path:
    suffix = output.suffix.lower()
    if suffix == ".safetensors" and not output.is_dir():
        return output
    if suffix in TORCH_SUFFIXES and not output.is_dir():
        if layout == "transformers":
            raise OptionError(
                f"transformers reads model.safetensors beside a config.json; name a folder, not {output}"
            )
        return output
    if suffix and not output.is_dir():
        raise OptionError(
            f"weights are written as .safetensors, .pt or .pth, or into a folder; {output} ends in {suffix}"
        )
    return output / "model.safetensors"


def _write(target: Path, state: dict[str, Tensor], spec: ModelSpec) -> None:
    from safetensors.torch import save_file

    target.parent.mkdir(parents=True, exist_ok=True)
    own = {key: value.contiguous().clone() for key, value in state.items()}  # safetensors share no memory
    with landing(target) as temporary:
        if target.suffix.lower() in TORCH_SUFFIXES:
            with temporary.open("wb") as file:  # torch's own writer says nothing of a full disk
                torch.save({"model": own} if spec.family == "sam2" else own, file)
        else:
            save_file(own, temporary, metadata={"format": "pt"})
