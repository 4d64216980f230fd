"""SAM 3: finds every thing that a phrase names, with masks of its own, a phrase at a time.

Its weights are gated: they come into a folder by hand, and `transformers` opens them there. What it looks at
is prepared here, since its own preparation needs torchvision; for "more like this box" it is lent the one
operation of torchvision that it calls.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from everymask.errors import CheckpointError, PromptError, one_line
from everymask.masks.nms import suppress_pixels
from everymask.maskset import Mask
from everymask.words.detect.hosted import SAME_THING_IOU, library
from everymask.words.detect.protocol import Detection, Exemplars
from everymask.words.detect.roi_align import lend

MASK_THRESHOLD = 0.5


class Sam3:
    """SAM 3 in a folder."""

    threshold = 0.3
    highest: Sequence[float] = ()

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        transformers: Any = library(folder.name)
        self.name = folder.name
        try:
            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            loaded = transformers.Sam3Model.from_pretrained(
                folder, local_files_only=True, use_safetensors=True
            )
        except Exception as error:  # transformers raises whatever its parts raise
            raise CheckpointError(
                f"{folder} is no SAM 3 that transformers opens: {one_line(error)}"
            ) from error
        lend(sys.modules[type(loaded).__module__])
        self.model: Any = loaded.to(device).eval()

    @property
    def longest(self) -> int:
        """How many tokens of a phrase it reads."""
        return int(self.model.config.text_config.max_position_embeddings)

    def check(self, words: Sequence[str]) -> None:
        """Any phrase can be asked for that is not too long."""
        for word in words:
            if len(self.tokenizer(word)["input_ids"]) > self.longest:
                raise PromptError(
                    f"{word[:40]!r}... is longer than the {self.longest} tokens {self.name} reads"
                )

    def detect(self, photo: np.ndarray, words: Sequence[str], threshold: float) -> list[Detection]:
        """See :class:`everymask.words.detect.protocol.Detector`."""
        return self.detect_like(photo, words, threshold, Exemplars())

    @torch.inference_mode()
    def detect_like(
        self, photo: np.ndarray, words: Sequence[str], threshold: float, exemplars: Exemplars
    ) -> list[Detection]:
        """See :class:`everymask.words.detect.protocol.ExemplarDetector`."""
        seen = self.model.get_vision_features(self.prepare(photo).to(self.model.device))
        found, highest = [], []
        for number, word in enumerate(words):
            things, best = self.ask(seen, word, photo.shape[:2], threshold, exemplars)
            found += [Detection(number, score, box, mask) for score, box, mask in things]
            highest.append(best)
        self.highest = highest
        found.sort(key=lambda each: -each.score)
        kept = suppress_pixels([each.mask.runs for each in found if each.mask], SAME_THING_IOU).kept
        return [found[index] for index in kept]

    def ask(
        self,
        seen: Any,
        word: str,
        photo_hw: tuple[int, ...],
        threshold: float,
        exemplars: Exemplars = Exemplars(),
    ) -> tuple[list[tuple[float, tuple[float, float, float, float], Mask]], float]:
        """Score, box XYXY in pixels and mask of each thing that a phrase names, or that is like exemplars.

        Also the best score of all, above the threshold or not.
        """
        tokens = self.tokenizer(word, padding="max_length", max_length=self.longest, return_tensors="pt").to(
            self.model.device
        )
        answer = self.model(
            vision_embeds=seen,
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            **boxes_as_asked(exemplars, photo_hw, self.model.device),
        )
        scores = scores_of(answer.pred_logits[0].float(), answer.presence_logits[0].float())
        height, width = photo_hw
        shares = answer.pred_boxes[0].float().cpu().numpy().astype(np.float64)
        boxes = np.clip(shares * [width, height, width, height], 0, [width, height, width, height])
        result = []
        for row in torch.nonzero(scores > threshold).flatten().tolist():
            share = torch.sigmoid(answer.pred_masks[0, row].float())
            pixels = upscaled(share, photo_hw) > MASK_THRESHOLD
            if pixels.any():
                mask = Mask.from_segmentation(pixels.cpu().numpy(), predicted_iou=float(scores[row]))
                x0, y0, x1, y1 = (float(each) for each in boxes[row])
                result.append((float(scores[row]), (x0, y0, x1, y1), mask))
        return result, float(scores.max())

    def prepare(self, photo: np.ndarray) -> Tensor:
        """The photo as the model looks at it: a square, values -1 to 1, float32 [1, 3, S, S]."""
        side = int(self.model.config.image_size)
        smaller = max(photo.shape[:2]) > side
        square = cv2.resize(
            photo, (side, side), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        )
        return torch.from_numpy(square).permute(2, 0, 1)[None].float() / 127.5 - 1


def boxes_as_asked(exemplars: Exemplars, photo_hw: tuple[int, ...], device: Any) -> dict[str, Tensor]:
    """Exemplar boxes as the model takes them: centre and size as shares of the photo [1, N, 4]; 0: unlike.

    >>> boxes_as_asked(Exemplars(((0, 0, 20, 10),)), (10, 40), "cpu")["input_boxes"].tolist()
    [[[0.25, 0.5, 0.5, 1.0]]]
    """
    if not exemplars:
        return {}
    corners = torch.tensor([*exemplars.like, *exemplars.unlike], dtype=torch.float64)
    corners = corners / torch.tensor([photo_hw[1], photo_hw[0]] * 2)
    low, high = corners.split(2, dim=1)
    labels = [1] * len(exemplars.like) + [0] * len(exemplars.unlike)
    return {
        "input_boxes": torch.cat([(low + high) / 2, high - low], 1)[None].float().to(device),
        "input_boxes_labels": torch.tensor([labels], device=device),
    }


def scores_of(logits: Tensor, presence: Tensor) -> Tensor:
    """How sure each find is, [Q]: that it is one, times that there is any.

    >>> scores_of(torch.tensor([0.0, 100.0]), torch.tensor([0.0])).tolist()
    [0.25, 0.5]
    """
    return torch.sigmoid(logits) * torch.sigmoid(presence)


def upscaled(share: Tensor, hw: tuple[int, ...]) -> Tensor:
    """A mask's probabilities [h, w] at the photo's size."""
    return F.interpolate(share[None, None], size=(hw[0], hw[1]), mode="bilinear", align_corners=False)[0, 0]
