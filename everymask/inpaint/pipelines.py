"""The models that paint whose weights can be fetched. Light to import: `everymask models list` reads it."""

from __future__ import annotations

from everymask.models.file_sets import FileSet

INDEX = "model_index.json"
"""What `diffusers` opens a folder by."""
PIPELINES: dict[str, FileSet] = {
    each.name: each
    for each in (
        FileSet(
            "sd15_inpaint",
            "stable-diffusion-v1-5/stable-diffusion-inpainting",
            4_270_000_000,
            "OpenRAIL-M",
            "paints what a text says: Stable Diffusion 1.5",
            used_by="everymask replace",
            weights="unet/diffusion_pytorch_model.safetensors",
            extra="diffusion",
            parts=(
                "scheduler/scheduler_config.json",
                "tokenizer/vocab.json",
                "tokenizer/merges.txt",
                "tokenizer/special_tokens_map.json",
                "tokenizer/tokenizer_config.json",
                "text_encoder/config.json",
                "text_encoder/model.safetensors",
                "vae/config.json",
                "vae/diffusion_pytorch_model.safetensors",
                "unet/config.json",
                INDEX,
            ),
        ),
    )
}
"""Pipelines whose weights can be fetched; a folder of any other that `diffusers` opens does as well."""
