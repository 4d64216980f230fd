"""SAM 3: finds every thing that a phrase names, with masks of its own, a phrase at a time.

Its weights are gated: they come into a folder by hand, and `transformers` opens them there. What it looks at
is prepared here, since its own preparation needs torchvision; so does "more like this box", which is not
offered.
"""

from __future__ import annotations

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
from everymask.words.detect.protocol import Detection

MASK_THRESHOLD = 0.5


class Sam3:
    """SAM 3 in a folder."""

    threshold = 0.3

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

    @torch.inference_mode()
    def detect(self, photo: np.ndarray, words: Sequence[str], threshold: float) -> list[Detection]:
        """See :class:`everymask.words.detect.protocol.Detector`."""
        seen = self.model.get_vision_features(self.prepare(photo).to(self.model.device))
        found = [
            Detection(number, score, box, mask)
            for number, word in enumerate(words)
            for score, box, mask in self.ask(seen, word, photo.shape[:2], threshold)
        ]
        found.sort(key=lambda each: -each.score)
        kept = suppress_pixels([each.mask.runs for each in found if each.mask], SAME_THING_IOU).kept
        return [found[index] for index in kept]

    def ask(
        self, seen: Any, word: str, photo_hw: tuple[int, ...], threshold: float
    ) -> list[tuple[float, tuple[float, float, float, float], Mask]]:
        """Score, box XYXY in pixels and mask of each thing that one phrase names."""
        tokens = self.tokenizer(word, padding="max_length", max_length=self.longest, return_tensors="pt").to(
            self.model.device
        )
        answer = self.model(
            vision_embeds=seen, input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
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
        return result

    def prepare(self, photo: np.ndarray) -> Tensor:
        """The photo as the model looks at it: a square, values -1 to 1, float32 [1, 3, S, S]."""
        side = int(self.model.config.image_size)
        smaller = max(photo.shape[:2]) > side
        square = cv2.resize(
            photo, (side, side), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        )
        return torch.from_numpy(square).permute(2, 0, 1)[None].float() / 127.5 - 1


def scores_of(logits: Tensor, presence: Tensor) -> Tensor:
    """How sure each find is, [Q]: that it is one, times that there is any.

    >>> scores_of(torch.tensor([0.0, 100.0]), torch.tensor([0.0])).tolist()
    [0.25, 0.5]
    """
    return torch.sigmoid(logits) * torch.sigmoid(presence)


def upscaled(share: Tensor, hw: tuple[int, ...]) -> Tensor:
    """A mask's probabilities [h, w] at the photo's size."""
    return F.interpolate(share[None, None], size=(hw[0], hw[1]), mode="bilinear", align_corners=False)[0, 0]
