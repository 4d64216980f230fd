"""Models that are a folder of files rather than one: fetched file by file, by the same verified download.

They lie in ``EVERYMASK_HOME/models/NAME/`` under the names that their repository gives them, for a library
that opens such folders (`transformers`) without the network. A mirror holds them as ``NAME/FILE``. The
hash of each file is remembered at its first download, where none is published here.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import OfflineError
from ..quiet import ignoring
from . import hub
from .catalog import WeightsFile
from .download import FileAbsentError, Progress

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
SMALL = (
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "generation_config.json",
    "normalizer.json",
    "vocabulary.txt",
    "vocabulary.json",
)
"""What else a repository may hold; what it does not is left out."""


@dataclass(frozen=True)
class FileSet:
    """A model of several files in one public repository."""

    name: str
    repository: str
    size_bytes: int
    """Of the weights, as their model card lists it."""
    licence: str
    purpose: str
    used_by: str = "everymask find"
    weights: str = WEIGHTS
    """The large file; it comes last."""
    extra: str = "text"
    """Of which packages run it."""
    parts: tuple[str, ...] = ()
    """All its other files, where they lie in folders of their own; none: those of ``SMALL`` there are."""

    @property
    def folder(self) -> Path:
        """Where its files lie, or will lie."""
        return hub.home() / "models" / self.name

    @property
    def is_here(self) -> bool:
        """Whether all that is needed is there: the weights come last."""
        needed = (*(self.parts or (CONFIG,)), self.weights)
        return all((self.folder / name).is_file() for name in needed)


def pull_set(files: FileSet, progress: Progress | None = None) -> Path:
    """The folder of a model's files, fetched if they are not there.

    Raises ``OfflineError``, ``ChecksumError`` or ``DownloadError``.
    """
    if files.is_here:
        return files.folder
    if hub.offline():
        raise OfflineError(
            f"{files.name} is not in the cache and EVERYMASK_OFFLINE is set; unset it, or put the files of "
            f"{files.repository} into {files.folder}"
        )
    with ignoring(hub.UnverifiedWeightsWarning):  # the weights' own says it once
        for name in () if files.parts else SMALL:
            with suppress(FileAbsentError):
                hub.fetch_into(_entry(files, name), files.folder / name)
        for name in files.parts or (CONFIG,):
            hub.fetch_into(_entry(files, name), files.folder / name, progress)
    hub.fetch_into(_entry(files, files.weights), files.folder / files.weights, progress)
    return files.folder


def _entry(files: FileSet, name: str) -> WeightsFile:
    url = f"https://huggingface.co/{files.repository}/resolve/main/{name}"
    entry = WeightsFile(f"{files.name}/{name}", f"{files.name}/{name}", url, None, None, files.licence, "")
    return replace(entry, used_by=files.used_by)
