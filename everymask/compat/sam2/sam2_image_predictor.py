"""``sam2.sam2_image_predictor``: :class:`SAM2ImagePredictor`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from everymask.errors import PictureError, PromptError, SessionError
from everymask.geometry import Squash
from everymask.masks.regions import fill_small_holes
from everymask.models.sam2 import Sam2
from everymask.nn.records import ImageFeatures

from .build_sam import build_sam2_hf

_LOGIT_LIMIT = 32.0  # of the logits handed back, after the masks are made of them
_Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


class NoImageError(SessionError, RuntimeError):
    """No image is set. A RuntimeError as well, which the official predictor raises here."""


class SAM2ImagePredictor:
    """Encodes an image, or a batch, once and answers prompts on it, as the official class of this name.

    ``max_hole_area`` and ``max_sprinkle_area`` (pixels of the 256 x 256 logits) work on every device;
    the official code needs a CUDA extension for them and leaves them out without one.
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
        self.max_hole_area, self.max_sprinkle_area = max_hole_area, max_sprinkle_area
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
        photos = [_rgb(image) for image in images]
        frames = [self._frame(photo.shape[:2]) for photo in photos]
        pixels = [frame.resize(photo) for frame, photo in zip(frames, photos, strict=True)]
        features = self.model.encode_image(self.model.normalise(torch.stack(pixels).to(self.device)))
        self._features = {"image_embed": features.embedding, "high_res_feats": list(features.high_res)}
        self._orig_hw = [photo.shape[:2] for photo in photos]
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
        frame = self._frame(self._orig_hw[img_idx]) if normalize_coords else self._frame((1, 1))
        if point_coords is not None:
            if point_labels is None:
                raise PromptError("point_labels must be supplied if point_coords is supplied.")
            coords = frame.to_model(self._tensor(point_coords))
            labels = torch.as_tensor(point_labels, dtype=torch.int, device=self.device)
            if coords.ndim == 2:
                coords, labels = coords[None], labels[None]
        if box is not None:
            boxes = frame.to_model(self._tensor(box).reshape(-1, 2, 2))
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
        tokens = self.model.arrange(point_coords, point_labels, corners)
        decoded = self.model.decode(
            self._features_of(img_idx), self.model.encode_prompts(*tokens, mask_input)
        )
        chosen = self.model.choose(decoded, multimask_output)
        masks = self._frame(self._orig_hw[img_idx]).upscale(self._cleaned(chosen.mask_logits.float()))
        limited = chosen.mask_logits.clamp(-_LOGIT_LIMIT, _LOGIT_LIMIT)
        return masks if return_logits else masks > self.mask_threshold, chosen.iou, limited

    def _features_of(self, img_idx: int) -> ImageFeatures:
        high_res = tuple(level[img_idx][None] for level in self._features["high_res_feats"])
        return ImageFeatures(self._features["image_embed"][img_idx][None], high_res)

    def _cleaned(self, logits: Tensor) -> Tensor:
        """Logits [B, C, h, w] with small holes raised and small islands lowered beyond the threshold."""
        if self.max_hole_area <= 0 and self.max_sprinkle_area <= 0:
            return logits
        planes = [self._clean_plane(plane) for plane in logits.flatten(0, 1).cpu().numpy()]
        return torch.from_numpy(np.stack(planes)).to(logits).reshape(logits.shape)

    def _clean_plane(self, logits: np.ndarray) -> np.ndarray:
        """Components of at most the area go; both kinds are looked for in the logits as they came."""
        inside = logits > self.mask_threshold
        cleaned = logits.copy()
        if self.max_hole_area > 0:
            cleaned[_small_components(~inside, self.max_hole_area)] = self.mask_threshold + 10.0
        if self.max_sprinkle_area > 0:
            cleaned[_small_components(inside, self.max_sprinkle_area)] = self.mask_threshold - 10.0
        return cleaned

    def _frame(self, photo_hw: tuple[int, ...]) -> Squash:
        height, width = photo_hw
        return self.model.frame((height, width))

    def _tensor(self, values: Any) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float, device=self.device)

    def _require_image(self, message: str) -> None:
        if not self._is_image_set:
            raise NoImageError(message)


def _small_components(mask: np.ndarray, max_area_px: float) -> np.ndarray:
    """Where ``mask`` has 8-connected components of at most ``max_area_px`` pixels."""
    fewer_than = math.floor(max_area_px) + 1
    return fill_small_holes(~mask, fewer_than).mask & mask


def _rgb(image: np.ndarray | Image) -> np.ndarray:
    """An RGB image as an array of 0 to 255, uint8 or float32."""
    if not isinstance(image, (np.ndarray, Image)):
        raise PictureError(f"image must be an RGB array or a PIL image, got {type(image).__name__}")
    array = np.array(image) if isinstance(image, Image) else image
    if array.ndim != 3 or array.shape[2] != 3:
        raise PictureError(
            f"image must be RGB of shape (H, W, 3), got {array.shape}; "
            "everymask.read_photo makes one of any picture"
        )
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise PictureError(f"image must hold uint8, or floats of 0 to 1, got {array.dtype}")
    return array.astype(np.float32) * 255
