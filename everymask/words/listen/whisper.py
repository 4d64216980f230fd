"""Whisper, from a folder and without the network: by `transformers`, or by `faster-whisper` (CTranslate2)."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from everymask.errors import CheckpointError, one_line, require
from everymask.words.listen.audio import RATE

LONGEST_TOKENS = 64
"""A command is a sentence; what goes on longer is a recogniser that repeats itself."""


class Whisper:
    """Whisper by `transformers`: any words, in English."""

    unknown: tuple[str, ...] = ()

    @staticmethod
    def library(name: str) -> ModuleType:
        """`transformers`, or one line that says how to get it."""
        return require("transformers", "text", f"the recogniser {name}")

    def __init__(self, folder: Path) -> None:
        transformers: Any = self.library(folder.name)
        self.name = folder.name
        try:
            self.processor: Any = transformers.WhisperProcessor.from_pretrained(folder, local_files_only=True)
            loaded = transformers.WhisperForConditionalGeneration.from_pretrained(
                folder, local_files_only=True, use_safetensors=True
            )
        except Exception as error:  # transformers raises whatever its parts raise
            raise CheckpointError(
                f"{folder} is no Whisper that transformers opens: {one_line(error)}"
            ) from error
        self.model: Any = loaded.eval()

    def transcribe(self, samples: np.ndarray) -> str:
        """See :class:`everymask.words.listen.recogniser.Recogniser`."""
        import torch

        heard = self.processor(
            as_floats(samples), sampling_rate=RATE, return_tensors="pt", return_attention_mask=True
        )
        # models for English alone refuse to be told a language
        several = getattr(self.model.generation_config, "is_multilingual", False)
        chosen = {"language": "en", "task": "transcribe"} if several else {}
        with torch.inference_mode():
            tokens = self.model.generate(
                heard.input_features,
                attention_mask=heard.attention_mask,
                max_new_tokens=min(LONGEST_TOKENS, self.model.config.max_target_positions - 8),
                **chosen,
            )
        return str(self.processor.batch_decode(tokens, skip_special_tokens=True)[0]).strip()


class FasterWhisper:
    """Whisper by `faster-whisper`, in 8 bits on a CPU."""

    unknown: tuple[str, ...] = ()

    @staticmethod
    def library(name: str) -> ModuleType:
        """`faster-whisper`, or one line that says how to get it."""
        return require("faster_whisper", "whisper", f"the recogniser {name}")

    def __init__(self, folder: Path) -> None:
        library: Any = self.library(folder.name)
        self.name = folder.name
        if not (folder / "tokenizer.json").is_file():  # it would fetch one from the network
            raise CheckpointError(
                f"{folder} has no tokenizer.json, which belongs to a Whisper of CTranslate2"
            )
        try:
            self.model: Any = library.WhisperModel(str(folder), device="cpu", local_files_only=True)
        except Exception as error:  # CTranslate2 raises RuntimeError and ValueError
            raise CheckpointError(
                f"{folder} is no Whisper that CTranslate2 opens: {one_line(error)}"
            ) from error

    def transcribe(self, samples: np.ndarray) -> str:
        """See :class:`everymask.words.listen.recogniser.Recogniser`."""
        pieces, _ = self.model.transcribe(as_floats(samples), language="en", max_new_tokens=LONGEST_TOKENS)
        return " ".join(piece.text.strip() for piece in pieces).strip()


def as_floats(samples: np.ndarray) -> np.ndarray:
    """Samples int16 as float32 from -1 to 1."""
    return samples.astype(np.float32) / 32768
