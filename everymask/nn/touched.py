"""Whether a module is as it was built: the one rule that decides between its fast form and its plain form.

A *fast form* reads the weights of a module's parts and does their work itself: in bands, in place, in other
orders, with fused kernels. It gives the values of the *plain form*, which calls part after part as the
official code does. Nobody may be able to tell the two apart, so the fast form runs only where nobody looks:
somebody who replaced a part (LoRA, adapters, quantisation), hooked one, wants gradients, or records what is
computed (tracing, exporting, compiling) gets the plain form. The question is put to every module again, so
that one hook slows down one block, not the model.

A class with a fast form lists in ``PARTS`` what that form reaches into: the type of a part, or of all members
of a list of parts, by attribute name. What it calls as a module needs no mention. Where the fast form is
written for some options only, ``usual`` says whether these are they.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_modules

_PLAIN_TENSORS = (Tensor, nn.Parameter)
_PLAIN_WEIGHTS = (nn.Parameter, Tensor, type(None))
_WRITTEN_BY_US = ("torch.nn.modules.", "everymask.")
"""Modules of classes defined elsewhere do who knows what: subclasses, wrappers, parametrisations."""


def untouched(module: nn.Module, *inputs: Tensor) -> bool:
    """Whether the fast form of ``module`` may stand in for its plain form on these inputs.

    >>> layer = nn.Linear(2, 2).requires_grad_(False)
    >>> untouched(layer)
    True
    >>> handle = layer.register_forward_hook(print)
    >>> untouched(layer)
    False
    """
    if torch.jit.is_tracing() or torch.compiler.is_compiling() or torch_modules._has_any_global_hook():
        return False
    if any(type(x) not in _PLAIN_TENSORS for x in inputs):
        return False
    if torch.is_grad_enabled() and _wants_gradients(module, inputs):
        return False
    return _as_built(module)


def _wants_gradients(module: nn.Module, inputs: tuple[Tensor, ...]) -> bool:
    return any(x.requires_grad for x in inputs) or any(p.requires_grad for p in module.parameters())


def _as_built(module: nn.Module) -> bool:
    """Whether neither the module nor a part that its fast form reaches into was replaced or hooked."""
    if not _ours(type(module).__module__) or "forward" in vars(module) or not getattr(module, "usual", True):
        return False
    if module._forward_hooks or module._forward_pre_hooks:
        return False
    if any(type(weight) not in _PLAIN_WEIGHTS for weight in module._parameters.values()):
        return False
    return all(isinstance(part, kind) and _as_built(part) for part, kind in _parts(module))


def _parts(module: nn.Module) -> Iterator[tuple[nn.Module, type]]:
    for name, kind in getattr(type(module), "PARTS", {}).items():
        part = module._modules.get(name)
        if part is not None:
            yield from _members(part, kind)


def _members(part: nn.Module, kind: type) -> Iterator[tuple[nn.Module, type]]:
    """The part itself, or if it is a list of modules the list and all that are in it."""
    if not isinstance(part, nn.ModuleList | nn.Sequential):
        yield part, kind
        return
    yield part, type(part)
    for member in part:
        yield from _members(member, kind)


@cache
def _ours(where: str) -> bool:
    return where.startswith(_WRITTEN_BY_US)
