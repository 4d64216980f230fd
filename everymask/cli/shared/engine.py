"""The models behind the commands: loading one, its download shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...everything.segmenter import EverythingSegmenter


def open_segmenter(
    model: str, device: str | None, options: dict[str, Any], reading: dict[str, Any]
) -> EverythingSegmenter:
    """Load a model, showing its download, and set everything mode up with the options that were given."""
    from ...everything.segmenter import EverythingSegmenter
    from ...models.features import fingerprint
    from .downloads import load_visibly

    loaded = load_visibly(model, device)
    return EverythingSegmenter(loaded, fingerprint(loaded), options, reading)
