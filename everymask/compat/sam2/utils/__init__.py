"""``sam2.utils``."""
