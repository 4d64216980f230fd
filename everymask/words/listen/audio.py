"""Speech as samples: from files of any kind by PyAV, from the microphone by sounddevice."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from everymask.errors import InputError, require

RATE = 16_000
"""Samples a second, as every recogniser here wants them."""
LONGEST_S = 60


def read_audio(path: str | Path) -> np.ndarray:
    """The first sound track of a file (WAV, FLAC, OGG, WebM, MP4, ...) as int16 [N], mono, 16 kHz.

    Needs the extra ``voice``. Raises ``InputError`` for a file that is none, holds no sound, or is longer
    than a minute.
    """
    av = require("av", "voice", "reading sound files")
    if not Path(path).is_file():
        raise InputError(f"there is no sound file at {str(path)!r}")
    pieces: list[np.ndarray] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise InputError(f"{str(path)!r} holds no sound")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            for frame in container.decode(audio=0):
                pieces += [each.to_ndarray()[0] for each in resampler.resample(frame)]
                if sum(map(len, pieces)) > LONGEST_S * RATE:
                    raise InputError(f"{str(path)!r} is longer than {LONGEST_S} s; a command is a sentence")
            pieces += [each.to_ndarray()[0] for each in resampler.resample(None)]  # what it still holds
    except av.error.FFmpegError as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{str(path)!r} cannot be decoded as sound: {reason}") from error
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    if not len(samples):
        raise InputError(f"{str(path)!r} holds no sound")
    return samples.astype(np.int16)


def record(seconds: float = 4.0) -> np.ndarray:
    """What the microphone hears, int16 [N], mono, 16 kHz. Needs the extra ``voice``.

    Raises ``InputError`` where there is no microphone.
    """
    try:
        device = require("sounddevice", "voice", "listening")
        samples = device.rec(int(seconds * RATE), samplerate=RATE, channels=1, dtype="int16", blocking=True)
    except OSError as error:  # sounddevice finds no PortAudio
        raise InputError(f"sound cannot be recorded here: {error}; give a file with --audio") from error
    except Exception as error:
        if type(error).__name__ != "PortAudioError":
            raise
        raise InputError(f"no microphone can be used: {error}; give a file with --audio") from error
    return np.asarray(samples).reshape(-1)
