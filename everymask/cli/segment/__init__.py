"""``everymask segment``: every object of photos."""
