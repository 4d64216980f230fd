"""``everymask predict``: objects of one photo."""
