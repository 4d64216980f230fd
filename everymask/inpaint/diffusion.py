"""Pipelines of `diffusers` that paint what a text says, opened from a folder without the network."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from everymask.errors import CheckpointError, OptionError, one_line, require
from everymask.inpaint.colour_engine import ColourEngine
from everymask.inpaint.pipelines import INDEX, PIPELINES
from everymask.models.file_sets import pull_set

USUAL_SIDE = 1024
"""The side of pictures that pipelines are made for, where their parts do not say."""


@dataclass(frozen=True)
class Painting:
    """What is painted, and how. Raises :class:`OptionError` for a value out of range."""

    prompt: str
    negative: str = ""
    """What should not be there."""
    steps: int = 30
    strength: float = 1.0
    """How far what was there is painted over: 1 altogether."""
    guidance: float = 7.5
    """How closely the text is followed."""
    seed: int = 0
    """The same seed, the same picture."""

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise OptionError("the text must say what is to be there, such as 'a red chair'; it is empty")
        if self.steps < 1:
            raise OptionError(f"steps must be at least 1, got {self.steps}")
        if not 0 < self.strength <= 1:
            raise OptionError(f"strength must be over 0 and at most 1, got {self.strength:g}")
        if self.guidance < 0:
            raise OptionError(f"guidance must be at least 0, got {self.guidance:g}")
        if not 0 <= self.seed < 2**63:
            raise OptionError(f"seed must be a whole number from 0, got {self.seed}")


class Diffusion(ColourEngine):
    """A pipeline with what it is to paint; an engine as those that erase."""

    def __init__(self, name: str | None, painting: Painting, device: str | None = None) -> None:
        """``name`` is one of ``PIPELINES`` (fetched if not here), or a folder; None: the first of them."""
        folder = folder_of(name)
        library: Any = require("diffusers", "diffusion", "replacing things")
        self.pipeline = opened(library, folder).to(device or "cpu")
        self.pipeline.set_progress_bar_config(disable=True)
        self.painting = painting
        self._known = inspect.signature(self.pipeline.__call__).parameters
        if painting.strength != 1 and "strength" not in self._known:
            raise OptionError(f"{folder.name} paints over altogether; leave strength at 1")

    def fill_rgb(self, rgb: np.ndarray, hole: np.ndarray) -> np.ndarray:
        """The picture at the pipeline's own size and back; uint8 [H, W, 3] -> values 0 to 255."""
        import torch
        from PIL import Image

        height, width = self.size_for(hole.shape[0], hole.shape[1])
        smaller = max(hole.shape) > max(height, width)
        seen = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
        missing = cv2.resize(hole.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) > 0
        said = self.painting
        asked = {
            "prompt": said.prompt,
            "negative_prompt": said.negative or None,
            "num_inference_steps": said.steps,
            "strength": said.strength,
            "guidance_scale": said.guidance,
        }
        made = self.pipeline(
            image=Image.fromarray(seen),
            mask_image=Image.fromarray(missing.astype(np.uint8) * 255),
            height=height,
            width=width,
            generator=torch.Generator("cpu").manual_seed(said.seed),
            output_type="np",
            **{key: value for key, value in asked.items() if key in self._known},
        ).images[0]
        return cv2.resize(made * 255, hole.shape[::-1], interpolation=cv2.INTER_CUBIC)

    def size_for(self, height: int, width: int) -> tuple[int, int]:
        """The size at which a crop is painted: as long as the pipeline's pictures, in steps that it takes."""
        core = getattr(self.pipeline, "unet", None) or self.pipeline.transformer
        patch = int(self.pipeline.vae_scale_factor)
        side = getattr(core.config, "sample_size", None)
        longest = side * patch if isinstance(side, int) else USUAL_SIDE
        halvings = len(getattr(core.config, "down_block_types", (0, 0))) - 1
        unit = patch * 2**halvings
        scale = longest / max(height, width)
        rows, columns = (max(unit, round(each * scale / unit) * unit) for each in (height, width))
        return rows, columns


def folder_of(name: str | None) -> Path:
    """The folder of a pipeline by name (fetched if it is not here), or by its place; see :class:`Diffusion`.

    Raises ``OptionError``, ``MissingExtraError`` or ``DownloadError``.
    """
    name = name or next(iter(PIPELINES))
    if name not in PIPELINES and not (Path(name) / INDEX).is_file():
        raise OptionError(
            f"a model that paints must be one of {', '.join(PIPELINES)}, or a folder with {INDEX}, "
            f"got {name!r}"
        )
    require("diffusers", "diffusion", "replacing things")  # before a download of gigabytes
    return pull_set(PIPELINES[name]) if name in PIPELINES else Path(name)


def opened(library: Any, folder: Path) -> Any:
    """The pipeline in a folder, quietly; without the safety checker, which is not fetched."""
    verbosity = library.utils.logging.get_verbosity()
    library.utils.logging.set_verbosity_error()
    try:
        return library.AutoPipelineForInpainting.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, **without_checker(folder)
        )
    except Exception as error:  # diffusers raises whatever its parts raise
        raise CheckpointError(f"{folder} is no pipeline that diffusers opens: {one_line(error)}") from error
    finally:
        library.utils.logging.set_verbosity(verbosity)


def without_checker(folder: Path) -> dict[str, Any]:
    """What a pipeline is told that lists parts which are not in its folder."""
    import json

    try:
        listed = json.loads((folder / INDEX).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder / INDEX} cannot be read: {one_line(error)}") from error
    absent = {
        part: None
        for part in ("safety_checker", "feature_extractor")
        if part in listed and not (folder / part).is_dir()
    }
    return {**absent, "requires_safety_checker": False} if "safety_checker" in absent else absent
