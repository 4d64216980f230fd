"""Models by the official config files and Hydra overrides.

The official files are known by name, and what overrides usually say is read here: Hydra is not needed. Any
other override, and config files of your own, go through Hydra where it is installed.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from everymask.errors import OptionError, UnknownModelError
from everymask.models.hub import pull
from everymask.models.hub_repository import in_hub_cache
from everymask.models.specs import MODELS, ModelSpec

from .modeling import SAM2Base

HF_MODEL_ID_TO_FILENAMES = {
    f"facebook/{family}-hiera-{size.replace('_', '-')}": (
        f"configs/{family}/{family}_hiera_{letter}.yaml",
        f"{family}_hiera_{size}.pt",
    )
    for family in ("sam2", "sam2.1")
    for size, letter in (("tiny", "t"), ("small", "s"), ("base_plus", "b+"), ("large", "l"))
}
"""Hub ids with the config and the checkpoint of each, as ``sam2.build_sam`` has them."""

CONFIG_MODULE = __name__.rpartition(".")[0]
"""Where Hydra finds ``configs/``: ``hydra.initialize_config_module(CONFIG_MODULE)``."""

_SIZES = {"t": "tiny", "s": "small", "b+": "base_plus", "l": "large"}
_DECODER = "sam_mask_decoder_extra_args"
_PLAIN = re.compile(r"\+{0,2}model\.(?:(sam_mask_decoder_extra_args)\.)?(\w+)=([\w.+-]+)")


def model_of_config(config_file: str, overrides: Iterable[str] = (), kind: type[SAM2Base] = SAM2Base) -> Any:
    """A model with fresh weights that a config file with these overrides describes, of class ``kind``.

    An official file is known by its name ("configs/sam2.1/sam2.1_hiera_t.yaml", "sam2_hiera_s.yaml", any
    folder before it), and so is a model by the name it has here. Raises UnknownModelError and OptionError.
    """
    overrides, spec = list(overrides), spec_of_name(config_file)
    options = None if spec is None else _constructor_options(overrides, kind)
    if spec is None or options is None:
        return _by_hydra(config_file, spec, overrides, kind)
    image_size = options.pop("image_size", spec.image_size)
    return kind.of(replace(spec, image_size=image_size, fallback=None), **options)


def spec_of_name(config_file: str) -> ModelSpec | None:
    """The row of the table that a config file stands for; None if it is none of ours.

    >>> spec_of_name("configs/sam2.1/sam2.1_hiera_b+.yaml").name
    'sam2.1_hiera_base_plus'
    """
    name = PurePosixPath(str(config_file)).name.removesuffix(".yaml")
    found = re.fullmatch(r"(sam2(?:\.1)?)_hiera_(t|s|b\+|l)", name)
    if found:
        name = f"{found[1]}_hiera_{_SIZES[found[2]]}"
    spec = MODELS.get(name)
    return spec if spec is not None and spec.family == "sam2" else None


def _constructor_options(overrides: list[str], kind: type[SAM2Base]) -> dict[str, Any] | None:
    """What overrides set, as arguments of the constructor; None if one of them says something else."""
    options: dict[str, Any] = {}
    takes = _plain_arguments(kind)
    for override in overrides:
        found = _PLAIN.fullmatch(override)
        if found is None or (found[1] is None and found[2] not in takes):
            return None
        value = yaml.safe_load(found[3])
        if found[1]:
            options.setdefault(_DECODER, {})[found[2]] = value
        else:
            options[found[2]] = value
    return options


def _plain_arguments(kind: type[SAM2Base]) -> set[str]:
    """The constructor's arguments with a number or a truth value as their default."""
    return {
        name
        for each in kind.__mro__
        if issubclass(each, SAM2Base) and "__init__" in vars(each)
        for name, parameter in inspect.signature(each.__init__).parameters.items()
        if isinstance(parameter.default, int | float)
    }


def _by_hydra(config_file: str, spec: ModelSpec | None, overrides: list[str], kind: type[SAM2Base]) -> Any:
    try:
        from hydra import compose
        from hydra.errors import HydraException
        from hydra.utils import instantiate
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException
    except ImportError:
        raise _unreadable(config_file, spec, overrides) from None
    initialise_hydra()
    name = _official_path(config_file, spec)
    if kind is not SAM2Base:
        overrides = [f"++model._target_={kind.__module__}.{kind.__qualname__}", *overrides]
    try:
        config = compose(config_name=name, overrides=overrides)
        OmegaConf.resolve(config)
        return instantiate(config.model, _recursive_=True)
    except (HydraException, OmegaConfBaseException) as error:
        if spec is None:
            raise _unreadable(config_file, spec, overrides) from error
        raise OptionError(f"the overrides {overrides} do not fit {name}: {error}") from error


def initialise_hydra() -> None:
    """Tell Hydra where ``configs/`` is, unless the program did or uses another place."""
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    if not GlobalHydra.instance().is_initialized():
        importlib.import_module(CONFIG_MODULE)
        initialize_config_module(CONFIG_MODULE, version_base="1.2")


def hydra_is_used() -> bool:
    """Whether the program imported Hydra before us: then it may want to find ``configs/``."""
    return "hydra" in sys.modules


def _official_path(config_file: str, spec: ModelSpec | None) -> str:
    for path, checkpoint in HF_MODEL_ID_TO_FILENAMES.values():
        if spec is not None and checkpoint == f"{spec.name}.pt":
            return path
    return str(config_file)


def _unreadable(config_file: str, spec: ModelSpec | None, overrides: list[str]) -> Exception:
    if spec is None:
        return UnknownModelError(
            f"no SAM 2 model is known by the config {config_file!r}; expected "
            "configs/sam2.1/sam2.1_hiera_t.yaml (or _s, _b+, _l), configs/sam2/sam2_hiera_t.yaml (or ...), "
            "a name of `everymask models list`, or with hydra-core installed a file that Hydra finds"
        )
    return OptionError(
        f"one of the overrides {overrides} says more than model.OPTION=VALUE; pip install hydra-core for "
        "these, or make a spec with dataclasses.replace and everymask.models.load.build"
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
