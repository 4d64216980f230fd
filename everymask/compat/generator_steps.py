"""The official generators' steps one by one, for programs that override or watch them.

The names, arguments and records are those of the official classes; a subclass may replace any of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from everymask.compat import amg
from everymask.compat.amg import MaskData
from everymask.masks.boxes import box_of_mask


class GeneratorSteps:
    """From a photo to records, on ``self.predictor``; the options are attributes."""

    predictor: Any
    point_grids: Any
    points_per_batch: int
    pred_iou_thresh: float
    stability_score_thresh: float
    stability_score_offset: float
    mask_threshold: float
    box_nms_thresh: float
    crop_n_layers: int
    crop_nms_thresh: float
    crop_overlap_ratio: float
    crop_n_points_downscale_factor: int
    min_mask_region_area: int
    output_mode: str
    use_m2m: bool
    multimask_output: bool

    def _generate_by_steps(self, image: np.ndarray) -> list[dict[str, Any]]:
        data = self._generate_masks(image)
        if self.min_mask_region_area > 0 and not hasattr(
            self.predictor, "_transforms"
        ):  # SAM; SAM 2 cleans logits
            threshold = max(self.box_nms_thresh, self.crop_nms_thresh)
            data = self.postprocess_small_regions(data, self.min_mask_region_area, threshold)
        encode = {"coco_rle": amg.coco_encode_rle, "binary_mask": amg.rle_to_mask}
        segmentation = encode.get(self.output_mode, dict)
        return [
            self._typed(
                {
                    "segmentation": segmentation(rle),
                    "area": amg.area_from_rle(rle),
                    "bbox": amg.box_xyxy_to_xywh(data["boxes"][index]).tolist(),
                    "predicted_iou": data["iou_preds"][index].item(),
                    "point_coords": [data["points"][index].tolist()],
                    "stability_score": data["stability_score"][index].item(),
                    "crop_box": amg.box_xyxy_to_xywh(data["crop_boxes"][index]).tolist(),
                }
            )
            for index, rle in enumerate(data["rles"])
        ]

    @staticmethod
    def _typed(record: dict[str, Any]) -> dict[str, Any]:
        """A record with its boxes in the official type: whole numbers, or floats for SAM 2."""
        return record

    def _generate_masks(self, image: np.ndarray) -> MaskData:
        """The masks of all crops, in the order of suppression."""
        photo_hw = image.shape[:2]
        boxes, layers = amg.generate_crop_boxes(photo_hw, self.crop_n_layers, self.crop_overlap_ratio)
        data = MaskData()
        for box, layer in zip(boxes, layers, strict=True):
            data.cat(self._process_crop(image, box, layer, photo_hw))
        if len(boxes) > 1:  # masks of smaller crops are preferred
            found = data["crop_boxes"]
            scores = 1 / ((found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1]))
            data.filter(amg.box_nms(data["boxes"], scores, self.crop_nms_thresh))
        data.to_numpy()
        return data

    def _process_crop(
        self, image: np.ndarray, crop_box: list[int], crop_layer_idx: int, orig_size: tuple[int, ...]
    ) -> MaskData:
        """The masks of one crop that suppression leaves, in the photo's frame."""
        x0, y0, x1, y1 = crop_box
        crop = image[y0:y1, x0:x1]
        self.predictor.set_image(crop)
        points_xy = self.point_grids[crop_layer_idx] * np.array([[x1 - x0, y1 - y0]])
        data = MaskData()
        for (points,) in amg.batch_iterator(self.points_per_batch, points_xy):
            data.cat(self._process_batch(points, crop.shape[:2], crop_box, orig_size))
        forget = getattr(self.predictor, "reset_predictor", None) or self.predictor.reset_image
        forget()
        data.filter(amg.box_nms(data["boxes"], data["iou_preds"], self.box_nms_thresh))
        data["boxes"] = amg.uncrop_boxes_xyxy(data["boxes"], crop_box)
        data["points"] = amg.uncrop_points(data["points"], crop_box)
        data["crop_boxes"] = torch.tensor([crop_box] * len(data["rles"])).reshape(-1, 4)
        return data

    def _process_batch(
        self,
        points: np.ndarray,
        im_size: tuple[int, ...],
        crop_box: list[int],
        orig_size: tuple[int, ...],
        normalize: bool = True,
    ) -> MaskData:
        """The masks of some points [N, 2] (crop pixels) that pass the filters of a single mask."""
        height, width = orig_size
        data, _ = self._predict(points, im_size)
        if self.pred_iou_thresh > 0:
            data.filter(data["iou_preds"] > self.pred_iou_thresh)
        data["stability_score"] = amg.calculate_stability_score(
            data["masks"], self.mask_threshold, self.stability_score_offset
        )
        if self.stability_score_thresh > 0:
            data.filter(data["stability_score"] >= self.stability_score_thresh)
        data["masks"] = data["masks"] > self.mask_threshold
        data["boxes"] = amg.batched_mask_to_box(data["masks"])
        data.filter(~amg.is_box_near_crop_edge(data["boxes"], crop_box, [0, 0, width, height]))
        data["rles"] = amg.mask_to_rle_pytorch(amg.uncrop_masks(data["masks"], crop_box, height, width))
        del data["masks"]
        return data

    def _predict(self, points: np.ndarray, im_size: tuple[int, ...]) -> tuple[MaskData, Tensor]:
        """Mask logits, predicted IoU and points of one foreground click each; and low-resolution logits."""
        raise NotImplementedError

    @staticmethod
    def _flat(masks: Tensor, iou: Tensor, points: Tensor, low_res: Tensor) -> tuple[MaskData, Tensor]:
        each = points.repeat_interleave(masks.shape[1], dim=0)
        data = MaskData(masks=masks.flatten(0, 1), iou_preds=iou.flatten(0, 1), points=each)
        return data, low_res.flatten(0, 1)

    @staticmethod
    def postprocess_small_regions(mask_data: MaskData, min_area: int, nms_thresh: float) -> MaskData:
        """``mask_data`` itself without small holes and islands, then suppression once more: what did not
        change is preferred."""
        masks, scores = [], []
        for rle in mask_data["rles"]:
            mask, filled = amg.remove_small_regions(amg.rle_to_mask(rle), min_area, mode="holes")
            mask, dropped = amg.remove_small_regions(mask, min_area, mode="islands")
            masks.append(mask)
            scores.append(float(not (filled or dropped)))
        if not masks:
            return mask_data
        boxes = torch.tensor([box_of_mask(mask) for mask in masks])
        keep = amg.box_nms(boxes, torch.tensor(scores), nms_thresh)
        for index in keep.tolist():
            if scores[index] == 0:
                mask_data["rles"][index] = amg.mask_to_rle_pytorch(torch.from_numpy(masks[index])[None])[0]
                mask_data["boxes"][index] = boxes[index].numpy()
        mask_data.filter(keep)
        return mask_data
