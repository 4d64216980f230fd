"""Which options fit: compare them on a photo, tune them on photos, start from a preset."""
