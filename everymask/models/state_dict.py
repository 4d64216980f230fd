"""Finds the weights in what a file holds: out of a training script's dictionaries, without its prefixes.

A checkpoint of SAM alone has keys like ``image_encoder.…``. Trainers save more around it (an epoch, an
optimizer) and longer keys: ``module.`` (data parallel), ``_orig_mod.`` (torch.compile), ``model.`` or
``sam.`` (the attribute of a Lightning module). All of it goes here, for every kind of file alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from everymask.errors import CheckpointError

State = dict[str, Tensor]

WRAPPERS = (
    *("model", "state_dict", "model_state_dict", "model_state", "state", "module"),
    *("net", "network", "weights", "params", "sam", "sam_model"),
)
"""Keys under which training scripts (and the SAM 2 files) put the weights, likelier ones first."""

_ROOTS = "image_encoder|prompt_encoder|mask_decoder|sam_prompt_encoder|sam_mask_decoder|vision_encoder"
_ROOTED = re.compile(rf"^(.*?)(?:{_ROOTS})\.")
"""A key of a member that every model of the family has, and what stands before it."""

_ADDED = re.compile(r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What torch's own wrappers put into keys, at any place."""

_PLAIN_TYPES = {
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.bool),  # counts of batches, tables of positions
}

_PACKED = (
    *(".qweight", ".qzeros", ".g_idx"),  # GPTQ, AWQ
    *(".absmax", ".quant_map", ".SCB", ".weight_packed", "._packed_params", ".weight_scale_inv"),
)
"""Ends of keys that quantisers leave beside or instead of weights."""

_DEEPEST = 4
"""How many dictionaries within each other are looked into."""


def find_state(content: Any, name: str) -> State:
    """The tensors of the model in ``content``, under keys without prefixes; ``name`` is the file's.

    Raises CheckpointError where there is no dictionary of tensors, or its values are no plain floats.
    """
    found = next(_states(content, _DEEPEST), None)
    if found is None:
        raise CheckpointError(f"{name} holds {_described(content)}; save model.state_dict() alone")
    for key, value in found.items():
        if not isinstance(key, str):
            raise CheckpointError(
                f"{name} has keys of type {type(key).__name__} ({key!r}), expected names such as "
                "'image_encoder.pos_embed'; save model.state_dict() alone"
            )
        if not isinstance(value, Tensor):
            raise CheckpointError(
                f"{name} holds {_kind(value)} under {key!r}, expected only tensors; "
                "save model.state_dict() alone"
            )
        _refuse_quantised(name, key, value)
    _refuse_several(name, found)
    return without_prefixes(found)


def _refuse_several(name: str, state: Mapping[str, Tensor]) -> None:
    """A student and a teacher in one file: nobody says which is meant."""
    plain = [_ADDED.sub("", key) for key in state]
    encoders = {key[: key.index("image_encoder.")] for key in plain if "image_encoder." in key}
    several = sorted(
        each
        for each in encoders
        if any(key.startswith(f"{each}{part}mask_decoder.") for key in plain for part in ("", "sam_"))
    )
    if len(several) > 1:
        listed = ", ".join(repr(each) for each in several)
        raise CheckpointError(f"{name} holds {len(several)} models, under {listed}; save one of them alone")


def _states(content: Any, depth: int) -> Iterator[Mapping[Any, Any]]:
    """Dictionaries with tensors as their values in ``content``: itself, or the likeliest within."""
    if not isinstance(content, Mapping) or not content or depth == 0:
        return
    within = [wrapper for wrapper in WRAPPERS if isinstance(content.get(wrapper), Mapping)]
    others = [key for key in content if key not in within and isinstance(content[key], Mapping)]
    if any(isinstance(value, Tensor) for value in content.values()) and not within:
        yield content
        return
    for key in within:
        yield from _states(content[key], depth - 1)
    for key in others:  # under a name that nobody foresaw: only if it is a model of this family
        for state in _states(content[key], depth - 1):
            if any(isinstance(each, str) and _ROOTED.match(each) for each in state):
                yield state


def _refuse_quantised(name: str, key: str, value: Tensor) -> None:
    if value.is_meta:
        raise CheckpointError(
            f"{name} holds {key!r} without its values (a tensor of the device 'meta'); "
            "save the model again after its weights were loaded"
        )
    if key.endswith(_PACKED):
        raise CheckpointError(
            f"{name} holds {key!r}: the weights are quantised or packed; "
            "expected float32, float16 or bfloat16, take the file from before that step"
        )
    if value.dtype not in _PLAIN_TYPES or value.layout != torch.strided:
        kind = value.dtype if value.layout == torch.strided else value.layout
        raise CheckpointError(
            f"{name} holds {key!r} as {kind}: the weights are quantised or packed; "
            "expected float32, float16 or bfloat16, take the file from before that step"
        )


def without_prefixes(state: Mapping[str, Tensor]) -> State:
    """The weights under keys that begin with the model's own members.

    >>> list(without_prefixes({"module.sam.mask_decoder.iou_token.weight": torch.ones(1)}))
    ['mask_decoder.iou_token.weight']
    """
    plain = {_ADDED.sub("", key): value for key, value in state.items()}
    prefix = _common_prefix(plain)
    return {key.removeprefix(prefix): value for key, value in plain.items()}


def _common_prefix(state: Mapping[str, Tensor]) -> str:
    """What stands before the members of the model; ``module.`` where no member is known."""
    before = {found[1] for key in state if (found := _ROOTED.match(key))}
    if len(before) == 1:
        return before.pop()
    return "module." if not before and state and all(key.startswith("module.") for key in state) else ""


def _described(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f"{_kind(content)}, expected a dictionary of tensors"
    if not content:
        return "an empty dictionary, expected a dictionary of tensors"
    kinds = ", ".join(f"{key!r}: {_kind(value)}" for key, value in list(content.items())[:4])
    return f"no tensors ({kinds}), expected a dictionary of tensors"


def _kind(value: Any) -> str:
    if isinstance(value, Mapping) and not value:
        return "an empty dictionary"
    word = type(value).__name__
    return f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}"
