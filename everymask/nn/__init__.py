"""Torch modules shared by every family; they know tensors, not photos, files or devices."""
