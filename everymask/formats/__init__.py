"""Masks to files and back: one file a format, a table by name, and every loss said.

    masks.save("photo.json", format="coco")
    masks = em.read_masks("photo.json")

A conversion returns :class:`Losses`: what the format had no place for (empty when it holds everything).
"""

from __future__ import annotations

from .convert import fit, read_masks, read_photos, save, write_file
from .losses import Loss, Losses
from .record import PhotoMasks, WriteOptions, categories_of
from .table import FORMATS, Format, find_format

__all__ = [
    "FORMATS",
    "Format",
    "Loss",
    "Losses",
    "PhotoMasks",
    "WriteOptions",
    "categories_of",
    "find_format",
    "fit",
    "read_masks",
    "read_photos",
    "save",
    "write_file",
]
