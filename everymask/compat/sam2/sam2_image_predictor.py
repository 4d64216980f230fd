"""``sam2.sam2_image_predictor``: :class:`SAM2ImagePredictor`."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from everymask.compat.parts import CalledOfficially, PromptEncoder, knows_our_parts
from everymask.errors import PictureError, PromptError, SessionError
from everymask.models.sam2 import Sam2
from everymask.nn.records import ImageFeatures

from .build_sam import build_sam2_hf
from .utils.transforms import SAM2Transforms

_LOGIT_LIMIT = 32.0  # of the logits handed back, after the masks are made of them
_Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


class NoImageError(SessionError, RuntimeError):
    """No image is set. A RuntimeError as well, which the official predictor raises here."""


class SAM2ImagePredictor:
    """Encodes an image, or a batch, once and answers prompts on it, as the official class of this name.

    ``sam_model`` comes from ``build_sam2``, or from :func:`everymask.load`. ``max_hole_area`` and
    ``max_sprinkle_area`` work on every device, without a CUDA extension.
    """

    _features: dict[str, Any]
    _orig_hw: list[tuple[int, ...]]

    def __init__(
        self,
        sam_model: Sam2,
        mask_threshold: float = 0.0,
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self.model = sam_model
        self.mask_threshold = mask_threshold
        self._transforms = SAM2Transforms(
            sam_model.spec.image_size, mask_threshold, max_hole_area, max_sprinkle_area
        )
        sides = [sam_model.spec.image_size // stride for stride in (4, 8, 16)]
        self._bb_feat_sizes = [(side, side) for side in sides]
        self.reset_predictor()

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> SAM2ImagePredictor:
        """The predictor of a hub id, "facebook/sam2.1-hiera-large"."""
        return cls(build_sam2_hf(model_id, **kwargs), **kwargs)

    # --- images -----------------------------------------------------------------------------------

    def set_image(self, image: np.ndarray | Image) -> None:
        """Encode an RGB array [H, W, 3] (uint8, or floats of 0 to 1) or an RGB PIL image."""
        self._encode([image], is_batch=False)

    def set_image_batch(self, image_list: list[np.ndarray]) -> None:
        """Encode several RGB arrays, of any sizes, for :meth:`predict_batch`."""
        if not isinstance(image_list, list):
            raise PictureError(f"image_list must be a list of RGB arrays, got {type(image_list).__name__}")
        self._encode(image_list, is_batch=True)

    @torch.no_grad()
    def _encode(self, images: list[Any], is_batch: bool) -> None:
        self.reset_predictor()
        features = self.model.encode_image(self._transforms.forward_batch(images).to(self.device))
        self._features = {"image_embed": features.embedding, "high_res_feats": list(features.high_res)}
        self._orig_hw = [
            image.size[::-1] if isinstance(image, Image) else image.shape[:2] for image in images
        ]
        self._is_image_set, self._is_batch = True, is_batch

    def get_image_embedding(self) -> Tensor:
        """The coarsest features, [B, C, h, w]."""
        self._require_image("An image must be set with .set_image(...) to generate an embedding.")
        return self._features["image_embed"]

    @property
    def device(self) -> torch.device:
        return self.model.device

    def reset_predictor(self) -> None:
        """Forget the images."""
        self._is_image_set, self._is_batch = False, False
        self._features = {}
        self._orig_hw = []

    # --- prompts ----------------------------------------------------------------------------------

    def predict(
        self,
        point_coords: np.ndarray | None = None,
        point_labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        mask_input: np.ndarray | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> _Arrays:
        """Masks float32 of 0 and 1 [C, H, W], IoU predictions [C] and low-resolution logits [C, h, w].

        point_coords [N, 2] photo pixels (of 0 to 1 without ``normalize_coords``), point_labels [N], box
        XYXY [4], mask_input logits [1, h, w]. Several prompts at once, [B, N, 2], [B, N], [B, 4] and
        [B, 1, h, w], give results with a leading axis B.
        """
        self._require_image("An image must be set with .set_image(...) before mask prediction.")
        prompts = self._prep_prompts(point_coords, point_labels, box, mask_input, normalize_coords)
        return self._numpy_answer(prompts, multimask_output, return_logits, img_idx=-1)

    def predict_batch(
        self,
        point_coords_batch: list[np.ndarray] | None = None,
        point_labels_batch: list[np.ndarray] | None = None,
        box_batch: list[np.ndarray] | None = None,
        mask_input_batch: list[np.ndarray] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """As :meth:`predict` for each image of :meth:`set_image_batch`: three lists."""
        if not self._is_batch:
            raise NoImageError("An image must be set with .set_image_batch(...) before mask prediction.")
        batches = (point_coords_batch, point_labels_batch, box_batch, mask_input_batch)
        answers = []
        for index in range(len(self._orig_hw)):
            points, labels, box, mask = (None if batch is None else batch[index] for batch in batches)
            prompts = self._prep_prompts(points, labels, box, mask, normalize_coords, img_idx=index)
            answers.append(self._numpy_answer(prompts, multimask_output, return_logits, img_idx=index))
        masks, ious, logits = (list(each) for each in zip(*answers, strict=True))
        return masks, ious, logits

    def _numpy_answer(
        self, prompts: tuple[Any, ...], multimask_output: bool, return_logits: bool, img_idx: int
    ) -> _Arrays:
        mask_input, coords, labels, boxes = prompts
        answer = self._predict(
            coords, labels, boxes, mask_input, multimask_output, return_logits=return_logits, img_idx=img_idx
        )
        masks, iou, logits = (each.squeeze(0).float().detach().cpu().numpy() for each in answer)
        return masks, iou, logits

    def _prep_prompts(
        self,
        point_coords: Any,
        point_labels: Any,
        box: Any,
        mask_logits: Any,
        normalize_coords: bool,
        img_idx: int = -1,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        """Mask, points [B, N, 2], labels [B, N] and boxes [B, 2, 2] as tensors, in model pixels."""
        coords, labels, boxes, masks = None, None, None, None
        photo_hw = self._orig_hw[img_idx]
        if point_coords is not None:
            if point_labels is None:
                raise PromptError("point_labels must be supplied if point_coords is supplied.")
            given = self._tensor(point_coords)
            coords = self._transforms.transform_coords(given, normalize_coords, photo_hw)
            labels = torch.as_tensor(point_labels, dtype=torch.int, device=self.device)
            if coords.ndim == 2:
                coords, labels = coords[None], labels[None]
        if box is not None:
            boxes = self._transforms.transform_boxes(self._tensor(box), normalize_coords, photo_hw)
        if mask_logits is not None:
            masks = self._tensor(mask_logits)
            masks = masks[None] if masks.ndim == 3 else masks
        return masks, coords, labels, boxes

    @torch.no_grad()
    def _predict(
        self,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        img_idx: int = -1,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As :meth:`predict` for B prompts in model pixels; tensors [B, C, ...], masks as booleans."""
        self._require_image("An image must be set with .set_image(...) before mask prediction.")
        corners = None if boxes is None else boxes.reshape(-1, 4)
        points, labels = self.model.arrange(point_coords, point_labels, corners)
        logits, iou = self._decode(self._features_of(img_idx), points, labels, mask_input, multimask_output)
        masks = self._transforms.postprocess_masks(logits, self._orig_hw[img_idx])
        limited = logits.clamp(-_LOGIT_LIMIT, _LOGIT_LIMIT)
        return masks if return_logits else masks > self.mask_threshold, iou, limited

    def _decode(
        self,
        features: ImageFeatures,
        points: Tensor | None,  # [B, N, 2] with the padding point
        labels: Tensor | None,
        masks: Tensor | None,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        """Logits [B, C, h, w] and IoU predictions [B, C]."""
        model = self.model
        if not isinstance(model, CalledOfficially) or knows_our_parts(model):
            decoded = model.decode_many(features, model.encode_prompts(points, labels, masks))
            chosen = model.choose(decoded, multimask_output)
            return chosen.mask_logits, chosen.iou
        # the official encoder puts the padding point itself
        given = None if points is None or labels is None else (points[:, :-1], labels[:, :-1])
        sparse, dense = model.sam_prompt_encoder(points=given, boxes=None, masks=masks)
        return model.sam_mask_decoder(
            image_embeddings=features.embedding,
            image_pe=cast(PromptEncoder, model.sam_prompt_encoder).get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask_output,
            repeat_image=given is not None and len(given[0]) > 1,
            high_res_features=list(features.high_res),
        )[:2]

    def _features_of(self, img_idx: int) -> ImageFeatures:
        high_res = tuple(level[img_idx][None] for level in self._features["high_res_feats"])
        return ImageFeatures(self._features["image_embed"][img_idx][None], high_res)

    def _tensor(self, values: Any) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float, device=self.device)

    def _require_image(self, message: str) -> None:
        if not self._is_image_set:
            raise NoImageError(message)
