"""The official automatic mask generators: their names, arguments, defaults and dicts; the work is ours.

Both are re-exported by ``everymask.compat.segment_anything`` and ``everymask.compat.sam2``. What is
different: wrong arguments raise :class:`everymask.errors.OptionError` rather than AssertionError, and SAM
2's ``min_mask_region_area`` works without a compiled extension.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from everymask.everything.generate import AutomaticMaskGenerator
from everymask.everything.options import GeneratorOptions
from everymask.models.base import PromptableModel
from everymask.models.sam2 import Sam2

if TYPE_CHECKING:
    from everymask.compat.sam2.sam2_image_predictor import SAM2ImagePredictor
    from everymask.compat.segment_anything.predictor import SamPredictor


def _options_among(arguments: dict[str, Any]) -> dict[str, Any]:
    """Those of a constructor's arguments that are options of ours: not ``self``, the model, ``kwargs``."""
    names = {option.name for option in fields(GeneratorOptions)}
    return {name: value for name, value in arguments.items() if name in names}


class SamAutomaticMaskGenerator:
    """``segment_anything.SamAutomaticMaskGenerator``: a list of dicts, boxes of whole numbers."""

    def __init__(
        self,
        model: PromptableModel,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: list[np.ndarray] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
    ) -> None:
        options = _options_among(locals()) | {"mask_threshold": model.mask_threshold}
        self._generator = AutomaticMaskGenerator(model, **options)

    @property
    def predictor(self) -> SamPredictor:
        """A predictor of the same model."""
        from everymask.compat.segment_anything.predictor import SamPredictor

        return SamPredictor(self._generator.model)  # type: ignore[arg-type]

    def generate(self, image: np.ndarray) -> list[dict[str, Any]]:
        """Masks of an RGB uint8 image [H, W, 3]: segmentation, area, bbox, predicted_iou, point_coords,
        stability_score and crop_box each."""
        return self._generator.generate(image).to_dicts(self._generator.options.output_mode)


class SAM2AutomaticMaskGenerator:
    """``sam2.automatic_mask_generator.SAM2AutomaticMaskGenerator``: a list of dicts, boxes of floats."""

    def __init__(
        self,
        model: PromptableModel,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.8,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        mask_threshold: float = 0.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: list[np.ndarray] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
        use_m2m: bool = False,
        multimask_output: bool = True,
        **kwargs: Any,
    ) -> None:
        self._generator = AutomaticMaskGenerator(model, **_options_among(locals()))

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> SAM2AutomaticMaskGenerator:
        """The generator of a hub id, "facebook/sam2.1-hiera-large"."""
        from everymask.compat.sam2.build_sam import build_sam2_hf

        return cls(build_sam2_hf(model_id, **kwargs), **kwargs)

    @property
    def predictor(self) -> SAM2ImagePredictor:
        """A predictor of the same model."""
        from everymask.compat.sam2.sam2_image_predictor import SAM2ImagePredictor

        model = self._generator.model
        assert isinstance(model, Sam2)
        return SAM2ImagePredictor(model, mask_threshold=self._generator.options.mask_threshold)

    def generate(self, image: np.ndarray) -> list[dict[str, Any]]:
        """Masks of an RGB uint8 image [H, W, 3]: the same dicts, ``bbox`` and ``crop_box`` as floats."""
        found = self._generator.generate(image).to_dicts(self._generator.options.output_mode)
        return [d | {key: [float(v) for v in d[key]] for key in ("bbox", "crop_box")} for d in found]
