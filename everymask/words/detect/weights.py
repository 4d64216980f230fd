"""The detectors whose weights can be fetched. Light to import: `everymask models list` reads it."""

from __future__ import annotations

from everymask.models.file_sets import FileSet

HOSTED: dict[str, FileSet] = {
    each.name: each
    for each in (
        FileSet(
            "llmdet_tiny",
            "iSEE-Laboratory/llmdet_tiny",
            660_000_000,
            "Apache-2.0",
            "any words to boxes; the best of its size",
        ),
        FileSet(
            "llmdet_base",
            "iSEE-Laboratory/llmdet_base",
            893_000_000,
            "Apache-2.0",
            "any words to boxes, a little better; wants a GPU",
        ),
        FileSet(
            "mm_grounding_dino_tiny",
            "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det",
            660_000_000,
            "Apache-2.0",
            "any words to boxes",
        ),
        FileSet(
            "grounding_dino_tiny",
            "IDEA-Research/grounding-dino-tiny",
            689_000_000,
            "Apache-2.0",
            "any words to boxes: Grounded-SAM's detector",
        ),
        FileSet(
            "owlv2_base",
            "google/owlv2-base-patch16-ensemble",
            620_000_000,
            "Apache-2.0",
            "any words to boxes; half the time",
        ),
    )
}
"""Detectors that `transformers` runs (extra ``text``), the best first; the first here is the default."""
