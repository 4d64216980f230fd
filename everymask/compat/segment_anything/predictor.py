"""``segment_anything.predictor``: :class:`SamPredictor`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from everymask.errors import OptionError, PictureError, PromptError, SessionError
from everymask.models.sam import Sam

from .modeling.sam import decode_prompts, scale_masks
from .utils.transforms import ResizeLongestSide


class NoImageError(SessionError, RuntimeError):
    """No image is set. A RuntimeError as well, which the official predictor raises here."""


def first_of(answer: tuple[Tensor, Tensor, Tensor]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The answer to the one prompt, as arrays."""
    masks, iou, logits = (each[0].detach().cpu().numpy() for each in answer)
    return masks, iou, logits


class SamPredictor:
    """Encodes an image once and answers prompts on it, as the official class of this name.

    ``sam_model`` comes from ``sam_model_registry``, or from :func:`everymask.load`.
    """

    features: Tensor | None  # [1, C, h, w]
    original_size: tuple[int, ...]  # H, W
    input_size: tuple[int, ...]  # of the resized image

    def __init__(self, sam_model: Sam) -> None:
        self.model = sam_model
        self.transform = ResizeLongestSide(sam_model.spec.image_size)
        self.reset_image()

    def set_image(self, image: np.ndarray, image_format: str = "RGB") -> None:
        """Encode uint8 [H, W, 3], "RGB" or "BGR"."""
        if image_format not in ("RGB", "BGR"):
            raise OptionError(f"image_format must be in ['RGB', 'BGR'], is {image_format}.")
        image = np.asarray(image)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise PictureError(
                f"image must be uint8 of shape (H, W, 3), got {image.dtype} of shape {image.shape}; "
                "everymask.read_photo makes one of any picture"
            )
        if image_format != "RGB":
            image = image[..., ::-1]
        resized = torch.as_tensor(self.transform.apply_image(image), device=self.device)
        self.set_torch_image(resized.permute(2, 0, 1).contiguous()[None], image.shape[:2])

    @torch.no_grad()
    def set_torch_image(self, transformed_image: Tensor, original_image_size: tuple[int, ...]) -> None:
        """Encode an image [1, 3, h, w] that is resized already; the original's size is (H, W)."""
        side = self.model.spec.image_size
        shape = tuple(transformed_image.shape)
        if len(shape) != 4 or shape[1] != 3 or max(shape[2:]) != side:
            raise PictureError(f"set_torch_image input must be BCHW with long side {side}, got {shape}")
        self.reset_image()
        self.original_size = original_image_size
        self.input_size = shape[-2:]
        self._encode(self.model.normalise(transformed_image))
        self.is_image_set = True

    def _encode(self, pixels: Tensor) -> None:
        self.features = self.model.encode_image(pixels).embedding

    def predict(
        self,
        point_coords: np.ndarray | None = None,
        point_labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        mask_input: np.ndarray | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Masks bool [C, H, W], IoU predictions [C] and low-resolution logits [C, h, w] of one prompt.

        point_coords [N, 2] photo pixels, point_labels [N], box XYXY [4], mask_input logits [1, h, w].
        """
        prompt = self._one_prompt(point_coords, point_labels, box, mask_input)
        return first_of(self.predict_torch(*prompt, multimask_output, return_logits=return_logits))

    def _one_prompt(
        self,
        point_coords: np.ndarray | None,
        point_labels: np.ndarray | None,
        box: np.ndarray | None,
        mask_input: np.ndarray | None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        """Points, labels, box and mask in photo pixels as :meth:`predict_torch` takes them."""
        self._require_image()
        coords, labels, boxes, masks = None, None, None, None
        if point_coords is not None:
            if point_labels is None:
                raise PromptError("point_labels must be supplied if point_coords is supplied.")
            coords = self._tensor(self.transform.apply_coords(point_coords, self.original_size))[None]
            labels = torch.as_tensor(point_labels, dtype=torch.int, device=self.device)[None]
        if box is not None:
            boxes = self._tensor(self.transform.apply_boxes(np.asarray(box), self.original_size))[None]
        if mask_input is not None:
            masks = self._tensor(mask_input)[None]
        return coords, labels, boxes, masks

    @torch.no_grad()
    def predict_torch(
        self,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Masks [B, C, H, W], IoU predictions [B, C] and logits [B, C, h, w] of B prompts.

        point_coords [B, N, 2] and boxes [B, 4] in the pixels of the resized image (``self.transform``),
        point_labels [B, N], mask_input [B, 1, h, w].
        """
        self._require_image()
        assert self.features is not None
        logits, iou = decode_prompts(
            self.model, self.features, point_coords, point_labels, boxes, mask_input, multimask_output
        )
        return self._in_the_photo(logits, return_logits), iou, logits

    def _in_the_photo(self, logits: Tensor, return_logits: bool) -> Tensor:
        masks = scale_masks(logits, self.model.spec.image_size, self.input_size, self.original_size)
        return masks if return_logits else masks > self.model.mask_threshold

    def get_image_embedding(self) -> Tensor:
        """The features of the image, [1, C, h, w]."""
        self._require_image("to generate an embedding.")
        assert self.features is not None
        return self.features

    @property
    def device(self) -> torch.device:
        return self.model.device

    def reset_image(self) -> None:
        """Forget the image."""
        self.is_image_set = False
        self.features = None
        self.original_size = ()
        self.input_size = ()

    def _require_image(self, what: str = "before mask prediction.") -> None:
        if not self.is_image_set:
            raise NoImageError(f"An image must be set with .set_image(...) {what}")

    def _tensor(self, values: Any) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float, device=self.device)
