"""The official automatic mask generators: their names, arguments, defaults and dicts; the work is ours.

Both are re-exported by ``everymask.compat.segment_anything`` and ``everymask.compat.sam2``. What is
different: wrong arguments raise :class:`everymask.errors.OptionError` rather than AssertionError, and SAM
2's ``min_mask_region_area`` works without a compiled extension.

``generate`` asks :class:`everymask.AutomaticMaskGenerator`, unless somebody would notice: a step that a
subclass or an instance overrides, a predictor or a part of the model that was replaced. Then the official
steps run one by one (``generator_steps.py``) on the predictor.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from everymask.compat.amg import MaskData, batch_iterator, build_all_layer_point_grids
from everymask.compat.generator_steps import GeneratorSteps
from everymask.compat.parts import knows_our_parts
from everymask.compat.segment_anything.predictor import SamPredictor
from everymask.errors import OptionError
from everymask.everything.generate import AutomaticMaskGenerator
from everymask.everything.options import GeneratorOptions
from everymask.models.base import PromptableModel

_KEPT = frozenset(option.name for option in fields(GeneratorOptions)) - {"points_per_side", "effort"}
"""Options that are attributes of a generator, officially too: they count as they are at ``generate``."""


class _Generator(GeneratorSteps):
    """What both generators share."""

    def _keep(self, model: PromptableModel, arguments: dict[str, Any]) -> None:
        """Keep a constructor's arguments as attributes, and refuse wrong ones."""
        if arguments["points_per_side"] is None and arguments["point_grids"] is None:
            raise OptionError("Exactly one of points_per_side or point_grid must be provided.")
        names = _KEPT & arguments.keys()
        for name in names:
            setattr(self, name, arguments[name])
        given = {name: arguments[name] for name in {*names, "points_per_side"}}
        AutomaticMaskGenerator(model, **given)
        if self.point_grids is None:
            self.point_grids = build_all_layer_point_grids(
                arguments["points_per_side"], self.crop_n_layers, self.crop_n_points_downscale_factor
            )

    @torch.no_grad()
    def generate(self, image: np.ndarray) -> list[dict[str, Any]]:
        """Masks of an RGB uint8 image [H, W, 3]: segmentation, area, bbox, predicted_iou, point_coords,
        stability_score and crop_box each."""
        if not self._is_as_built():
            return self._generate_by_steps(image)
        given = {name: getattr(self, name) for name in _KEPT if hasattr(self, name)}
        found = AutomaticMaskGenerator(self.predictor.model, points_per_side=None, **given).generate(image)
        return [self._typed(record) for record in found.to_dicts(self.output_mode)]

    def _is_as_built(self) -> bool:
        steps = [name for name in vars(GeneratorSteps) if not name.startswith("__")]
        overridden = any(
            name in vars(self) or name in vars(kind)
            for name in steps
            for kind in type(self).__mro__
            if kind.__module__ != __name__ and kind is not GeneratorSteps
        )
        predictor = self.predictor
        patched = {
            name for name, value in vars(predictor).items() if callable(getattr(type(predictor), name, None))
        }
        ours = type(predictor).__module__.startswith("everymask.")
        return ours and not overridden and not patched and knows_our_parts(predictor.model)


class SamAutomaticMaskGenerator(_Generator):
    """``segment_anything.SamAutomaticMaskGenerator``: a list of dicts, boxes of whole numbers."""

    PREDICTOR = SamPredictor
    multimask_output = True

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
        self._keep(model, locals())
        self.predictor: Any = self.PREDICTOR(model)  # type: ignore[arg-type]

    @property
    def mask_threshold(self) -> float:  # type: ignore[override]
        """The model's, which masks are cut at."""
        return self.predictor.model.mask_threshold

    def _predict(self, points: np.ndarray, im_size: tuple[int, ...]) -> tuple[MaskData, Tensor]:
        predictor = self.predictor
        placed = torch.as_tensor(predictor.transform.apply_coords(points, im_size), device=predictor.device)
        labels = torch.ones(len(placed), 1, dtype=torch.int, device=predictor.device)
        masks, iou, logits = predictor.predict_torch(
            placed[:, None], labels, multimask_output=self.multimask_output, return_logits=True
        )
        return self._flat(masks, iou, torch.as_tensor(points), logits)


class SAM2AutomaticMaskGenerator(_Generator):
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
        from everymask.compat.sam2.sam2_image_predictor import SAM2ImagePredictor

        self._keep(model, locals())
        self.predictor: Any = SAM2ImagePredictor(
            model,  # type: ignore[arg-type]
            max_hole_area=min_mask_region_area,
            max_sprinkle_area=min_mask_region_area,
        )

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> SAM2AutomaticMaskGenerator:
        """The generator of a hub id, "facebook/sam2.1-hiera-large"."""
        from everymask.compat.sam2.build_sam import build_sam2_hf

        return cls(build_sam2_hf(model_id, **kwargs), **kwargs)

    def _predict(self, points: np.ndarray, im_size: tuple[int, ...]) -> tuple[MaskData, Tensor]:
        predictor = self.predictor
        where = torch.as_tensor(points, dtype=torch.float32, device=predictor.device)
        placed = predictor._transforms.transform_coords(where, normalize=True, orig_hw=im_size)
        labels = torch.ones(len(placed), 1, dtype=torch.int, device=predictor.device)
        masks, iou, logits = predictor._predict(
            placed[:, None], labels, multimask_output=self.multimask_output, return_logits=True
        )
        data, low_res = self._flat(masks, iou, where, logits)
        if self.use_m2m:
            each = placed.repeat_interleave(masks.shape[1], dim=0)
            ones = torch.ones(len(each), dtype=torch.int, device=each.device)
            refined, data["iou_preds"] = self.refine_with_m2m(each, ones, low_res, self.points_per_batch)
            data["masks"], data["iou_preds"] = refined.squeeze(1), data["iou_preds"].squeeze(1)
        return data, low_res

    def refine_with_m2m(
        self, points: Tensor, point_labels: Tensor, low_res_masks: Tensor, points_per_batch: int
    ) -> tuple[Tensor, Tensor]:
        """Each mask fed back with its point: masks [B, 1, H, W] as logits and predicted IoU [B, 1]."""
        answers = [
            self.predictor._predict(
                some[:, None],
                labels[:, None],
                mask_input=masks[:, None],
                multimask_output=False,
                return_logits=True,
            )
            for some, labels, masks in batch_iterator(points_per_batch, points, point_labels, low_res_masks)
        ]
        return torch.cat([answer[0] for answer in answers]), torch.cat([answer[1] for answer in answers])

    @staticmethod
    def _typed(record: dict[str, Any]) -> dict[str, Any]:
        return record | {key: [float(value) for value in record[key]] for key in ("bbox", "crop_box")}
