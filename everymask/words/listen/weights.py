"""The speech recognisers whose weights can be fetched. Light to import: `everymask models list` reads it."""

from __future__ import annotations

from functools import partial

from everymask.models.file_sets import FileSet

HEARING = "everymask find --listen"
_whisper = partial(FileSet, licence="MIT", used_by=HEARING)
_faster = partial(FileSet, licence="MIT", used_by=HEARING, weights="model.bin", extra="whisper")

WHISPERS: dict[str, FileSet] = {
    each.name: each
    for each in (
        _whisper("whisper_small", "openai/whisper-small", 967_000_000, purpose="speech to text"),
        _whisper(
            "whisper_base", "openai/whisper-base", 290_000_000, purpose="speech to text, enough for commands"
        ),
        _whisper("whisper_tiny", "openai/whisper-tiny", 151_000_000, purpose="speech to text, the smallest"),
    )
}
"""Whispers that `transformers` runs (extra ``text``), the best first."""
FASTER: dict[str, FileSet] = {
    each.name: each
    for each in (
        _faster(
            "faster_whisper_small",
            "Systran/faster-whisper-small",
            484_000_000,
            purpose="Whisper by CTranslate2",
        ),
        _faster(
            "faster_whisper_base",
            "Systran/faster-whisper-base",
            145_000_000,
            purpose="Whisper by CTranslate2",
        ),
    )
}
"""Whispers that `faster-whisper` runs (extra ``whisper``), the best first."""
