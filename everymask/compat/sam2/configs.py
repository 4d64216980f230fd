"""What the official config files and Hydra overrides say, as specs: Hydra itself is not needed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from everymask.errors import OptionError, UnknownModelError
from everymask.models.hub import pull
from everymask.models.hub_repository import in_hub_cache
from everymask.models.specs import MODELS, ModelSpec
from everymask.nn.choice import StabilityFallback

HF_MODEL_ID_TO_FILENAMES = {
    f"facebook/{family}-hiera-{size.replace('_', '-')}": (
        f"configs/{family}/{family}_hiera_{letter}.yaml",
        f"{family}_hiera_{size}.pt",
    )
    for family in ("sam2", "sam2.1")
    for size, letter in (("tiny", "t"), ("small", "s"), ("base_plus", "b+"), ("large", "l"))
}
"""Hub ids with the config and the checkpoint of each, as ``sam2.build_sam`` has them."""

_SIZES = {"t": "tiny", "s": "small", "b+": "base_plus", "l": "large"}
_DECODER = "model.sam_mask_decoder_extra_args.dynamic_multimask_"


def spec_of_config(config_file: str, apply_postprocessing: bool, overrides: Iterable[str] = ()) -> ModelSpec:
    """The spec that an official config file with these Hydra overrides describes.

    The file is known by its name ("configs/sam2.1/sam2.1_hiera_t.yaml", "sam2_hiera_s.yaml", any folder
    before it); it is not opened. ``apply_postprocessing`` is the fallback for unstable single masks.
    Overrides may set ``model.image_size`` and the three ``dynamic_multimask_*``; any other is refused,
    because leaving it out would change masks without a word. nano's own name counts as a config too.

    >>> spec_of_config("configs/sam2.1/sam2.1_hiera_b+.yaml", True).name
    'sam2.1_hiera_base_plus'
    """
    spec = replace(_named(config_file), fallback=StabilityFallback() if apply_postprocessing else None)
    for override in overrides:
        spec = _overridden(spec, override)
    return spec


def _named(config_file: str) -> ModelSpec:
    name = PurePosixPath(str(config_file)).name.removesuffix(".yaml")
    found = re.fullmatch(r"(sam2(?:\.1)?)_hiera_(t|s|b\+|l)", name)
    if found:
        name = f"{found[1]}_hiera_{_SIZES[found[2]]}"
    if name not in MODELS or MODELS[name].family != "sam2":
        raise UnknownModelError(
            f"no SAM 2 model is known by the config {config_file!r}; expected "
            "configs/sam2.1/sam2.1_hiera_t.yaml (or _s, _b+, _l), configs/sam2/sam2_hiera_t.yaml (or ...), "
            "or a name of `everymask models list`"
        )
    return MODELS[name]


def _overridden(spec: ModelSpec, override: str) -> ModelSpec:
    key, _, value = override.lstrip("+").partition("=")
    fallback = spec.fallback or StabilityFallback()
    if key == "model.image_size":
        return replace(spec, image_size=int(value))
    if key == _DECODER + "via_stability":
        return replace(spec, fallback=fallback if value.lower() == "true" else None)
    if key == _DECODER + "stability_delta":
        return replace(spec, fallback=spec.fallback and replace(fallback, offset=float(value)))
    if key == _DECODER + "stability_thresh":
        return replace(spec, fallback=spec.fallback and replace(fallback, threshold=float(value)))
    raise OptionError(
        f"the override {override!r} is not known to everymask; known are model.image_size and {_DECODER}*, "
        "for more make a spec with dataclasses.replace and everymask.models.load.build"
    )


def checkpoint_of_hub_id(model_id: str) -> Path:
    """The checkpoint of a hub id: from the Hugging Face cache, or where everymask keeps its own."""
    config_of_hub_id(model_id)
    return in_hub_cache(model_id, HF_MODEL_ID_TO_FILENAMES[model_id][1]) or pull(model_id)


def config_of_hub_id(model_id: str) -> str:
    """The config file that belongs to a hub id."""
    if model_id not in HF_MODEL_ID_TO_FILENAMES:
        raise OptionError(
            f"model_id must be one of {', '.join(HF_MODEL_ID_TO_FILENAMES)}, got {model_id!r}; "
            "everymask.load takes other hub ids"
        )
    return HF_MODEL_ID_TO_FILENAMES[model_id][0]
