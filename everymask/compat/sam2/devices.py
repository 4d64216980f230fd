"""SAM 2's default device where it is not there."""

from __future__ import annotations

import warnings

import torch

from everymask.models.load import read_device


def available(device: str | torch.device) -> torch.device:
    """``device``; where it is the official default and not there, the best one that is, with a warning."""
    if device == "cuda" and not torch.cuda.is_available():
        best = read_device(None)
        warnings.warn(
            f"sam2's default device 'cuda' is not available; using {best}", UserWarning, stacklevel=3
        )
        return best
    return read_device(device)
