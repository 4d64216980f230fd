"""``segment_anything_hq.utils``."""
