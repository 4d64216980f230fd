"""Encoder and mask decoder as modules of plain tensors, with the inputs and outputs that others know.

SAM's decoder has the official signature (``SamOnnxModel``), that of SAM 2 and its kin the one of ONNX
Runtime's SAM 2 tools. Both leave out here what follows low-resolution logits (``export/tail.py``).

Letters: B images, P prompts, N points of a prompt, M masks, C channels, h x w the embedding grid, S the
model's side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from everymask.models.base import PromptableModel
from everymask.nn.records import Decoded, ImageFeatures, PromptEmbeddings
from everymask.quiet import ignoring

Masks = Literal["all", "multi", "single"]
MASKS: dict[str, Masks] = {"all": "all", "multi": "multi", "single": "single"}
"""Which masks a decoder hands on: all four, the three of an ambiguous prompt, or the one of a clear one."""


@dataclass(frozen=True)
class Signature:
    """A graph's names, what it is traced with, and which of its axes may have any length."""

    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    free_axes: dict[str, dict[int, str]]


def feature_names(model: PromptableModel) -> tuple[str, ...]:
    """What the encoder gives and the decoder takes, the embedding last for SAM 2 and first for SAM."""
    decoder = model.spec.decoder
    if decoder.high_res:
        return "image_features_0", "image_features_1", "image_embeddings"
    return ("image_embeddings",) if decoder.early_dim is None else ("image_embeddings", "hq_features")


def _as_features(model: PromptableModel, maps: tuple[Tensor, ...]) -> ImageFeatures:
    if model.spec.family == "sam2":
        return ImageFeatures(maps[-1], maps[:-1])
    return ImageFeatures(maps[0], early=maps[1:])


class EncoderGraph(nn.Module):
    """Normalised pictures [B, 3, S, S] to the maps of :func:`feature_names`."""

    def __init__(self, model: PromptableModel) -> None:
        super().__init__()
        self.model = model
        self.training = model.training  # the exporter leaves modules as it found the outermost one

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features = self.model.encode_image(image)
        if self.model.spec.family == "sam2":
            return (*features.high_res, features.embedding)
        return (features.embedding, *features.early)

    def signature(self) -> Signature:
        side = self.model.spec.image_size
        return Signature({"image": torch.zeros(1, 3, side, side)}, feature_names(self.model), {})


class DecoderGraph(nn.Module):
    """Maps of one image and P prompts on it to logits [P, M, 4h, 4w] and predicted IoU [P, M]."""

    def __init__(self, model: PromptableModel, masks: Masks = "all") -> None:
        super().__init__()
        self.model, self.masks = model, masks
        self.training = model.training
        self.sam2 = model.spec.family == "sam2"

    def forward(self, *given: Tensor) -> tuple[Tensor, Tensor]:
        count = len(feature_names(self.model))
        features, (points, labels, masks, has_mask) = _as_features(self.model, given[:count]), given[count:]
        if self.sam2:  # the padding point is added here, behind points if there are any
            points = torch.cat([points, points[:, :1] * 0], dim=1)
            labels = torch.cat([labels, labels[:, :1] * 0 - 1], dim=1)
        prompts = self.model.prompts
        has = has_mask.reshape(-1, 1, 1, 1)
        dense = has * prompts.mask_downscaling(masks) + (1 - has) * prompts.no_mask()
        embedded = PromptEmbeddings(prompts.embed_points(points, labels), dense)
        chosen = self.chosen(self.model.decode(features, embedded))
        return chosen.mask_logits, chosen.iou

    def chosen(self, decoded: Decoded) -> Decoded:
        if self.masks != "all":
            return self.model.choose(decoded, multimask=self.masks == "multi")
        if decoded.hq_logits is None:
            return decoded
        return Decoded(decoded.mask_logits + decoded.hq_logits, decoded.iou, decoded.mask_tokens)

    def signature(self) -> Signature:
        model, prompts, points = self.model, 2, 3
        height, width = model.logits_size
        with torch.no_grad():
            image = torch.zeros(1, 3, model.spec.image_size, model.spec.image_size)
            maps = EncoderGraph(model)(image)
        inputs = dict(zip(feature_names(model), maps, strict=True))
        masks = prompts if self.sam2 else 1  # the official SAM has one mask prompt for all
        inputs |= {
            "point_coords": torch.rand(prompts, points, 2) * model.spec.image_size,
            "point_labels": torch.tensor([[1, 0, -1]] * prompts, dtype=self.label_type),
            self.names["masks"]: torch.zeros(masks, 1, height, width),
            self.names["has_masks"]: torch.zeros(masks),
        }
        each = {0: "num_labels"}
        free: dict[str, dict[int, str]] = {
            "point_coords": {0: "num_labels", 1: "num_points"},
            "point_labels": {0: "num_labels", 1: "num_points"},
            "low_res_masks": each,
            "iou_predictions": each,
        }
        if self.sam2:
            free |= {self.names["masks"]: each, self.names["has_masks"]: {0: "num_has_masks"}}
        return Signature(inputs, ("low_res_masks", "iou_predictions"), free)

    @property
    def label_type(self) -> torch.dtype:
        """Official SAM takes labels as floats."""
        return torch.int32 if self.sam2 else torch.float32

    @property
    def names(self) -> dict[str, str]:
        """What the two families call the same inputs."""
        if self.sam2:
            return {"masks": "input_masks", "has_masks": "has_input_masks", "size": "original_image_size"}
        return {"masks": "mask_input", "has_masks": "has_mask_input", "size": "orig_im_size"}


class WholeGraph(nn.Module):
    """Encoder and decoder as one graph: a picture and prompts to masks."""

    def __init__(self, model: PromptableModel, masks: Masks = "all") -> None:
        super().__init__()
        self.encoder, self.decoder = EncoderGraph(model), DecoderGraph(model, masks)
        self.training = model.training

    def forward(self, image: Tensor, *prompts: Tensor) -> tuple[Tensor, Tensor]:
        return self.decoder(*self.encoder(image), *prompts)

    def signature(self) -> Signature:
        encoder, decoder = self.encoder.signature(), self.decoder.signature()
        prompts = {name: x for name, x in decoder.inputs.items() if name not in encoder.outputs}
        return Signature({**encoder.inputs, **prompts}, decoder.outputs, decoder.free_axes)

    @property
    def names(self) -> dict[str, str]:
        return self.decoder.names


Graph = EncoderGraph | DecoderGraph | WholeGraph


def traced(graph: Graph, path: Any, opset: int) -> None:
    """Write the graph to ``path`` (a file or a stream)."""
    signature = graph.signature()
    with ignoring(), torch.no_grad():  # on Python values that become constants; all of them may
        torch.onnx.export(
            graph,
            tuple(signature.inputs.values()),
            path,
            input_names=list(signature.inputs),
            output_names=list(signature.outputs),
            dynamic_axes=signature.free_axes,
            opset_version=opset,
            dynamo=False,
        )
