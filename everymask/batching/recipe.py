"""What a worker needs to make the same masks as the others: the model's shape, options, the weights' hash."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import BatchError
from ..everything.keep import Keep
from ..everything.objects import Objects
from ..models.base import PromptableModel
from ..models.download import Progress
from ..models.features import fingerprint
from ..models.load import build, locate, read_dtype
from ..models.specs import ModelSpec
from ..models.weights import read_weights, recognise
from ..nn.product_type import type_name
from ..words.segmenter import Sought
from .work import Photos, Work


@dataclass(frozen=True)
class Recipe:
    """Everything but the weights, which travel once for all workers."""

    spec: ModelSpec
    model_hash: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of everything mode, those that were given."""
    reading: Mapping[str, Any] = field(default_factory=dict)
    """How photos are read."""
    objects: Objects = field(default_factory=Objects)
    dtype: str | None = None
    sought: Sought | None = None
    """Words that say which masks there are; None: all that everything mode finds."""
    keep: Keep = field(default_factory=Keep)
    """Which of the masks are kept."""
    work: Work = field(default_factory=Photos)
    """What is done with each file, if it is not photos that are segmented."""

    def open(self, state: Mapping[str, Any], device: str) -> Any:
        """A segmenter with a model of its own, from weights that came over the network: they are verified."""
        model = build(self.spec, dict(state), device, read_dtype(self.dtype))
        found = fingerprint(model)
        if found != self.model_hash:
            raise BatchError(
                f"weights came to a worker with the hash {found[:12]}, not {self.model_hash[:12]}; "
                "start again, and look for broken memory if it stays"
            )
        return self.around(model)

    def around(self, model: PromptableModel) -> Any:
        """What does the work, with a model that has these weights."""
        return self.work.opened(model, self)

    def segmenter(self, model: PromptableModel) -> Any:
        """What finds the masks of photos."""
        from ..everything.segmenter import EverythingSegmenter

        options = self.options if self.sought is None else self.sought.options(self.options)
        segmenter = EverythingSegmenter(model, self.model_hash, options, self.reading)
        if self.sought is not None:
            return self.keep.after(self.sought.by(segmenter, options))
        return self.keep.after(self.objects.after(segmenter, lambda text: None))


@dataclass(frozen=True)
class Prepared:
    """A recipe, the weights it is for, and what the masks depend on."""

    recipe: Recipe
    state: dict[str, Any]
    settings: dict[str, Any]


def prepare(
    model: str | os.PathLike[str] | PromptableModel,
    options: Mapping[str, Any],
    reading: Mapping[str, Any],
    objects: Objects,
    sought: Sought | None = None,
    keep: Keep = Keep(),
    work: Work = Photos(),
    progress: Progress | None = None,
) -> Prepared:
    """A model by name or path, or one that is loaded (its weights travel, hooks and replaced layers do not).

    Raises what :func:`everymask.load` raises, and OptionError.
    """
    if isinstance(model, PromptableModel):
        state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
        spec, dtype = model.spec, type_name(model.dtype)
    else:
        path, known = locate(model, progress)
        state = read_weights(path)
        spec, dtype = known or recognise(state, path), None
    built = build(spec, dict(state), "cpu", read_dtype(dtype))
    recipe = Recipe(spec, fingerprint(built), options, reading, objects, dtype, sought, keep, work)
    return Prepared(recipe, state, recipe.around(built).settings)
