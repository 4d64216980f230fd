"""A folder that ``everymask export`` wrote, as a model: its graphs run in ONNX Runtime.

It answers what a model of PyTorch answers about photos: ``ImagePredictor``, everything mode. It has no
weights that could be trained, and no memory for video.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from everymask.errors import CheckpointError, OptionError, PromptError, require
from everymask.models import sam
from everymask.models.base import PromptableModel
from everymask.models.places import EXPORT_NOTE
from everymask.models.sam import Sam
from everymask.models.sam2 import Sam2
from everymask.models.specs import MODELS, ModelSpec
from everymask.nn.choice import StabilityFallback
from everymask.nn.encoders.convnet import PIXEL_MEAN, PIXEL_STD
from everymask.nn.mask_decoder import DecoderSpec
from everymask.nn.prompt_encoder import PAD
from everymask.nn.records import Decoded, ImageFeatures, PromptEmbeddings

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
FORMAT = "everymask onnx 1"


def note_of(model: PromptableModel, masks: str, precision: str) -> dict[str, Any]:
    """What a folder's graphs are of: enough to prepare photos and prompts, and to choose among masks."""
    spec = model.spec
    decoder = spec.decoder
    return {
        "format": FORMAT,
        "name": spec.name,
        "family": spec.family,
        "image_size": spec.image_size,
        "embed_dim": spec.embed_dim,
        "decoder": {
            "masks": decoder.masks,
            "high_res": decoder.high_res,
            "hq_token": decoder.hq_token,
            "early_dim": decoder.early_dim,
        },
        "fallback": None if spec.fallback is None else asdict(spec.fallback),
        "generator": dict(spec.generator),
        "masks": masks,
        "precision": precision,
        "pixels": _pixels_of(model),
    }


def _pixels_of(model: PromptableModel) -> dict[str, Any]:
    """How a photo becomes ``image``: squashed, or padded at the right and below; values up to ``highest``,
    less the mean, in units of the spread."""
    if isinstance(model, Sam2):
        return {"fit": "squash", "highest": 1.0, "mean": list(PIXEL_MEAN), "spread": list(PIXEL_STD)}
    return {"fit": "letterbox", "highest": 255.0, "mean": list(sam.PIXEL_MEAN), "spread": list(sam.PIXEL_STD)}


def load_exported(folder: Path) -> PromptableModel:
    """The model of a folder of an export.

    Raises CheckpointError for a folder that is not whole, OptionError for one without all masks,
    MissingExtraError without ONNX Runtime.
    """
    note = _read_note(folder / EXPORT_NOTE)
    if note["masks"] != "all":
        raise OptionError(
            f"{folder} has only the masks {note['masks']!r} of a prompt; export all of them to run it here"
        )
    spec = ModelSpec(
        note["name"],
        note["family"],
        MODELS["nano"].trunk,  # nothing asks for it: the trunk is in the graph
        image_size=note["image_size"],
        embed_dim=note["embed_dim"],
        decoder=replace(DecoderSpec(), **note["decoder"]),
        fallback=None if note["fallback"] is None else StabilityFallback(**note["fallback"]),
        generator=note["generator"],
    )
    return (_OnnxSam2 if spec.family == "sam2" else _OnnxSam)(spec, folder)


def _read_note(path: Path) -> dict[str, Any]:
    try:
        note = json.loads(path.read_text("utf-8"))
        known = {"name", "family", "image_size", "embed_dim", "decoder", "fallback", "generator", "masks"}
        if note["format"] == FORMAT and known <= note.keys():
            return note
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise CheckpointError(f"{path} is not the note of an export; expected {FORMAT!r}, export the model again")


class OnnxModel(PromptableModel):
    """What both families share: the sessions, and calls that go to them."""

    def __init__(self, spec: ModelSpec, folder: Path) -> None:
        PromptableModel.__init__(self, spec)
        runtime = require("onnxruntime", "export", "running ONNX files")
        self.folder = folder
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        digest = hashlib.sha256()
        self._sessions = {}
        for file in (ENCODER, DECODER):
            try:
                digest.update((folder / file).read_bytes())
                self._sessions[file] = runtime.InferenceSession(
                    str(folder / file), options, providers=["CPUExecutionProvider"]
                )
            except Exception as error:  # ONNX Runtime has a dozen kinds of its own
                raise CheckpointError(
                    f"{folder / file} cannot be run ({error}); export the model again"
                ) from error
        # what tells one folder's features from another's (models/features.py)
        self.register_buffer("sha256", torch.tensor(list(digest.digest()), dtype=torch.uint8))
        self._nothing = _Nothing()

    def __repr__(self) -> str:
        return f"OnnxModel({self.spec.name!r}, {self.spec.image_size} px, {self.folder})"

    @property
    def prompts(self) -> Any:
        return self._nothing

    @property
    def decoder(self) -> Any:
        return self._nothing

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    @property
    def logits_size(self) -> tuple[int, int]:
        height, width = self.embedding_size
        return 4 * height, 4 * width

    def encode_image(self, pixels: Tensor) -> ImageFeatures:
        each = [self._run(ENCODER, {"image": one[None]}) for one in pixels.float()]
        maps = [torch.cat(some) for some in zip(*each, strict=True)]
        if self.spec.family == "sam2":
            return ImageFeatures(maps[-1], tuple(maps[:-1]))
        return ImageFeatures(maps[0], early=tuple(maps[1:]))

    def encode_prompts(
        self, points: Tensor | None = None, labels: Tensor | None = None, masks: Tensor | None = None
    ) -> PromptEmbeddings:
        """Points and labels side by side, [P, N, 3], and the masks: the graph embeds them."""
        if points is None or labels is None:
            count = 1 if masks is None else len(masks)
            return PromptEmbeddings(torch.zeros(count, 0, 3), masks)
        return PromptEmbeddings(torch.cat([points.float(), labels[..., None].float()], dim=-1), masks)

    def decode(self, features: ImageFeatures, prompts: PromptEmbeddings) -> Decoded:
        if len(features) == 1 and (self.spec.family == "sam2" or prompts.dense is None):
            return self._decode(features, prompts)
        each = []
        for row, sparse in enumerate(prompts.sparse):  # the graphs take one image, SAM's one mask prompt
            dense = None if prompts.dense is None else prompts.dense[row : row + 1]
            one = features[row % len(features)]
            each.append(self._decode(one, PromptEmbeddings(sparse[None], dense)))
        logits, iou = (torch.cat([getattr(one, name) for one in each]) for name in ("mask_logits", "iou"))
        return replace(each[0], mask_logits=logits, iou=iou, mask_tokens=logits.new_zeros(*iou.shape, 0))

    def _decode(self, features: ImageFeatures, prompts: PromptEmbeddings) -> Decoded:
        sam2 = self.spec.family == "sam2"
        points, count = prompts.sparse, len(prompts.sparse)
        if sam2 and points.shape[1]:
            if not bool((points[:, -1, 2] == PAD).all()):
                raise PromptError("points of a prompt must end with the padding point: use model.arrange")
            points = points[:, :-1]  # the graph adds it
        masks = prompts.dense
        shape = (count if sam2 else 1, 1, *self.logits_size)
        names = ("input_masks", "has_input_masks") if sam2 else ("mask_input", "has_mask_input")
        size = torch.ones(2)  # the smallest masks of a photo: what is wanted is the logits
        given: dict[str, Tensor] = {
            "image_embeddings": features.embedding,
            "point_coords": points[..., :2],
            "point_labels": points[..., 2].to(torch.int32 if sam2 else torch.float32),
            names[0]: torch.zeros(shape) if masks is None else masks.float(),
            names[1]: torch.full((shape[0],), float(masks is not None)),
            "original_image_size" if sam2 else "orig_im_size": size.int() if sam2 else size,
        }
        given |= {f"image_features_{index}": each for index, each in enumerate(features.high_res)}
        if features.early:
            given["hq_features"] = features.early[0]
        _, iou, logits = self._run(DECODER, given)
        finer = logits.new_zeros(count, 1, 1, 1) if features.early else None  # the graph added it
        return Decoded(logits, iou, logits.new_zeros(*iou.shape, 0), hq_logits=finer)

    def _run(self, file: str, given: dict[str, Tensor]) -> list[Tensor]:
        feed = {name: np.ascontiguousarray(value.detach().numpy()) for name, value in given.items()}
        return [torch.from_numpy(value) for value in self._sessions[file].run(None, feed)]


class _Nothing(nn.Module):
    """Stands where a model has its prompt encoder and its mask decoder: those are in the graphs."""

    usual = False


class _OnnxSam(OnnxModel, Sam):
    """SAM, MobileSAM or HQ-SAM through ONNX Runtime."""


class _OnnxSam2(OnnxModel, Sam2):
    """SAM 2, EdgeTAM, EfficientTAM or nano through ONNX Runtime."""
