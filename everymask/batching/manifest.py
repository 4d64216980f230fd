"""What a batch run keeps in its output: one folder per model and settings, with plan and parts.

OUT/batch-0123456789abcdef/     named by the hash of the settings
    manifest.json               the settings
    plan/000000.parquet         which photos are in which part
    parts/000000-0000.parquet   their rows: a part is there whole or not at all
    superseded/...              tickets of photos that have changed since they were planned
    kept/000000-0000.parquet    the good rows of a part that is done again for its failures
    air/000000-0000             parts that were begun; what is left when a worker dies
    report.json                 what the last run did
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .. import __version__
from ..errors import BatchError, InputError
from ..everything.settings import as_read_back, differences, short_hash
from .storage import Place, persistently, told

FORMAT = "everymask batch 1"
PREFIX = "batch-"


@dataclass(frozen=True)
class Manifest:
    """One run's folder and what its masks depend on."""

    place: Place
    settings: dict[str, Any]

    @property
    def params_hash(self) -> str:
        """Stands for the settings."""
        return short_hash(self.settings)

    def part(self, unit: str) -> Place:
        """Where the rows of a planned part go."""
        return self.place / "parts" / f"{unit}.parquet"

    def kept(self, unit: str) -> Place:
        """Where its good rows wait while the others are done again."""
        return self.place / "kept" / f"{unit}.parquet"


def open_manifest(output: Place, settings: dict[str, Any]) -> tuple[Manifest, str]:
    """The manifest of these settings in an output, made if it is not there; and what to say of others.

    Raises :class:`BatchError` where the output cannot be written to.
    """
    settings = as_read_back(settings)
    manifest = Manifest(output / f"{PREFIX}{short_hash(settings)}", settings)
    others = [each for each in find_manifests(output) if each.place != manifest.place]
    content = {"format": FORMAT, "everymask": __version__, "settings": settings}
    text = json.dumps(content, indent=2, ensure_ascii=False).encode()
    new = persistently(lambda: (manifest.place / "manifest.json").create(text), f"cannot write to {output}")
    if not others or not new:
        return manifest, ""
    told_of = differences(others[-1].settings, settings)
    return manifest, (
        f"other settings than in {others[-1].place.name} ({told_of}): a new manifest, {manifest.place.name}; "
        "what was made before stays"
    )


def find_manifests(output: Place) -> list[Manifest]:
    """The manifests in an output, those of earlier names first. Raises :class:`BatchError`."""
    try:
        names = [name for name in output.names() if name.startswith(PREFIX)]
    except OSError as error:
        raise BatchError(f"cannot list {output}: {told(error)}") from error
    return [read_manifest(output / name) for name in names if (output / name / "manifest.json").exists()]


def read_manifest(place: Place) -> Manifest:
    """The manifest in a folder. Raises :class:`InputError` for a folder that is none."""
    try:
        content = json.loads((place / "manifest.json").read())
        if content["format"] != FORMAT:
            raise InputError(
                f"{place} was written by another version ({content['format']!r}, not {FORMAT!r})"
            )
        return Manifest(place, content["settings"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{place} has no manifest of a batch run: {told(error)}") from error
