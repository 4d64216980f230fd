"""``everymask erase``: things taken out of photos and clips."""
