"""``segment_anything.utils``."""
