"""Spoken commands understood: espeak-ng speaks them, with noise, and pocketsphinx listens.

    python -m benchmarks voice -- [--count 60]

Needs the program espeak-ng. A command counts as understood where the action and all words are right. Noise is
white, at a ratio to the speech's own power.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from everymask.errors import PromptError
from everymask.words.listen.audio import read_audio
from everymask.words.listen.commands import FIXED, SPOKEN, read_command
from everymask.words.listen.sphinx import Sphinx
from everymask.words.listen.vocabulary import EVERYDAY

VOICES = ("en-us", "en-gb", "en-us+f3")
NOISE_DB = (None, 20, 10)


def sentences(count: int) -> list[str]:
    """Commands about the everyday words in turn, now and then two of them or none."""
    verbs, before, fixed = cycle(SPOKEN), cycle(("the", "every", "all the", "a")), cycle(FIXED)
    made = []
    for index, name in enumerate(islice(cycle(EVERYDAY), count)):
        if index % 10 == 9:
            made.append(next(fixed))
        elif index % 10 == 4:
            made.append(f"{next(verbs)} the {name} and the {EVERYDAY[(index + 20) % len(EVERYDAY)]}")
        else:
            made.append(f"{next(verbs)} {next(before)} {name}")
    return made


def spoken(text: str, voice: str) -> np.ndarray:
    """Samples of a sentence."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-s", "140", "-w", str(path), text], check=True)
        return read_audio(path)


def noisy(samples: np.ndarray, ratio_db: float | None, random: np.random.Generator) -> np.ndarray:
    """Speech with white noise of so many decibels less power."""
    if ratio_db is None:
        return samples
    level = np.sqrt(np.mean(samples.astype(float) ** 2)) * 10 ** (-ratio_db / 20)
    return np.clip(samples + random.normal(0, level, len(samples)), -32768, 32767).astype(np.int16)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks voice --", description=__doc__)
    parser.add_argument("--count", type=int, default=60)
    arguments = parser.parse_args()
    texts, ears, random = sentences(arguments.count), Sphinx(EVERYDAY), np.random.default_rng(0)
    print(f"{len(texts)} commands, {len(EVERYDAY)} names")
    for voice in VOICES:
        speech = [spoken(text, voice) for text in texts]
        for ratio in NOISE_DB:
            right, begun = 0, time.process_time()
            for text, samples in zip(texts, speech, strict=True):
                try:
                    right += read_command(ears.transcribe(noisy(samples, ratio, random))) == read_command(
                        text
                    )
                except PromptError:
                    continue
            seconds = (time.process_time() - begun) / len(texts)
            told = "clean" if ratio is None else f"{ratio} dB"
            print(f"{voice:10} {told:6} {right / len(texts):5.0%} understood, {seconds:.2f} s", flush=True)


if __name__ == "__main__":
    main()
