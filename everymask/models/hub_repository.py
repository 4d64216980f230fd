"""Weights from a Hugging Face repository: only the weights file, nothing that runs."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from ..errors import DownloadError, EverymaskError, OfflineError, UnknownModelError, require
from .shards import INDEX, shards_of

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(:.+)?")
SUFFIXES = (".safetensors", ".pt", ".pth")


def is_hub_id(name: str) -> bool:
    """True for "owner/name" and "owner/name:file".

    >>> is_hub_id("facebook/sam2.1-hiera-tiny"), is_hub_id("nano"), is_hub_id("../weights/a.pt")
    (True, False, False)
    """
    return _HUB_ID.fullmatch(name) is not None


def choose_weights(files: list[str], repository: str) -> str:
    """The one weights file of a repository, safetensors first; the index of one in shards.

    >>> choose_weights(["README.md", "model.pt", "model.safetensors"], "a/b")
    'model.safetensors'
    >>> choose_weights(["m-1-of-2.safetensors", "m-2-of-2.safetensors", "m.safetensors.index.json"], "a/b")
    'm.safetensors.index.json'
    """
    for suffix in (*SUFFIXES[:1], SUFFIXES[0] + INDEX, *SUFFIXES[1:]):
        found = sorted(name for name in files if name.endswith(suffix))
        if len(found) == 1:
            return found[0]
        if found and suffix == SUFFIXES[0] and any(name.endswith(suffix + INDEX) for name in files):
            continue
        if found:
            raise UnknownModelError(
                f"{repository} holds several weights files: {', '.join(found)}; say which, "
                f"as in {repository}:{found[0]}"
            )
    raise UnknownModelError(
        f"{repository} holds no weights file ({', '.join(SUFFIXES)}), "
        f"only: {', '.join(sorted(files)) or 'nothing'}"
    )


def pull_from_repository(name: str, offline: bool) -> Path:
    """The weights file of ``owner/name[:file]``, in the Hugging Face cache.

    Needs the extra ``hub``. Raises ``OfflineError``, ``DownloadError`` or ``UnknownModelError``.
    """
    hub = require("huggingface_hub", "hub", f"fetching {name}")
    repository, _, file = name.partition(":")
    try:
        if not file:
            file = _only_file(hub, repository, offline)
        path = Path(hub.hf_hub_download(repository, file, local_files_only=offline))
        if file.endswith(INDEX):
            for shard in sorted(set(shards_of(path).values())):
                hub.hf_hub_download(repository, shard, local_files_only=offline)
        return path
    except EverymaskError:
        raise
    except Exception as error:  # huggingface_hub lets through those of its HTTP library as well as its own
        if offline:
            raise OfflineError(
                f"{name} is not in the Hugging Face cache and EVERYMASK_OFFLINE is set; unset it to fetch it"
            ) from error
        raise DownloadError(f"{name} could not be fetched from its repository: {error}") from error


def in_hub_cache(repository: str, file: str) -> Path | None:
    """A file of a repository that is in the Hugging Face cache already, or None."""
    if find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, file)
    return Path(found) if isinstance(found, str) else None


def _only_file(hub: ModuleType, repository: str, offline: bool) -> str:
    if offline:
        folder = Path(hub.snapshot_download(repository, local_files_only=True))
        return choose_weights([path.name for path in folder.iterdir()], repository)
    return choose_weights(hub.list_repo_files(repository), repository)
