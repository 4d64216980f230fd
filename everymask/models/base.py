"""What every model of the family can do: encode a photo, encode prompts, decode masks.

Letters used in shapes: B images, P prompts, N points of a prompt, M masks of a prompt, C channels,
S the model's side, h x w the embedding grid.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from everymask.geometry import Frame
from everymask.models.specs import ModelSpec
from everymask.nn.choice import choose_masks
from everymask.nn.decode_many import WORTH_PREPARING, decode_many
from everymask.nn.hq_decoder import HqMaskDecoder
from everymask.nn.mask_decoder import MaskDecoder
from everymask.nn.point_decoder import PointDecoder
from everymask.nn.prompt_encoder import BOX_FIRST, BOX_SECOND, PAD, PromptEncoder
from everymask.nn.records import Decoded, ImageFeatures, PromptEmbeddings
from everymask.nn.touched import untouched

Self = TypeVar("Self", bound="PromptableModel")

KEPT_IN_FLOAT32 = (
    "pe_layer",  # positions of clicks: bfloat16 would move them by several pixels
    "output_hypernetworks_mlps",  # mask logits, which thresholds are put to
    "hf_mlp",
    "iou_prediction_head",  # quality estimates, likewise
    "pred_obj_score_head",
)
"""Parts of a bfloat16 or float16 model that stay in float32."""


class PromptableModel(nn.Module):
    """A model that turns photos and prompts into masks; see ``models/sam.py`` and ``models/sam2.py``."""

    mask_threshold: float = 0.0
    """A logit above it belongs to the mask."""

    hq_token_only = False
    """HQ-SAM and HQ-SAM 2: hand on the mask of its own token alone, not added to SAM's."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec

    def __repr__(self) -> str:
        """One line; the tree of modules is ``model.modules()``."""
        millions = sum(parameter.numel() for parameter in self.parameters()) / 1e6
        side, kind = self.spec.image_size, str(self.dtype).removeprefix("torch.")
        what = f"{self.spec.name!r}, {side} px, {millions:.1f} million parameters"
        return f"{type(self).__name__}({what}, {kind} on {self.device})"

    @property
    @abstractmethod
    def prompts(self) -> PromptEncoder:
        """The prompt encoder, under whatever name the checkpoints give it."""

    @property
    @abstractmethod
    def decoder(self) -> MaskDecoder:
        """The mask decoder, under whatever name the checkpoints give it."""

    @property
    def device(self) -> torch.device:
        return self.prompts.no_mask_embed.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The type that the bulk of the arithmetic is done in."""
        return self.prompts.no_mask_embed.weight.dtype

    @property
    def embedding_size(self) -> tuple[int, int]:
        """Height and width of the image embedding."""
        return self.spec.embedding_hw

    @property
    def logits_size(self) -> tuple[int, int]:
        """Height and width of low-resolution mask logits, and of mask prompts."""
        return self.prompts.mask_hw

    @abstractmethod
    def frame(self, photo_hw: tuple[int, int]) -> Frame:
        """How a photo of this size lies in the model's square."""

    def preprocess(self, photo: np.ndarray) -> Tensor:
        """RGB uint8 [H, W, 3] -> float32 [3, S, S] on the model's device, as the model was trained."""
        return self.normalise(self.frame(photo.shape[:2]).resize(photo).to(self.device))

    @abstractmethod
    def normalise(self, pixels: Tensor) -> Tensor:
        """Pixels [..., 3, h, w] that :meth:`frame` resized -> [..., 3, S, S] as the trunk takes them."""

    @abstractmethod
    def encode_image(self, pixels: Tensor) -> ImageFeatures:
        """Preprocessed pictures [B, 3, S, S] -> their features."""

    @abstractmethod
    def arrange(
        self, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Points, labels and boxes of P prompts as the family puts them together for its prompt encoder.

        ``points`` [P, N, 2], ``labels`` [P, N], ``boxes`` XYXY [P, 4], all in model pixels -> one
        list of points and labels, boxes as corner points, with the family's padding point.
        """

    def encode_prompts(
        self, points: Tensor | None = None, labels: Tensor | None = None, masks: Tensor | None = None
    ) -> PromptEmbeddings:
        """Embeddings of P prompts that :meth:`arrange` put together.

        ``points`` [P, N, 2] in model pixels (the half pixel to the centre is added here), ``labels``
        [P, N] (-1 padding, 0 background, 1 object, 2 and 3 the corners of a box), ``masks`` logits
        [P, 1, 4h, 4w].
        """
        return self.prompts(points, labels, masks)

    def decode(self, features: ImageFeatures, prompts: PromptEmbeddings) -> Decoded:
        """All masks of P prompts on one image's features (B = 1), or on one image each (B = P).

        :func:`everymask.nn.choice.choose_masks`, or :meth:`choose`, picks among them.
        """
        dense = self.prompts.no_mask() if prompts.dense is None else prompts.dense
        image = features.embedding + dense  # stays [1, C, h, w], and shared, without mask prompts
        return self.decoder(image, self.prompts.grid_position(), prompts.sparse, features.for_decoder)

    def decode_many(self, features: ImageFeatures, prompts: PromptEmbeddings) -> Decoded:
        """As :meth:`decode` on one photo, for prediction: no gradients, the object score may be left out.

        Four or more prompts without masks share all that depends on the photo only (:meth:`prepared`).
        """
        pays = prompts.dense is None and len(prompts.sparse) >= WORTH_PREPARING
        points = self.prepared(features, prompts.sparse) if pays else None
        return self.decode(features, prompts) if points is None else decode_many(points, prompts.sparse)

    def prepared(self, features: ImageFeatures, *beside: Tensor) -> PointDecoder | None:
        """What answers prompts without masks on one photo, all that they share done beforehand.

        None where only :meth:`decode` can: off the CPU, in half precision, in a decoder that somebody touched
        (``nn/touched.py``), or where gradients are wanted of it or of the tensors ``beside``.
        """
        shares = (
            self.device.type == "cpu"
            and self.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and len(features) == 1
            and untouched(self.decoder, features.embedding, *beside)
        )
        if not shares:
            return None
        image = features.embedding + self.prompts.no_mask()
        return PointDecoder.prepare(self.decoder, image, self.prompts.grid_position(), features.high_res)

    def choose(self, decoded: Decoded, multimask: bool) -> Decoded:
        """The three masks of an ambiguous prompt, or the one of a clear prompt, by the family's rule."""
        decoder = self.spec.decoder
        return choose_masks(
            decoded,
            multimask,
            self.spec.fallback,
            hq_token_only=self.hq_token_only,
            hq_best=decoder.early_dim is not None,
        )

    def cast(self: Self, dtype: torch.dtype) -> Self:
        """The model itself, its weights in ``dtype``; half types leave :data:`KEPT_IN_FLOAT32` alone."""
        half = dtype in (torch.bfloat16, torch.float16)
        named = self.named_modules() if half else ()
        kept = [module for name, module in named if name.rpartition(".")[2] in KEPT_IN_FLOAT32]
        exact = [[tensor.float() for tensor in _tensors(module)] for module in kept]
        self.to(dtype)
        for module, values in zip(kept, exact, strict=True):
            for tensor, value in zip(_tensors(module.float()), values, strict=True):
                tensor.copy_(value)  # what .to(dtype) rounded
        return self


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*(parameter.data for parameter in module.parameters()), *module.buffers()]


def prompt_encoder(spec: ModelSpec) -> PromptEncoder:
    """The prompt encoder, which all families have alike."""
    return PromptEncoder(
        dim=spec.embed_dim,
        embedding_hw=spec.embedding_hw,
        image_size=spec.image_size,
        mask_channels=spec.mask_channels,
    )


def mask_decoder(spec: ModelSpec) -> MaskDecoder:
    """The mask decoder, with HQ-SAM's token where the spec has it."""
    kind = HqMaskDecoder if spec.decoder.is_hq else MaskDecoder
    return kind(spec.embed_dim, spec.decoder)


def standardised(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Pixels [..., 3, h, w] less ``mean``, in units of ``std``, both per colour."""
    middle, spread = (torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (mean, std))
    return (pixels - middle) / spread


def corner_points(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes XYXY [P, 4] as points [P, 2, 2] with the labels [P, 2] that say "corner of a box"."""
    labels = torch.arange(BOX_FIRST, BOX_SECOND + 1, dtype=torch.int32, device=boxes.device)
    return boxes.reshape(-1, 2, 2), labels.expand(len(boxes), 2)


def with_padding(points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """One more point per prompt that says "nothing more"."""
    nothing = points.new_zeros(len(points), 1, 2)
    pad = labels.new_full((len(labels), 1), PAD)
    return torch.cat([points, nothing], dim=1), torch.cat([labels, pad], dim=1)
