"""``everymask track``: objects through a video."""
