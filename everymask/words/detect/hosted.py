"""Detectors of `transformers`, opened from a folder without the network: what they have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from everymask.errors import CheckpointError, require
from everymask.masks.nms import suppress
from everymask.words.detect.protocol import Detection

SAME_THING_IOU = 0.7
"""Of boxes that overlap more, whatever their words, the surest stays."""


def library(name: str) -> ModuleType:
    """`transformers`, or one line that says how to get it."""
    return require("transformers", "text", f"the detector {name}")


class Hosted(ABC):
    """A detector in a folder. ``words_per_pass`` limits how many words the model is asked about at once."""

    threshold: float
    highest: Sequence[float] = ()

    def __init__(self, folder: Path, device: str = "cpu", *, words_per_pass: int | None = None) -> None:
        transformers = library(folder.name)
        self.name = folder.name
        self.words_per_pass = words_per_pass
        try:
            self.processor: Any = transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)
            loaded = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(
                folder, local_files_only=True, use_safetensors=True
            )
        except Exception as error:  # transformers raises whatever its parts raise
            raise CheckpointError(f"{folder} is no detector that transformers opens: {error}") from error
        self.model: Any = loaded.to(device).eval()

    def check(self, words: Sequence[str]) -> None:
        """Any word can be asked for, if it fits into one pass."""
        self.passes(words)

    def detect(self, photo: np.ndarray, words: Sequence[str], threshold: float) -> list[Detection]:
        """See :class:`everymask.words.detect.protocol.Detector`."""
        highest = [0.0] * len(words)
        boxes, scores, owners = [np.zeros((0, 4))], [np.zeros(0)], [np.zeros(0, np.int64)]
        for some in self.passes(words):
            found = self.ask(photo, [words[index] for index in some])  # boxes [Q, 4], scores [Q, words]
            best = found[1].argmax(1) if len(some) else np.zeros(0, np.int64)
            boxes.append(found[0])
            scores.append(found[1][np.arange(len(best)), best])
            owners.append(np.array(some)[best])
            for index, score in zip(some, found[1].max(0, initial=0.0), strict=True):
                highest[index] = float(score)
        self.highest = highest
        height, width = photo.shape[:2]
        everything = np.clip(np.concatenate(boxes), 0, [width, height, width, height])
        sure, owner = np.concatenate(scores), np.concatenate(owners)
        rows = np.flatnonzero((sure > threshold) & ((everything[:, 2:] - everything[:, :2]) > 0).all(1))
        rows = rows[suppress(everything[rows], sure[rows], SAME_THING_IOU)]
        found_boxes = [(float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in everything[rows]]
        return [
            Detection(int(owner[row]), float(sure[row]), box)
            for row, box in zip(rows, found_boxes, strict=True)
        ]

    @torch.inference_mode()
    def ask(self, photo: np.ndarray, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Boxes XYXY in pixels [Q, 4], and how far each answers to each word, 0 to 1 [Q, words]."""
        inputs, scored = self.prepare(photo, words)
        answer = self.model(**inputs.to(self.model.device))
        scores = scored(torch.sigmoid(answer.logits[0].float()))
        centres, sizes = answer.pred_boxes[0].float().cpu().split(2, dim=-1)
        shares = torch.cat([centres - sizes / 2, centres + sizes / 2], -1).numpy().astype(np.float64)
        return shares * self.extent(photo.shape[0], photo.shape[1]), scores.cpu().numpy().astype(np.float64)

    def extent(self, height: int, width: int) -> np.ndarray:
        """What boxes are shares of, in pixels of the photo."""
        return np.array([width, height, width, height], np.float64)

    @abstractmethod
    def passes(self, words: Sequence[str]) -> list[list[int]]:
        """The numbers of the words that are asked for together."""

    @abstractmethod
    def prepare(self, photo: np.ndarray, words: Sequence[str]) -> tuple[Any, Any]:
        """The model's inputs, and how its scores become those of words: [Q, ...] -> [Q, words]."""
